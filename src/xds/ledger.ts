/** What one proxy has acknowledged and refused: the entry of the ledger from which status and rotation gates are read. */
import type { DiffCache } from "./diff";
import {
  findResource,
  resourcesOf,
  sizeOf,
  TYPE_URLS,
  type Layer,
  type ResourceSet,
  type Snapshot,
  type TypeUrl,
} from "./resource";
import { SEND_ORDER, typeStateOf, type StreamState } from "./stream";
import { objectsOf, type Lag } from "./tally";
import { heldIn, pendingOf, wants, type Rejection, type TypeState } from "./type-state";

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

const NOTHING: ReadonlySet<string> = new Set();

/**
 * Policy objects that are not in force on a proxy as they should be: it lacks, still holds or refused some of what they
 * shape. Compared by names and versions, so an object that has nothing to do with what is outstanding is not waited for.
 */
export function lagOf(state: StreamState, diffs: DiffCache): Lag {
  const { snapshot } = state;
  if (snapshot === undefined || !hasBegun(state)) return "everything";
  const late: string[] = [];
  for (const typeUrl of SEND_ORDER) {
    const type = typeStateOf(state, typeUrl);
    const target = snapshot.get(typeUrl);
    const names = outstandingNames(type, snapshot, diffs);
    late.push(...names.flatMap(name => [...shapersOf(target, name), ...shapersOf(type.content.set, name)]));
  }
  return late.length === 0 ? NOTHING : new Set(late);
}

function shapersOf(set: ResourceSet | undefined, name: string): readonly string[] {
  const resource = set && findResource(set, name);
  return resource === undefined ? [] : objectsOf(resource);
}

/** Whether a proxy holds everything it should, what it refused aside, and has asked for everything. */
export function isSettled(state: StreamState, diffs: DiffCache): boolean {
  const { snapshot } = state;
  // Where something waits for an acknowledgement there is something left to send.
  if (snapshot === undefined || state.gatedSince !== undefined || !hasBegun(state)) return false;
  for (const { inFlight } of state.types.values()) if (inFlight !== undefined) return false;
  const { rejected } = typeStateOf(state, TYPE_URLS.listener);
  return SEND_ORDER.every(typeUrl => {
    const type = typeStateOf(state, typeUrl);
    const target = snapshot.get(typeUrl);
    if (notAskedFor(type, snapshot, rejected).length > 0) return false;
    const { changed, removed } = pendingOf(type, target, diffs);
    return changed.length === 0 && removed.length === 0;
  });
}

/** Envoy asks for clusters first and for listeners once it has those; before both there is nothing in it to speak of. */
function hasBegun(state: StreamState): boolean {
  return [TYPE_URLS.cluster, TYPE_URLS.listener].every(typeUrl => typeStateOf(state, typeUrl).subscribed);
}

function outstandingNames(type: TypeState, snapshot: Snapshot, diffs: DiffCache): readonly string[] {
  const pending = pendingOf(type, snapshot.get(type.typeUrl), diffs);
  const names = [
    ...pending.changed.map(({ name }) => name),
    ...pending.removed,
    ...notAskedFor(type, snapshot),
  ];
  return type.rejected.size === 0 ? names : [...names, ...type.rejected.keys()];
}

/**
 * Resources that a proxy should ask for by name and has not: what refers to them is on its way. Only looked for when it
 * has asked for fewer names than there are. Secrets are asked for by need, and shaped by no object. A route table to which
 * no listener refers (that of a headless Service without pods, say) is never asked for, nor one to which none does but
 * those of `refused`.
 */
function notAskedFor(
  type: TypeState,
  snapshot: Snapshot,
  refused?: ReadonlyMap<string, unknown>,
): readonly string[] {
  const target = snapshot.get(type.typeUrl);
  if (target === undefined || type.typeUrl === TYPE_URLS.secret) return [];
  if (type.wildcard || type.names.size >= sizeOf(target)) return [];
  const missing = [...resourcesOf(target)].map(({ name }) => name).filter(name => !type.names.has(name));
  if (missing.length === 0 || type.typeUrl !== TYPE_URLS.route) return missing;
  const needs = (snapshot.get(TYPE_URLS.listener)?.layers ?? []).map(neededBeside(refused));
  return missing.filter(name => needs.some(needed => needed.has(name)));
}

const needsOfLayer = new WeakMap<Layer, ReadonlySet<string>>();

/** Route tables that the listeners of a layer refer to; found once per layer, however many proxies share it. */
function needsOf(listeners: Layer): ReadonlySet<string> {
  const known = needsOfLayer.get(listeners);
  if (known !== undefined) return known;
  const needs = new Set<string>();
  for (const listener of listeners.values()) for (const name of listener.needs ?? NOTHING) needs.add(name);
  needsOfLayer.set(listeners, needs);
  return needs;
}

/** As {@link needsOf}, of listeners that the proxy has not refused. */
function neededBeside(
  refused: ReadonlyMap<string, unknown> | undefined,
): (listeners: Layer) => ReadonlySet<string> {
  if (refused === undefined || refused.size === 0) return needsOf;
  return listeners =>
    new Set([...listeners.values()].flatMap(({ name, needs }) => (refused.has(name) ? [] : (needs ?? []))));
}

/**
 * Version that a proxy holds of one name: null when it asks for it and has acknowledged none, or has yet to answer to
 * another; undefined when it does not ask for it.
 */
export function heldOf(state: StreamState, typeUrl: TypeUrl, name: string): string | null | undefined {
  const type = typeStateOf(state, typeUrl);
  if (!wants(type, name)) return undefined;
  const isUnderWay = type.inFlight?.resources.some(resource => resource.name === name) ?? false;
  return isUnderWay ? null : heldIn(type.content, name);
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
