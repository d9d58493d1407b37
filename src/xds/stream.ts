/**
 * One delta ADS stream as a pure function, in full: `stepInFull(state, input) → [state, effects]` (the server calls `step`). It keeps the order across types
 * (make before break), one response in flight per type, and the last good configuration after a rejection.
 */
import type { DiffCache } from "./diff";
import { TYPE_URLS, type ResourceSet, type Snapshot, type TypeUrl } from "./resource";
import {
  applySubscription,
  contentAfter,
  dropStaleRejections,
  holds,
  initialTypeState,
  pendingOf,
  restrict,
  sharedStep,
  type ClientContent,
  type Pending,
  type Permit,
  type Rejection,
  type TypeState,
} from "./type-state";
import { acknowledge, refuse } from "./verdict";
import { frameDeltaResponse, frameRemoved, frameResources, type DeltaRequest } from "./wire";

const INBOUND = "inbound";

/**
 * The server's side: its listener and route tables, and callers' gates (listeners and clusters). They hold the permissions,
 * and refer to clusters of the pod itself only, so a change of what the client has waits for no others: a withdrawn
 * permission must not hang on some other service. It waits for a new gate of the same port, usually for milliseconds and for
 * {@link GATE_TIMEOUT_MS} at most.
 */
export function isInbound(name: string): boolean {
  return name === INBOUND || isGate(name);
}

/**
 * Of a listener: a caller's gate (`callerGateName`); of a route table: that of a port, which leads to its gates. A request that
 * is led to a gate before it is there is lost.
 */
function isGate(name: string): boolean {
  return name.startsWith(`${INBOUND}|`);
}

/** The port that gates, their clusters, route tables and applications of the server's side have in their names. */
function portOf(name: string): string {
  return name.split("|", 2)[1] ?? "";
}

/** Of a cluster: that it leads to the pod's own application. */
export function isApplication(name: string): boolean {
  return name.startsWith("local|");
}

/** Milliseconds after which a withheld addition or removal is sent without the acknowledgement it waits for. */
export const GATE_TIMEOUT_MS = 1000;

/**
 * Send order of additions, each with its reason: clusters before what refers to them; endpoints and secrets at once after
 * the clusters that warm on them; listeners and routes only when clusters that are new to the client are acknowledged with
 * their endpoints (a change of known ones makes nobody wait). Removals go the other way: a cluster leaves when no listener
 * or route update is outstanding.
 */
export const SEND_ORDER: readonly TypeUrl[] = [
  TYPE_URLS.cluster,
  TYPE_URLS.endpoint,
  TYPE_URLS.secret,
  TYPE_URLS.listener,
  TYPE_URLS.extension,
  TYPE_URLS.route,
];
/** No restriction. */
const ALL: Permit = { removals: () => true, names: undefined };
/** Types whose updates may refer to clusters. */
const REFERRING: readonly TypeUrl[] = [TYPE_URLS.listener, TYPE_URLS.extension, TYPE_URLS.route];
/** Types for which a first request without names means "all". */
const LEGACY_WILDCARD: readonly TypeUrl[] = [TYPE_URLS.cluster, TYPE_URLS.listener];

/** State of one stream; never changed in place. */
export interface StreamState {
  readonly types: ReadonlyMap<TypeUrl, TypeState>;
  /** undefined until the first snapshot has come; requests are held until then. */
  readonly snapshot: Snapshot | undefined;
  /** Since when something is withheld behind an acknowledgement, epoch milliseconds. */
  readonly gatedSince: number | undefined;
  /** The gate is not waited for any more, until nothing is withheld. */
  readonly waived: boolean;
  /** Clusters that were new to the client when they were sent, and are not known to serve yet. */
  readonly warming: ReadonlySet<string>;
  /** Responses sent so far. */
  readonly sent: number;
}

/** What happens to a stream; `now` in epoch milliseconds. */
export type StreamInput = { readonly now: number } & (
  | { readonly kind: "request"; readonly request: DeltaRequest }
  | { readonly kind: "snapshot"; readonly snapshot: Snapshot }
  | { readonly kind: "tick" }
);

/** A response to write to the stream. */
export interface StreamResponse {
  readonly typeUrl: TypeUrl;
  readonly nonce: string;
  readonly bytes: Uint8Array;
  /** How many resources and removals it carries. */
  readonly resources: number;
  readonly removals: number;
}

/** What a step wants done. */
export interface StreamEffects {
  readonly responses: readonly StreamResponse[];
  readonly rejections: readonly (Rejection & { readonly typeUrl: TypeUrl })[];
  /** A tick is wanted at this time; undefined: none. */
  readonly wakeAt: number | undefined;
}

/** A stream that has just been opened. */
export function initialStreamState(): StreamState {
  return {
    types: new Map(),
    snapshot: undefined,
    gatedSince: undefined,
    waived: false,
    warming: new Set(),
    sent: 0,
  };
}

/** State of one type, also before its first request. */
export function typeStateOf(state: StreamState, typeUrl: TypeUrl): TypeState {
  return state.types.get(typeUrl) ?? initialTypeState(typeUrl);
}

/** Whether the mesh serves a type. Requests for other types are left unanswered. */
export function isServedType(typeUrl: string): typeUrl is TypeUrl {
  return SEND_ORDER.some(known => known === typeUrl);
}

/** Advances a stream by one input. `diffs` is the memory shared by all streams of a server. */
export function stepInFull(
  state: StreamState,
  input: StreamInput,
  diffs: DiffCache,
): [StreamState, StreamEffects] {
  const work = new Work(state, diffs, input.now);
  if (input.kind === "request") work.request(input.request);
  if (input.kind === "snapshot") work.snapshot = input.snapshot;
  work.pump();
  return work.result();
}

/** Takes up a snapshot of which only one type is to be looked at. */
export function stepOneType(
  state: StreamState,
  input: Extract<StreamInput, { kind: "snapshot" }>,
  diffs: DiffCache,
  typeUrl: TypeUrl,
): [StreamState, StreamEffects] {
  const work = new Work(state, diffs, input.now);
  work.snapshot = input.snapshot;
  work.advance(typeUrl, ALL);
  return work.result();
}

/** One step in progress: a private draft of the next state. */
class Work {
  private types: ReadonlyMap<TypeUrl, TypeState>;
  /** {@link Work.types} once there is something to change in it. */
  private draft: Map<TypeUrl, TypeState> | undefined;
  snapshot: Snapshot | undefined;
  private readonly responses: StreamResponse[] = [];
  private readonly rejections: (Rejection & { typeUrl: TypeUrl })[] = [];
  private blocked = false;
  private waived: boolean;
  private gatedSince: number | undefined;
  private readonly warming: Set<string>;

  constructor(
    private readonly before: StreamState,
    private readonly diffs: DiffCache,
    private readonly now: number,
  ) {
    this.types = before.types;
    this.snapshot = before.snapshot;
    this.gatedSince = before.gatedSince;
    this.warming = new Set(before.warming);
    this.waived =
      before.waived || (before.gatedSince !== undefined && now - before.gatedSince >= GATE_TIMEOUT_MS);
  }

  request(request: DeltaRequest): void {
    const { typeUrl } = request;
    if (!isServedType(typeUrl)) return;
    let state = this.type(typeUrl);
    const { inFlight } = state;
    if (inFlight !== undefined && request.nonce === inFlight.nonce) {
      if (request.error === undefined) {
        state = acknowledge(state, inFlight);
      } else {
        const verdict = refuse(state, inFlight, request.error);
        state = verdict.state;
        this.rejections.push(...verdict.rejections.map(rejection => ({ ...rejection, typeUrl })));
        if (typeUrl === TYPE_URLS.cluster) this.forgetForced(verdict.rejections.map(r => r.name));
      }
    }
    this.put(typeUrl, applySubscription(state, request, LEGACY_WILDCARD.includes(typeUrl)));
  }

  pump(): void {
    if (this.snapshot === undefined) return;
    for (const [typeUrl, state] of [...this.types]) {
      const kept = dropStaleRejections(state, this.target(typeUrl));
      if (kept !== state) this.put(typeUrl, kept);
    }
    const { cluster, endpoint, secret } = TYPE_URLS;
    this.advance(cluster, this.referrersSettled() ? ALL : { ...ALL, removals: () => false });
    this.advance(endpoint, ALL);
    this.advance(secret, ALL);
    const open = this.destinationsSettled() || this.waived;
    for (const typeUrl of REFERRING) {
      if (!open) this.advanceInbound(typeUrl);
      else if (typeUrl === TYPE_URLS.route) this.advanceRoutes();
      else this.advance(typeUrl, ALL);
    }
    // Listeners and routes may have settled in this very step without anything to send.
    if (this.referrersSettled()) this.advance(cluster, ALL);
  }

  result(): [StreamState, StreamEffects] {
    this.gatedSince = this.blocked ? (this.gatedSince ?? this.now) : undefined;
    const wakeAt = this.blocked && !this.waived ? (this.gatedSince ?? this.now) + GATE_TIMEOUT_MS : undefined;
    if (this.waived) this.giveUpOnEndpoints();
    const state: StreamState = {
      types: this.types,
      snapshot: this.snapshot,
      gatedSince: this.gatedSince,
      waived: this.blocked && this.waived,
      warming: this.warming,
      sent: this.before.sent + this.responses.length,
    };
    return [state, { responses: this.responses, rejections: this.rejections, wakeAt }];
  }

  /** A client that has not asked for endpoints until the gate timed out is not waited for again. */
  private giveUpOnEndpoints(): void {
    const endpoints = this.type(TYPE_URLS.endpoint);
    if (!endpoints.subscribed) this.forgetForced([...endpoints.forced]);
  }

  private put(typeUrl: TypeUrl, state: TypeState): void {
    this.draft ??= new Map(this.before.types);
    this.types = this.draft.set(typeUrl, state);
  }

  private type(typeUrl: TypeUrl): TypeState {
    return this.types.get(typeUrl) ?? initialTypeState(typeUrl);
  }

  private target(typeUrl: TypeUrl): ResourceSet | undefined {
    return this.snapshot?.get(typeUrl);
  }

  /** Something of this type is in flight or still to be sent. */
  private outstanding(typeUrl: TypeUrl): boolean {
    const state = this.type(typeUrl);
    if (state.inFlight !== undefined) return true;
    const { changed, removed } = pendingOf(state, this.target(typeUrl), this.diffs);
    return changed.length > 0 || removed.length > 0 || (state.subscribed && state.owesAnswer);
  }

  /** No listener or route that may still name an old cluster is on its way: clusters may be removed. */
  private referrersSettled(): boolean {
    return REFERRING.every(typeUrl => !this.outstanding(typeUrl));
  }

  /** The client holds every cluster that listeners and routes of this snapshot may newly refer to, ready to serve. */
  private destinationsSettled(): boolean {
    this.forgetWarm();
    if (this.warming.size > 0) return false;
    const clusters = this.type(TYPE_URLS.cluster);
    const { changed } = pendingOf(clusters, this.target(TYPE_URLS.cluster), this.diffs);
    if (changed.some(({ name }) => !holds(clusters, name))) return false;
    const secrets = this.type(TYPE_URLS.secret);
    return !(secrets.inFlight?.resources.some(({ name }) => !holds(secrets, name)) ?? false);
  }

  /** A cluster serves when it is acknowledged and so are its endpoints; refused or gone, nobody waits for it. */
  private forgetWarm(): void {
    if (this.warming.size === 0) return;
    const endpoints = this.type(TYPE_URLS.endpoint);
    const sent = [this.type(TYPE_URLS.cluster).inFlight, endpoints.inFlight];
    const underWay = new Set(sent.flatMap(flight => (flight?.resources ?? []).map(({ name }) => name)));
    for (const name of this.warming) {
      const awaited = endpoints.forced.has(name) && this.hasEndpoints(name);
      if (!awaited && !underWay.has(name)) this.warming.delete(name);
    }
  }

  private hasEndpoints(name: string): boolean {
    return this.target(TYPE_URLS.endpoint)?.layers.some(layer => layer.has(name)) ?? false;
  }

  /**
   * Behind what warms: what waits makes the step come again. Permissions the client holds go out all the same, and so do gates
   * that come or go; what newly leads to a gate waits, on its port alone, until the gate and the pod's own clusters are there.
   */
  private advanceInbound(typeUrl: TypeUrl): void {
    if (!this.outstanding(typeUrl)) return;
    this.blocked = true;
    const state = this.type(typeUrl);
    const behind = this.portsWithoutClusters();
    const gates = typeUrl === TYPE_URLS.listener && holds(state, INBOUND);
    const ofGates = (name: string): boolean => gates && isGate(name);
    const isReady = this.leadsToSentGates(typeUrl);
    const names = (name: string): boolean => {
      if (!isInbound(name) || !(ofGates(name) || holds(state, name)) || !isReady(name)) return false;
      return name === INBOUND ? behind.size === 0 : !behind.has(portOf(name));
    };
    const { changed, removed } = pendingOf(state, this.target(typeUrl), this.diffs);
    if (changed.some(({ name }) => names(name)) || removed.some(ofGates))
      this.advance(typeUrl, { removals: ofGates, names });
  }

  private advanceRoutes(): void {
    const { route } = TYPE_URLS;
    const names = this.leadsToSentGates(route);
    const { changed } = pendingOf(this.type(route), this.target(route), this.diffs);
    if (changed.every(({ name }) => names(name))) {
      this.advance(route, ALL);
      return;
    }
    this.blocked = true;
    if (changed.some(({ name }) => names(name))) this.advance(route, { ...ALL, names });
  }

  /** Ports of the pod's own clusters that the client is to have and has not. */
  private portsWithoutClusters(): ReadonlySet<string> {
    const clusters = this.type(TYPE_URLS.cluster);
    const { changed } = pendingOf(clusters, this.target(TYPE_URLS.cluster), this.diffs);
    const missing = [...changed, ...(clusters.inFlight?.resources ?? [])]
      .map(({ name }) => name)
      .filter(name => (isGate(name) || isApplication(name)) && !holds(clusters, name));
    return new Set(missing.map(portOf));
  }

  /** Whether a route table leads to no gate that still waits behind another response of listeners; true of all else. */
  private leadsToSentGates(typeUrl: TypeUrl): (name: string) => boolean {
    if (this.waived || typeUrl !== TYPE_URLS.route) return () => true;
    const listeners = this.type(TYPE_URLS.listener);
    const { changed } = pendingOf(listeners, this.target(TYPE_URLS.listener), this.diffs);
    const sent = new Set(listeners.inFlight?.resources.map(({ name, version }) => `${version} ${name}`));
    const unsent = changed.filter(
      ({ name, version }) => isGate(name) && !holds(listeners, name) && !sent.has(`${version} ${name}`),
    );
    const ports = new Set(unsent.map(({ name }) => portOf(name)));
    return name => !isGate(name) || !ports.has(portOf(name));
  }

  advance(typeUrl: TypeUrl, permit: Permit): void {
    const state = this.type(typeUrl);
    if (!state.subscribed || state.inFlight !== undefined) return;
    const target = this.target(typeUrl);
    const pending = pendingOf(state, target, this.diffs);
    const sending = restrict(state, pending, this.waived ? { ...permit, removals: ALL.removals } : permit);
    if (sending.removed.length < pending.removed.length) this.blocked = true;
    const after = contentAfter(state, target, pending, sending);
    if (sending.changed.length > 0 || sending.removed.length > 0 || state.owesAnswer) {
      this.send(state, sending, after);
    } else if (state.content.set !== target || state.content.deviations.size !== after.deviations.size) {
      this.put(typeUrl, { ...state, content: after, limit: undefined });
    }
  }

  private send(state: TypeState, sending: Pending, after: ClientContent): void {
    const { typeUrl } = state;
    const response = this.frame(state, sending);
    if (typeUrl === TYPE_URLS.cluster) {
      for (const { name } of sending.changed) if (!holds(state, name)) this.warming.add(name);
    }
    this.responses.push(response);
    this.put(typeUrl, {
      ...state,
      owesAnswer: false,
      lastNonce: response.nonce,
      forced: remaining(state.forced, sending),
      inFlight: { nonce: response.nonce, sentAt: this.now, resources: sending.changed, after },
    });
    if (typeUrl === TYPE_URLS.cluster) this.forceEndpoints(sending);
  }

  /** A cluster that changes warms again and waits for endpoints even if they are the same as before. */
  private forceEndpoints(sent: Pending): void {
    const endpoints = this.type(TYPE_URLS.endpoint);
    const forced = new Set(endpoints.forced);
    for (const { name } of sent.changed) if (this.hasEndpoints(name)) forced.add(name);
    this.put(TYPE_URLS.endpoint, { ...endpoints, forced });
    this.forgetForced(sent.removed);
  }

  /** Nobody will ask for the endpoints of a cluster that was refused or is gone. */
  private forgetForced(names: readonly string[]): void {
    const endpoints = this.type(TYPE_URLS.endpoint);
    const forced = new Set(endpoints.forced);
    for (const name of names) forced.delete(name);
    if (forced.size < endpoints.forced.size) this.put(TYPE_URLS.endpoint, { ...endpoints, forced });
  }

  private frame(state: TypeState, sending: Pending): StreamResponse {
    const { typeUrl } = state;
    const counts = { typeUrl, resources: sending.changed.length, removals: sending.removed.length };
    const common = counts.resources + counts.removals > 0 ? sharedStep(sending) : undefined;
    const shared =
      common?.diff.response(typeUrl, common.halves) ??
      (counts.removals === 0 ? this.diffs.few(typeUrl, sending.changed) : undefined);
    if (shared !== undefined && shared.nonce !== state.lastNonce) return { ...counts, ...shared };
    const nonce = `s${this.before.sent + this.responses.length}`;
    const framed = sending.shared?.map(diff => diff.framedChanged()) ?? [frameResources(sending.changed)];
    const parts = [...framed, frameRemoved(sending.removed)];
    return { ...counts, nonce, bytes: frameDeltaResponse(typeUrl, nonce, parts) };
  }
}

function remaining(forced: ReadonlySet<string>, sent: Pending): ReadonlySet<string> {
  if (forced.size === 0) return forced;
  const rest = new Set(forced);
  for (const { name } of sent.changed) rest.delete(name);
  return rest;
}
