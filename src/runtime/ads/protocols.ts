/** The two protocols of a stream, wrapped for {@link Session}. */
import { status } from "@grpc/grpc-js";
import { SDS_SERVICE_CERT } from "../../model/mesh-words";
import type { DiffCache } from "../../xds/diff";
import { findResource, TYPE_URLS, type ResourceSet, type Snapshot, type TypeUrl } from "../../xds/resource";
import { initialSotwState, stepSotw, type SotwState } from "../../xds/sotw";
import { initialStreamState, isServedType, type StreamInput, type StreamState } from "../../xds/stream";
import { step } from "../../xds/step";
import type { Rejection } from "../../xds/type-state";
import { createDeltaDecoder, decodeSotwRequest, type DeltaRequest } from "../../xds/wire";
import { keepHeldLeaf } from "./held-leaf";
import type { AdsObserver } from "./observer";
import { ProtocolViolation, type Protocol } from "./session";

/** Called for every resource a proxy refuses. */
export type OnRejection = (typeUrl: TypeUrl, rejection: Rejection) => void;

function decoded<T>(decode: (bytes: Buffer) => T, bytes: Buffer): T {
  try {
    return decode(bytes);
  } catch {
    throw new ProtocolViolation(status.INVALID_ARGUMENT, "the request is not a discovery request");
  }
}

/** Names a stream may be subscribed to at a time, of all types together: several times what the largest mesh has. */
const MAX_NAMES = 50_000;
/** Longer than any name that the mesh prints: two names of a Service with its namespace, or a caller's identity. */
const MAX_NAME_LENGTH = 1_024;

/**
 * Refuses a request that would have this stream remember more names than there can be: a stream is held to 20 requests a second,
 * but each may bring another 100,000 names.
 */
function checkNames({ typeUrl, subscribe }: DeltaRequest, { types }: StreamState): void {
  if (subscribe.length === 0 || !isServedType(typeUrl)) return;
  if (subscribe.some(({ length }) => length > MAX_NAME_LENGTH))
    throw new ProtocolViolation(status.INVALID_ARGUMENT, "a resource name is too long");
  const added = subscribe.filter(name => types.get(typeUrl)?.names.has(name) !== true).length;
  const known = [...types.values()].reduce((sum, { names }) => sum + names.size, 0);
  if (known + added > MAX_NAMES)
    throw new ProtocolViolation(status.RESOURCE_EXHAUSTED, "too many resource names");
}

/** Refuses a stream whose node id changes: one stream is one proxy. */
class NodeIdGuard {
  private id: string | undefined;

  check(nodeId: string | undefined): void {
    if (nodeId === undefined) return;
    this.id ??= nodeId;
    if (this.id !== nodeId) {
      throw new ProtocolViolation(status.PERMISSION_DENIED, "the node id of a stream must not change");
    }
  }
}

/** Delta ADS. */
export class DeltaProtocol implements Protocol {
  state: StreamState = initialStreamState();
  /** Version that the proxy says it is of. */
  build: string | undefined;
  wakeAt: number | undefined;
  refreshAt: number | undefined;
  private readonly node = new NodeIdGuard();
  private heldVersion: string | undefined;
  private heldAgainst: ResourceSet | undefined;
  private lastSecrets: ResourceSet | undefined;

  constructor(
    private readonly diffs: DiffCache,
    private readonly onRejection: OnRejection,
    private readonly observer: () => AdsObserver | undefined = () => undefined,
    private readonly decode = createDeltaDecoder(),
  ) {}

  onRequest(bytes: Buffer, now: number): readonly Uint8Array[] {
    const request = decoded(this.decode, bytes);
    this.node.check(request.nodeId);
    checkNames(request, this.state);
    this.build = request.build ?? this.build;
    this.observe(request, now);
    const before: Uint8Array[] = [];
    if (
      request.typeUrl === TYPE_URLS.secret &&
      !(this.state.types.get(TYPE_URLS.secret)?.subscribed ?? false)
    ) {
      before.push(...this.adoptHeld(request.initialVersions.get(SDS_SERVICE_CERT), now));
    }
    return [...before, ...this.run({ kind: "request", request, now })];
  }

  onSnapshot(snapshot: Snapshot, now: number): readonly Uint8Array[] {
    return this.run({ kind: "snapshot", snapshot, now });
  }

  onTick(now: number): readonly Uint8Array[] {
    return this.run({ kind: "tick", now });
  }

  get unansweredSince(): number | undefined {
    let since: number | undefined;
    for (const { inFlight } of this.state.types.values()) {
      if (inFlight !== undefined) since = Math.min(since ?? Infinity, inFlight.sentAt);
    }
    return since;
  }

  /** The proxy's own leaf counts until it is due, or until the source renews for whatever reason. */
  secretsFor(secrets: ResourceSet, now: number): ResourceSet {
    this.lastSecrets = secrets;
    this.refreshAt = undefined;
    if (this.heldVersion === undefined) return secrets;
    // No leaf yet: the one that comes is what the held one is compared with.
    if (findResource(secrets, SDS_SERVICE_CERT) === undefined) return secrets;
    this.heldAgainst ??= secrets;
    const held = this.heldAgainst === secrets ? keepHeldLeaf(secrets, this.heldVersion, now) : undefined;
    if (held === undefined) this.heldVersion = undefined;
    this.refreshAt = held?.until;
    return held?.secrets ?? secrets;
  }

  /** Takes note of the leaf a reconnecting proxy reports, before its request is compared with the secrets. */
  private adoptHeld(version: string | undefined, now: number): readonly Uint8Array[] {
    this.heldVersion = version;
    const { snapshot } = this.state;
    if (version === undefined || this.lastSecrets === undefined || snapshot === undefined) return [];
    const secrets = this.secretsFor(this.lastSecrets, now);
    return this.onSnapshot(new Map(snapshot).set(TYPE_URLS.secret, secrets), now);
  }

  private observe({ typeUrl, nonce, error }: DeltaRequest, now: number): void {
    const observer = this.observer();
    if (observer === undefined || !isServedType(typeUrl)) return;
    observer.requested(typeUrl);
    const inFlight = this.state.types.get(typeUrl)?.inFlight;
    if (inFlight?.nonce === nonce) observer.answered(typeUrl, error === undefined, now - inFlight.sentAt);
  }

  private run(input: StreamInput): readonly Uint8Array[] {
    const [state, effects] = step(this.state, input, this.diffs);
    this.state = state;
    this.wakeAt = effects.wakeAt;
    for (const rejection of effects.rejections) this.onRejection(rejection.typeUrl, rejection);
    for (const { typeUrl } of effects.responses) this.observer()?.sent(typeUrl);
    return effects.responses.map(response => response.bytes);
  }
}

/** State of the world. */
export class SotwProtocol implements Protocol {
  readonly wakeAt = undefined;
  readonly refreshAt = undefined;
  readonly unansweredSince = undefined;
  private state: SotwState = initialSotwState();
  private readonly node = new NodeIdGuard();

  onRequest(bytes: Buffer): readonly Uint8Array[] {
    const request = decoded(decodeSotwRequest, bytes);
    this.node.check(request.nodeId);
    return this.run({ kind: "request", request });
  }

  onSnapshot(snapshot: Snapshot): readonly Uint8Array[] {
    return this.run({ kind: "snapshot", snapshot });
  }

  onTick(): readonly Uint8Array[] {
    return [];
  }

  secretsFor(secrets: ResourceSet): ResourceSet {
    return secrets;
  }

  private run(input: Parameters<typeof stepSotw>[1]): readonly Uint8Array[] {
    const [state, responses] = stepSotw(this.state, input);
    this.state = state;
    return responses;
  }
}
