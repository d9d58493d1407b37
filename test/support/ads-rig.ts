import { ADS_SAN } from "../../src/model/mesh-words";
import type { ObjectRef } from "../../src/model/object-ref";
import { identityKey, type ServiceIdentity } from "../../src/model/identity";
import { systemClock } from "../../src/runtime/clock";
import { watchedLog } from "./told-errors";
import { startAds, type AdsOptions, type AdsServer } from "../../src/runtime/ads/server";
import { AuthenticationError } from "../../src/runtime/identity/errors";
import { createRoot, issueServing, loadAuthority, type Authority } from "../../src/runtime/secrets/authority";
import {
  createWorkloadSecrets,
  rootsOf,
  type WorkloadSecrets,
} from "../../src/runtime/secrets/workload-secrets";
import type {
  AuthenticatedProxy,
  Authenticator,
  ConfigSource,
  LivePod,
  PodDirectory,
  StreamEvidence,
} from "../../src/runtime/ports";
import {
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type Layer,
  type Snapshot,
  type TypeUrl,
} from "../../src/xds/resource";
import { encodeFragment } from "../../src/xds/wire";
import { AdsClient, type AdsClientOptions } from "./ads-client";

/** A resource with a body that only test clients read. */
export function testResource(
  typeUrl: TypeUrl,
  name: string,
  version: string,
  options: { readonly origins?: readonly ObjectRef[]; readonly size?: number } = {},
): EncodedResource {
  const body = new Uint8Array(options.size ?? 32).fill(0x20);
  const resource = { typeUrl, name, version, body };
  return { ...resource, fragment: encodeFragment(resource), origins: options.origins ?? [] };
}

/** A layer of resources, by name. */
export function layerOf(resources: readonly EncodedResource[]): Layer {
  return new Map(resources.map(resource => [resource.name, resource]));
}

/** A snapshot with one layer per type. */
export function snapshotOf(resources: readonly EncodedResource[]): Snapshot {
  return new Map(
    Object.values(TYPE_URLS).map(typeUrl => [
      typeUrl,
      resourceSet(typeUrl, layerOf(resources.filter(resource => resource.typeUrl === typeUrl))),
    ]),
  );
}

/** A configuration source and pod directory that a test writes. */
export class TestWorld implements ConfigSource, PodDirectory {
  private readonly pods = new Map<string, LivePod>();
  private readonly listeners: ((uid: string) => void)[] = [];
  private readonly looks = new Map<string, () => void>();
  private readonly subscribers = new Set<(snapshot: Snapshot) => void>();
  private current: Snapshot | undefined;

  /** What every proxy gets from now on. */
  set(snapshot: Snapshot): void {
    this.current = snapshot;
    for (const subscriber of [...this.subscribers]) subscriber(snapshot);
  }

  addPod(identity: ServiceIdentity, name: string, uid: string): LivePod {
    const pod = {
      namespace: identity.namespace,
      serviceAccount: identity.serviceAccount,
      name,
      uid,
      sidecar: true,
      meshed: true,
    };
    this.pods.set(uid, pod);
    return pod;
  }

  put(pod: LivePod): void {
    this.pods.set(pod.uid, pod);
  }

  removePod(uid: string): void {
    this.pods.delete(uid);
    for (const listener of this.listeners) listener(uid);
  }

  /** Calls back whenever somebody looks up that pod, before the answer: a test changes the world while a stream waits. */
  onLook(uid: string, run: () => void): { close(): void } {
    this.looks.set(uid, run);
    return { close: () => this.looks.delete(uid) };
  }

  byUid(uid: string): LivePod | undefined {
    this.looks.get(uid)?.();
    return this.pods.get(uid);
  }

  onGone(listener: (uid: string) => void): void {
    this.listeners.push(listener);
  }

  subscribe(_proxy: unknown, onSnapshot: (snapshot: Snapshot) => void): { close(): void } {
    this.subscribers.add(onSnapshot);
    if (this.current !== undefined) onSnapshot(this.current);
    return { close: () => this.subscribers.delete(onSnapshot) };
  }

  get subscriptions(): number {
    return this.subscribers.size;
  }
}

function plainProxy({ bearerToken, onProven }: StreamEvidence): AuthenticatedProxy {
  const [namespace, serviceAccount, podName, podUid, until] = (bearerToken ?? "").split("/");
  if (
    namespace === undefined ||
    serviceAccount === undefined ||
    podName === undefined ||
    podUid === undefined
  ) {
    throw new AuthenticationError("unauthenticated", "no token was presented");
  }
  onProven?.(podUid);
  const expiresAt = until === undefined ? Number.MAX_SAFE_INTEGER : Number(until);
  return { identity: { namespace, serviceAccount }, podName, podUid, expiresAt };
}

/** Takes `namespace/account/pod/uid` for a token: for tests of what comes after authentication. */
export const plainAuthenticator: Authenticator = {
  authenticate: evidence => Promise.resolve(evidence).then(plainProxy),
};

/** What a rig may be given. */
export interface RigOptions {
  readonly leafValidityMs?: number;
  /** Default: an empty one. */
  readonly world?: TestWorld;
  /** Default: a new one. */
  readonly authority?: Authority;
}

function newAuthority(now: number): Authority {
  const root = createRoot(now);
  return loadAuthority(root.certPem, root.keyPem);
}

/** A real ADS server over TLS on loopback, with a world that the test writes. */
export class AdsRig {
  private readonly clients: AdsClient[] = [];

  private constructor(
    readonly world: TestWorld,
    readonly authority: Authority,
    readonly secrets: WorkloadSecrets,
    readonly server: AdsServer,
  ) {}

  static async start(options: Partial<AdsOptions> & RigOptions = {}): Promise<AdsRig> {
    const now = Date.now();
    const authority = options.authority ?? newAuthority(now);
    const world = options.world ?? new TestWorld();
    const serving = issueServing(authority, [ADS_SAN], { now, validityMs: 3_600_000 });
    const secrets = createWorkloadSecrets({
      roots: rootsOf(authority),
      trustDomain: "cluster.local",
      validityMs: options.leafValidityMs ?? 86_400_000,
      clock: systemClock,
      log: watchedLog,
    });
    const server = await startAds({
      host: "127.0.0.1",
      port: 0,
      serving: { ...serving, clientRoots: authority.certPem },
      config: world,
      pods: world,
      secrets,
      authenticator: plainAuthenticator,
      clock: systemClock,
      log: watchedLog,
      ...options,
    });
    return new AdsRig(world, authority, secrets, server);
  }

  /** A client of a pod that is added to the world; its uid is `uid-<name>`. */
  connect(name = "pod", options: Partial<AdsClientOptions> = {}): AdsClient {
    const identity = { namespace: "shop", serviceAccount: "buyer" };
    const pod = this.world.byUid(`uid-${name}`) ?? this.world.addPod(identity, name, `uid-${name}`);
    return this.open({ token: `${identityKey(identity)}/${pod.name}/${pod.uid}`, ...options });
  }

  /** A client with exactly these credentials. */
  open(options: Partial<AdsClientOptions>): AdsClient {
    const client = new AdsClient({
      address: `127.0.0.1:${this.server.port}`,
      root: this.authority.certPem,
      serverName: ADS_SAN,
      ...options,
    });
    this.clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    this.secrets.stop();
    await this.server.close();
  }
}
