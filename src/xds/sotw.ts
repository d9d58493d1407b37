/**
 * State-of-the-world ADS, as little of it as gRPC's own xDS client needs: every answer carries all resources of the
 * subscribed names, and one is sent whenever the subset or the subscription changes.
 */
import { isServedType } from "./stream";
import {
  findResource,
  resourcesOf,
  TYPE_URLS,
  type EncodedResource,
  type Snapshot,
  type TypeUrl,
} from "./resource";
import { frameSotwResponse, type SotwRequest } from "./wire";

interface SotwType {
  readonly names: readonly string[];
  /** What was sent last, by name and version. */
  readonly digest: string;
  readonly nonce: string;
  readonly inFlight: boolean;
}

/** State of one state-of-the-world stream; never changed in place. */
export interface SotwState {
  readonly types: ReadonlyMap<TypeUrl, SotwType>;
  readonly snapshot: Snapshot | undefined;
  readonly sent: number;
}

/** What happens to a state-of-the-world stream. */
export type SotwInput =
  | { readonly kind: "request"; readonly request: SotwRequest }
  | { readonly kind: "snapshot"; readonly snapshot: Snapshot };

/** A stream that has just been opened. */
export function initialSotwState(): SotwState {
  return { types: new Map(), snapshot: undefined, sent: 0 };
}

function subset(snapshot: Snapshot, typeUrl: TypeUrl, names: readonly string[]): readonly EncodedResource[] {
  const set = snapshot.get(typeUrl);
  if (set === undefined) return [];
  const all = names.length === 0 && (typeUrl === TYPE_URLS.listener || typeUrl === TYPE_URLS.cluster);
  if (all || names.includes("*")) return [...resourcesOf(set)];
  return names.flatMap(name => findResource(set, name) ?? []);
}

function applyRequest(state: SotwState, request: SotwRequest): SotwState {
  if (!isServedType(request.typeUrl)) return state;
  const known = state.types.get(request.typeUrl);
  // An answer to an older response says nothing about the present one.
  if (known !== undefined && request.nonce !== known.nonce) return state;
  const next: SotwType = {
    names: request.names,
    digest: known?.digest ?? "",
    nonce: known?.nonce ?? "",
    inFlight: false,
  };
  return { ...state, types: new Map(state.types).set(request.typeUrl, next) };
}

/** Advances a stream by one input; returns the responses to write. */
export function stepSotw(state: SotwState, input: SotwInput): [SotwState, readonly Uint8Array[]] {
  const after =
    input.kind === "request" ? applyRequest(state, input.request) : { ...state, snapshot: input.snapshot };
  const { snapshot } = after;
  if (snapshot === undefined) return [after, []];
  const types = new Map(after.types);
  const responses: Uint8Array[] = [];
  for (const [typeUrl, type] of after.types) {
    if (type.inFlight) continue;
    const resources = subset(snapshot, typeUrl, type.names);
    const digest = resources.map(r => `${r.name}\0${r.version}\0`).join("") + `${type.names.length}`;
    if (digest === type.digest) continue;
    const nonce = `w${after.sent + responses.length + 1}`;
    responses.push(frameSotwResponse(typeUrl, nonce, nonce, resources));
    types.set(typeUrl, { ...type, digest, nonce, inFlight: true });
  }
  return [{ ...after, types, sent: after.sent + responses.length }, responses];
}
