/**
 * Order across proxies: what a snapshot says of a proxy's own side (layers after the first) apart from what it shares with
 * others (the first layer of each type, which leads to other proxies).
 */
import type { DiffCache } from "./diff";
import { TYPE_URLS, type Layer, type ResourceSet, type Snapshot } from "./resource";
import { isApplication, isInbound, typeStateOf, type StreamState } from "./stream";
import { pendingOf } from "./type-state";

const NOTHING: Layer = new Map();

function applications(snapshot: Snapshot): readonly string[] {
  const own = snapshot.get(TYPE_URLS.cluster)?.layers.slice(1) ?? [];
  return own.flatMap(layer => [...layer.keys()]).filter(isApplication);
}

/** Whether a proxy is to answer at ports at which it did not. */
export function gainsPorts(before: Snapshot, after: Snapshot): boolean {
  if (before.get(TYPE_URLS.cluster) === after.get(TYPE_URLS.cluster)) return false;
  const known = new Set(applications(before));
  return applications(after).some(name => !known.has(name));
}

/** What is a proxy's own in one snapshot, with what it shares as of another. */
export function withShared(shared: Snapshot, own: Snapshot): Snapshot {
  return new Map([...own].map(([typeUrl, set]) => [typeUrl, joined(shared.get(typeUrl), set)] as const));
}

function joined(shared: ResourceSet | undefined, own: ResourceSet): ResourceSet {
  const first = shared?.layers[0] ?? NOTHING;
  if (first === own.layers[0]) return own;
  return { typeUrl: own.typeUrl, layers: [first, ...own.layers.slice(1)] };
}

/** Whether both share the same with others. */
export function sharesTheSame(one: Snapshot, other: Snapshot): boolean {
  return [...other].every(([typeUrl, set]) => one.get(typeUrl)?.layers[0] === set.layers[0]);
}

/** Whether a proxy has acknowledged, or refused, the ports of its newest snapshot. */
export function answersItsPorts(state: StreamState, diffs: DiffCache): boolean {
  const { snapshot } = state;
  if (snapshot === undefined) return false;
  return [TYPE_URLS.cluster, TYPE_URLS.listener].every(typeUrl => {
    const type = typeStateOf(state, typeUrl);
    if (type.inFlight !== undefined) return false;
    const { changed } = pendingOf(type, snapshot.get(typeUrl), diffs);
    return !changed.some(({ name }) => isInbound(name) || isApplication(name));
  });
}
