/**
 * A step of a delta stream, with short ways for what nearly all steps are: one type that differs goes out, and its answer
 * comes back. With thousands of streams they are most of what the control plane does.
 */
import type { DiffCache } from "./diff";
import { TYPE_URLS, type Snapshot, type TypeUrl } from "./resource";
import {
  isServedType,
  stepInFull,
  stepOneType,
  type StreamEffects,
  type StreamInput,
  type StreamState,
} from "./stream";
import { isCurrent } from "./type-state";
import { acknowledge } from "./verdict";
import type { DeltaRequest } from "./wire";

const NO_EFFECTS: StreamEffects = { responses: [], rejections: [], wakeAt: undefined };

/** Advances a stream by one input, as {@link stepInFull} does. `diffs` is the memory shared by all streams of a server. */
export function step(state: StreamState, input: StreamInput, diffs: DiffCache): [StreamState, StreamEffects] {
  if (isWaiting(state)) return stepInFull(state, input, diffs);
  if (input.kind === "request") {
    const settled = afterLastAnswer(state, input.request);
    if (settled !== undefined) return [settled, NO_EFFECTS];
  }
  if (input.kind === "snapshot") {
    const alone = soleDifference(state, input.snapshot);
    if (alone !== undefined) return stepOneType(state, input, diffs, alone);
  }
  return stepInFull(state, input, diffs);
}

/** Whether something is withheld until an acknowledgement comes, or a cluster is not known to serve yet. */
function isWaiting(state: StreamState): boolean {
  return state.gatedSince !== undefined || state.waived || state.warming.size > 0;
}

function isPlainAnswer({ error, subscribe, unsubscribe }: DeltaRequest): boolean {
  return error === undefined && subscribe.length + unsubscribe.length === 0;
}

/**
 * The client takes the response in flight and then has all there is of that type. A step leaves nothing unsent that is not in
 * flight or waits, so there is nothing else to look at. (A set that differs in names the client has not asked for may be taken
 * note of one step later than in full; what is sent is the same.)
 */
function afterLastAnswer(state: StreamState, request: DeltaRequest): StreamState | undefined {
  const { typeUrl, nonce } = request;
  if (!isServedType(typeUrl) || !isPlainAnswer(request)) return undefined;
  const type = state.types.get(typeUrl);
  if (type?.inFlight === undefined || type.inFlight.nonce !== nonce) return undefined;
  const answered = acknowledge(type, type.inFlight);
  if (!isCurrent(answered, state.snapshot?.get(typeUrl))) return undefined;
  return { ...state, types: new Map(state.types).set(typeUrl, answered) };
}

/**
 * The type that alone differs in a new snapshot, while nothing else is on its way to the client. It has no other type to wait
 * for; clusters are left out, because others wait for them.
 */
function soleDifference(state: StreamState, snapshot: Snapshot): TypeUrl | undefined {
  let alone: TypeUrl | undefined;
  for (const [typeUrl, type] of state.types) {
    if (isCurrent(type, snapshot.get(typeUrl))) continue;
    if (alone !== undefined || typeUrl === TYPE_URLS.cluster || type.rejected.size > 0) return undefined;
    alone = typeUrl;
  }
  return alone;
}
