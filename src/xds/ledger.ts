/** What one proxy has acknowledged and refused: the entry of the ledger from which status and rotation gates are read. */
import type { DiffCache } from "./diff";
import { resourcesOf, sizeOf, type ResourceSet, type TypeUrl } from "./resource";
import { SEND_ORDER, typeStateOf, type StreamState } from "./stream";
import { pendingOf, type Rejection } from "./type-state";

/** One type on one stream. */
export interface TypeStanding {
  readonly typeUrl: TypeUrl;
  /** The proxy holds everything of the newest snapshot, refusals aside. */
  readonly settled: boolean;
  /** Resources of the set it has acknowledged last (whole set under a wildcard, else an upper bound). */
  readonly acknowledged: number;
  /** Digest of names and versions of that set; equal on all replicas for the same configuration. */
  readonly digest: string;
  readonly rejected: readonly Rejection[];
}

/** Whether a stream holds the newest snapshot in full: nothing withheld, in flight or refused. */
export function isSynced(state: StreamState, diffs: DiffCache): boolean {
  if (state.snapshot === undefined) return false;
  return [...state.types.values()].every(type => {
    if (type.inFlight !== undefined || type.rejected.size > 0) return false;
    const pending = pendingOf(type, state.snapshot?.get(type.typeUrl), diffs);
    return pending.changed.length === 0 && pending.removed.length === 0;
  });
}

/** The standing of every subscribed type, in send order. */
export function standingOf(state: StreamState, diffs: DiffCache): readonly TypeStanding[] {
  return SEND_ORDER.filter(typeUrl => typeStateOf(state, typeUrl).subscribed).map(typeUrl => {
    const type = typeStateOf(state, typeUrl);
    const pending = pendingOf(type, state.snapshot?.get(typeUrl), diffs);
    const set = type.content.set;
    return {
      typeUrl,
      settled: type.inFlight === undefined && pending.changed.length === 0 && pending.removed.length === 0,
      acknowledged: set === undefined ? 0 : sizeOf(set),
      digest: set === undefined ? "" : digestOf(set),
      rejected: [...type.rejected.values()],
    };
  });
}

/** FNV-1a over names and versions in sorted order: for comparing, not for security. */
function digestOf(set: ResourceSet): string {
  const lines = [...resourcesOf(set)].map(r => `${r.name}@${r.version}`).sort();
  let hash = 0xcbf29ce484222325n;
  for (const line of lines) {
    for (let i = 0; i < line.length; i += 1) {
      hash = BigInt.asUintN(64, (hash ^ BigInt(line.charCodeAt(i))) * 0x100000001b3n);
    }
  }
  return hash.toString(16).padStart(16, "0");
}
