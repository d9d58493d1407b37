/** Differences between resource sets, computed and framed once for all streams that make the same step. */
import { TYPE_URLS, type EncodedResource, type Layer, type ResourceSet, type TypeUrl } from "./resource";
import { frameDeltaResponse, frameRemoved, frameResources } from "./wire";

const EMPTY_LAYER: Layer = new Map();

/** Which halves of a difference a response carries. */
export type Halves = "changed" | "removed" | "both";

/** What leads from one layer to another. */
export interface LayerDiff {
  readonly changed: ReadonlyMap<string, EncodedResource>;
  readonly removed: readonly string[];
  /** The framed resources of `changed`, made at first use; a part of responses that cover several layers. */
  framedChanged(): Uint8Array;
  /** A complete response of this difference, framed at first use and shared by all streams afterwards. */
  response(typeUrl: TypeUrl, halves: Halves): SharedResponse;
}

/** Response bytes that many streams may send; the nonce is only unique among different responses. */
export interface SharedResponse {
  readonly nonce: string;
  readonly bytes: Uint8Array;
}

/** Memory of differences; entries die with the layers they lead from. */
export interface DiffCache {
  /** The non-empty differences between two sets of one type, layer by layer; undefined stands for an empty set. */
  between(from: ResourceSet | undefined, to: ResourceSet | undefined): readonly LayerDiff[];
  /**
   * A response of these very resources alone, framed once for all streams that send them: what a client has just asked for by
   * name is no difference between two sets. undefined: too many to be worth remembering, or secrets, which are one identity's.
   */
  few(typeUrl: TypeUrl, resources: readonly EncodedResource[]): SharedResponse | undefined;
  /** How many layer differences have been computed so far (one per change, however many streams make it). */
  readonly computed: number;
}

function makeDiff(id: number, from: Layer, to: Layer): LayerDiff {
  const changed = new Map<string, EncodedResource>();
  for (const [name, resource] of to) {
    const before = from.get(name);
    if (before !== resource && before?.version !== resource.version) changed.set(name, resource);
  }
  const removed = [...from.keys()].filter(name => !to.has(name));
  const responses = new Map<Halves, SharedResponse>();
  let framed: Uint8Array | undefined;
  const framedChanged = (): Uint8Array => (framed ??= frameResources(changed.values()));
  const frame = (typeUrl: TypeUrl, halves: Halves): SharedResponse => {
    const nonce = `${id}.${halves}`;
    const parts = [
      ...(halves === "removed" ? [] : [framedChanged()]),
      ...(halves === "changed" ? [] : [frameRemoved(removed)]),
    ];
    return { nonce, bytes: frameDeltaResponse(typeUrl, nonce, parts) };
  };
  const response = (typeUrl: TypeUrl, halves: Halves): SharedResponse => {
    const known = responses.get(halves) ?? frame(typeUrl, halves);
    responses.set(halves, known);
    return known;
  };
  return { changed, removed, framedChanged, response };
}

/** Responses of more resources are not remembered: streams that send the same ones get rarer, and finding them dearer. */
const FEW = 4;
/** Responses that begin with the same resource. */
const ALIKE = 8;

/** {@link DiffCache.few}: a memory that dies with the resources. */
function createFew(): DiffCache["few"] {
  const known = new WeakMap<
    EncodedResource,
    { readonly resources: readonly EncodedResource[]; readonly response: SharedResponse }[]
  >();
  let made = 0;
  return (typeUrl, resources) => {
    const [first] = resources;
    if (first === undefined || resources.length > FEW || typeUrl === TYPE_URLS.secret) return undefined;
    const alike = known.get(first) ?? [];
    const same = alike.find(({ resources: others }) => sameElements(others, resources));
    if (same !== undefined) return same.response;
    const nonce = `few${(made += 1)}`;
    const response = { nonce, bytes: frameDeltaResponse(typeUrl, nonce, [frameResources(resources)]) };
    known.set(first, [...alike.slice(1 - ALIKE), { resources: [...resources], response }]);
    return response;
  };
}

function sameElements(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((element, i) => element === other[i]);
}

/** A cache of its own; one per ADS server. */
export function createDiffCache(): DiffCache {
  const known = new WeakMap<Layer, WeakMap<Layer, LayerDiff>>();
  let computed = 0;
  const layers = (from: Layer, to: Layer): LayerDiff | undefined => {
    if (from === to) return undefined;
    let row = known.get(from);
    if (row === undefined) known.set(from, (row = new WeakMap<Layer, LayerDiff>()));
    let diff = row.get(to);
    if (diff === undefined) row.set(to, (diff = makeDiff((computed += 1), from, to)));
    return diff.changed.size > 0 || diff.removed.length > 0 ? diff : undefined;
  };
  const between = (from: ResourceSet | undefined, to: ResourceSet | undefined): readonly LayerDiff[] => {
    if (from === to) return [];
    const [old, next] = [from?.layers ?? [], to?.layers ?? []];
    const diffs: LayerDiff[] = [];
    for (let i = 0; i < Math.max(old.length, next.length); i += 1) {
      const diff = layers(old[i] ?? EMPTY_LAYER, next[i] ?? EMPTY_LAYER);
      if (diff !== undefined) diffs.push(diff);
    }
    return diffs;
  };
  return {
    between,
    few: createFew(),
    get computed() {
      return computed;
    },
  };
}
