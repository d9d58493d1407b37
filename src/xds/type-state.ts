/**
 * What one stream knows about one resource type. The client's content is described by reference to a shared set plus the
 * few names in which the client deviates from it, so that thousands of streams do not each hold a version per name.
 */
import type { DiffCache, Halves, LayerDiff } from "./diff";
import type { DeltaRequest } from "./wire";
import { findResource, type EncodedResource, type ResourceSet, type TypeUrl } from "./resource";
import type { ObjectRef } from "../model/object-ref";

/** What the client has of one name: a version, or null for nothing. */
type Held = string | null;

/** The client's content: `set` restricted to what is subscribed, except for the names in `deviations`. */
export interface ClientContent {
  readonly set: ResourceSet | undefined;
  readonly deviations: ReadonlyMap<string, Held>;
}

/** A resource version that the client refused; it is not sent again. */
export interface Rejection {
  readonly name: string;
  readonly version: string;
  readonly message: string;
  readonly origins: readonly ObjectRef[];
}

/** A response that awaits its ACK or NACK. */
export interface InFlight {
  readonly nonce: string;
  readonly sentAt: number;
  readonly resources: readonly EncodedResource[];
  /** The client's content once it has acknowledged. */
  readonly after: ClientContent;
}

/** State of one type on one stream. */
export interface TypeState {
  readonly typeUrl: TypeUrl;
  /** A request of this type has arrived on this stream. */
  readonly subscribed: boolean;
  readonly wildcard: boolean;
  readonly names: ReadonlySet<string>;
  readonly content: ClientContent;
  /** Names to send again even when the client has that version (endpoints of a changed cluster). */
  readonly forced: ReadonlySet<string>;
  readonly rejected: ReadonlyMap<string, Rejection>;
  /** Most resources per response, while an unexplained rejection is being cornered. */
  readonly limit: number | undefined;
  /** The first wildcard request is owed an answer even when there is nothing to send. */
  readonly owesAnswer: boolean;
  readonly inFlight: InFlight | undefined;
  readonly lastNonce: string;
}

/** What should be sent now. */
export interface Pending {
  readonly changed: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** Set when `changed` is exactly what these shared differences change. */
  readonly shared: readonly LayerDiff[] | undefined;
}

const NOTHING: Pending = { changed: [], removed: [], shared: undefined };
const NO_NAMES: ReadonlySet<string> = new Set();
const NO_DEVIATIONS: ReadonlyMap<string, Held> = new Map();

/** The state of a type before its first request. */
export function initialTypeState(typeUrl: TypeUrl): TypeState {
  return {
    typeUrl,
    subscribed: false,
    wildcard: false,
    names: NO_NAMES,
    content: { set: undefined, deviations: NO_DEVIATIONS },
    forced: NO_NAMES,
    rejected: new Map<string, Rejection>(),
    limit: undefined,
    owesAnswer: false,
    inFlight: undefined,
    lastNonce: "",
  };
}

/** Whether the client wants a resource of that name. */
export function wants(state: TypeState, name: string): boolean {
  return state.wildcard || state.names.has(name);
}

/** What the client has acknowledged of a name; null: nothing. */
export function heldIn(content: ClientContent, name: string): Held {
  const deviation = content.deviations.get(name);
  if (deviation !== undefined) return deviation;
  return (content.set && findResource(content.set, name)?.version) ?? null;
}

/** Marks names as not held; a name the content does not have anyway needs no mark. */
function forget(content: ClientContent, names: readonly string[]): ClientContent {
  const lost = names.filter(name => heldIn(content, name) !== null);
  if (lost.length === 0) return content;
  const deviations = new Map(content.deviations);
  for (const name of lost) deviations.set(name, null);
  return { set: content.set, deviations };
}

/**
 * Applies the subscription part of a request. Legacy wildcard (xDS protocol, "wildcard subscriptions"): a first request of
 * clusters or listeners that names nothing subscribes to all, until `*` is unsubscribed.
 */
export function applySubscription(
  state: TypeState,
  request: DeltaRequest,
  mayBeWildcard: boolean,
): TypeState {
  if (!state.subscribed) return firstSubscription(state, request, mayBeWildcard);
  const { subscribe, unsubscribe } = request;
  if (subscribe.length === 0 && unsubscribe.length === 0) return state;
  const added = subscribe.filter(isName);
  const dropped = unsubscribe.filter(isName);
  const names = new Set([...state.names, ...added]);
  for (const name of dropped) names.delete(name);
  const star = subscribe.includes("*");
  // Subscribed anew: the client asks to be sent it again. Unsubscribed: it has dropped it.
  const lost = [...added, ...dropped];
  return {
    ...state,
    wildcard: star || (state.wildcard && !unsubscribe.includes("*")),
    names,
    inFlight: state.inFlight && { ...state.inFlight, after: forget(state.inFlight.after, lost) },
    content: forget(state.content, lost),
    owesAnswer: state.owesAnswer || (star && !state.wildcard),
  };
}

function isName(name: string): boolean {
  return name !== "*";
}

function firstSubscription(state: TypeState, request: DeltaRequest, mayBeWildcard: boolean): TypeState {
  const { subscribe, initialVersions } = request;
  const wildcard = subscribe.includes("*") || (mayBeWildcard && subscribe.length === 0);
  return {
    ...state,
    subscribed: true,
    wildcard,
    names: new Set(subscribe.filter(isName)),
    content: { set: undefined, deviations: new Map<string, Held>(initialVersions) },
    owesAnswer: wildcard && initialVersions.size === 0,
  };
}

function isRejected(state: TypeState, resource: EncodedResource): boolean {
  return state.rejected.get(resource.name)?.version === resource.version;
}

/** The resource of that name, if the client wants it and has not refused it. */
function wanted(
  state: TypeState,
  target: ResourceSet | undefined,
  name: string,
): EncodedResource | undefined {
  const resource = target && findResource(target, name);
  return resource !== undefined && wants(state, name) && !isRejected(state, resource) ? resource : undefined;
}

/** The difference when the client has no deviations: a filter over the shared difference. */
function pendingPlain(
  state: TypeState,
  diffs: readonly LayerDiff[],
  target: ResourceSet | undefined,
): Pending {
  const changed: EncodedResource[] = [];
  for (const diff of diffs) {
    for (const resource of diff.changed.values()) {
      if (wants(state, resource.name) && !isRejected(state, resource)) changed.push(resource);
    }
  }
  const whole = changed.length === diffs.reduce((sum, diff) => sum + diff.changed.size, 0);
  const extra = forcedBeside(state, diffs, target);
  const removed = removedOf(state, diffs, target);
  return {
    changed: [...changed, ...extra],
    removed,
    shared: whole && extra.length === 0 ? diffs : undefined,
  };
}

/** Resources that are sent although they are not different. */
function forcedBeside(
  state: TypeState,
  diffs: readonly LayerDiff[],
  target: ResourceSet | undefined,
): readonly EncodedResource[] {
  const extra: EncodedResource[] = [];
  for (const name of state.forced) {
    const resource = wanted(state, target, name);
    if (resource !== undefined && !diffs.some(diff => diff.changed.has(name))) extra.push(resource);
  }
  return extra;
}

/** Names to report as removed: only under a wildcard (a client of named resources drops them by itself). */
function removedOf(
  state: TypeState,
  diffs: readonly LayerDiff[],
  target: ResourceSet | undefined,
): readonly string[] {
  if (!state.wildcard) return [];
  return diffs
    .flatMap(diff => diff.removed)
    .filter(name => target === undefined || findResource(target, name) === undefined);
}

function pendingWithDeviations(
  state: TypeState,
  diffs: readonly LayerDiff[],
  target: ResourceSet | undefined,
): Pending {
  const { deviations } = state.content;
  const plain = pendingPlain(state, diffs, target);
  const changed = plain.changed.filter(r => !deviations.has(r.name) || state.forced.has(r.name));
  const sent = new Set(changed.map(r => r.name));
  const removed = plain.removed.filter(name => !deviations.has(name));
  for (const [name, held] of deviations) {
    const resource = wanted(state, target, name);
    if (resource !== undefined && resource.version !== held && !sent.has(name)) changed.push(resource);
    const gone = target === undefined || findResource(target, name) === undefined;
    if (gone && held !== null && state.wildcard) removed.push(name);
  }
  return { changed, removed, shared: undefined };
}

/** Whether the client has exactly `target`, with nothing under way, refused or owed. */
export function isCurrent(state: TypeState, target: ResourceSet | undefined): boolean {
  const { content, forced, rejected, inFlight, limit } = state;
  if (inFlight !== undefined || content.set !== target || limit !== undefined || state.owesAnswer)
    return false;
  return content.deviations.size + forced.size + rejected.size === 0;
}

/** What was found of a state last; a state never changes, and one step asks several times. */
const found = new WeakMap<
  TypeState,
  { readonly target: ResourceSet | undefined; readonly pending: Pending }
>();

/** What separates the client's content from `target`; nothing when the type is not subscribed. */
export function pendingOf(state: TypeState, target: ResourceSet | undefined, diffs: DiffCache): Pending {
  if (!state.subscribed) return NOTHING;
  const { set, deviations } = state.content;
  if (set === target && deviations.size === 0 && state.forced.size === 0) return NOTHING;
  const known = found.get(state);
  if (known !== undefined && known.target === target) return known.pending;
  const pending = computePending(state, target, diffs);
  found.set(state, { target, pending });
  return pending;
}

function computePending(state: TypeState, target: ResourceSet | undefined, diffs: DiffCache): Pending {
  const { set, deviations } = state.content;
  const steps = diffs.between(set, target);
  return deviations.size === 0
    ? pendingPlain(state, steps, target)
    : pendingWithDeviations(state, steps, target);
}

/** What of a pending part may go out now. */
export interface Permit {
  /** Which removals may go. */
  readonly removals: (name: string) => boolean;
  /** Restricts the changed resources by name; undefined: all may go. */
  readonly names: ((name: string) => boolean) | undefined;
}

/** Keeps only as much of `pending` as may go out now. */
export function restrict(state: TypeState, pending: Pending, permit: Permit): Pending {
  const { names, removals } = permit;
  const allowed = names === undefined ? pending.changed : pending.changed.filter(r => names(r.name));
  const changed = state.limit === undefined ? allowed : allowed.slice(0, state.limit);
  const whole = changed.length === pending.changed.length;
  return { changed, removed: pending.removed.filter(removals), shared: whole ? pending.shared : undefined };
}

/** Whether the client has acknowledged some version of that name. */
export function holds(state: TypeState, name: string): boolean {
  return heldIn(state.content, name) !== null;
}

/** The one shared difference a pending part is, with the half or halves of it; undefined when it is none. */
export function sharedStep(
  pending: Pending,
): { readonly diff: LayerDiff; readonly halves: Halves } | undefined {
  const { shared, changed, removed } = pending;
  const [diff, second] = shared ?? [];
  if (diff === undefined || second !== undefined) return undefined;
  if (removed.length === 0) return { diff, halves: "changed" };
  if (removed.length !== diff.removed.length) return undefined;
  return { diff, halves: changed.length === 0 ? "removed" : "both" };
}

/** The client's content after it has taken `sent` out of `pending`: `target`, except for what was not sent. */
export function contentAfter(
  state: TypeState,
  target: ResourceSet | undefined,
  pending: Pending,
  sent: Pending,
): ClientContent {
  const deviations = new Map<string, Held>();
  for (const name of withheld(pending, sent)) deviations.set(name, heldIn(state.content, name));
  for (const { name, version } of state.rejected.values()) {
    const held = heldIn(state.content, name);
    const resource = target && findResource(target, name);
    if (resource?.version === version && held !== version) deviations.set(name, held);
  }
  return { set: target, deviations: deviations.size === 0 ? NO_DEVIATIONS : deviations };
}

function withheld(pending: Pending, sent: Pending): readonly string[] {
  if (sent.changed.length === pending.changed.length && sent.removed.length === pending.removed.length)
    return [];
  const gone = new Set([...sent.changed.map(r => r.name), ...sent.removed]);
  return [...pending.removed, ...pending.changed.map(r => r.name)].filter(name => !gone.has(name));
}

/** Forgets refusals of versions that are not wanted any more. */
export function dropStaleRejections(state: TypeState, target: ResourceSet | undefined): TypeState {
  if (state.rejected.size === 0) return state;
  const stale = [...state.rejected.values()].filter(
    ({ name, version }) => (target && findResource(target, name)?.version) !== version,
  );
  if (stale.length === 0) return state;
  const rejected = new Map(state.rejected);
  for (const { name } of stale) rejected.delete(name);
  return { ...state, rejected };
}
