import type { PolicyOf, Projectors } from "../../ingest/index";
import { POLICY_KINDS } from "../../ingest/index";
import type { Diagnostic } from "../../model/diagnostic";
import type { PolicyObject } from "../../model/traffic";
import type { Compiler } from "./compiler";
import type { EngineEventOf } from "./events";

/** A policy object that is not stored yet. */
export type Candidate = EngineEventOf<keyof PolicyOf> & { readonly type: "upsert" };

/** An object as it arrives at admission, as a candidate; undefined: it is of no kind of policy. */
export function candidateOf(projectors: Projectors, kind: string, object: unknown): Candidate | undefined {
  const known = POLICY_KINDS.find(policy => policy === kind);
  if (known === undefined) return undefined;
  const projector = projectors[known];
  const compiled = projector.project(object);
  return { kind: known, type: "upsert", key: projector.key(object), compiled } as Candidate;
}

/** An object without a time of creation is about to be made: of rivals it is the youngest. */
function aged(candidate: Candidate): Candidate {
  const { value } = candidate.compiled as { readonly value: PolicyObject | undefined };
  if (value === undefined || value.createdAt > 0) return candidate;
  const youngest = { ...value, createdAt: Number.MAX_SAFE_INTEGER };
  return { ...candidate, compiled: { ...candidate.compiled, value: youngest } } as Candidate;
}

/**
 * What would be found about a policy object in the world as it is now, were it stored: what it refers to and is not there,
 * with whom it contradicts. It is put in, looked at and taken out again within one turn, so nobody else sees it, and only
 * what concerns it is computed. What is wrong with it by itself is not told here.
 */
export function foresee(
  { inputs, writer, findingsOf }: Compiler,
  candidate: Candidate,
): readonly Diagnostic[] {
  const { kind, key } = candidate;
  return writer.trying(aged(candidate), () => inputs.graph.peek(findingsOf({ kind, key })));
}
