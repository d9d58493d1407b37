/** When the mesh makes a new CA by itself, for a root whose key it keeps in a Secret. */
import { ROTATION_EVERY } from "../api/mesh-root-certificate";
import type { RotationState } from "./root-rotation";

/** A CA in the Secret. */
export interface KeptCa {
  /** As in {@link RotationState.roots}. */
  readonly fingerprint: string;
  /** When it was made, epoch milliseconds. */
  readonly madeAt: number;
}

/** What is in the Secret: the CA, and the one that comes after it, while a rotation leads there. */
export interface KeptCas {
  readonly current: KeptCa;
  readonly next: KeptCa | undefined;
}

/**
 * What to do with the Secret. `make`: a new CA beside the present one, which goes on issuing until all trust the new one.
 * `promote`: the present one is trusted by nobody any more, so its key goes, and the new one takes its place.
 */
export type ScheduleStep = "make" | "promote" | undefined;

/** When the next CA is due, epoch milliseconds. */
export function nextRotationAt({ current, next }: KeptCas, everyMs: number): number {
  return (next ?? current).madeAt + Math.min(Math.max(everyMs, ROTATION_EVERY.minMs), ROTATION_EVERY.maxMs);
}

/** What is due. A CA is made only once everything has come to rest with the present one, and removed by nothing but that. */
export function scheduleStep(
  cas: KeptCas,
  { roots, issuing }: Pick<RotationState, "roots" | "issuing">,
  { now, everyMs }: { readonly now: number; readonly everyMs: number },
): ScheduleStep {
  const { current, next } = cas;
  const isTrusted = roots.some(({ fingerprint }) => fingerprint === current.fingerprint);
  if (next !== undefined) return next.fingerprint === issuing && !isTrusted ? "promote" : undefined;
  const atRest = roots.length === 1 && current.fingerprint === issuing;
  return atRest && now >= nextRotationAt(cas, everyMs) ? "make" : undefined;
}
