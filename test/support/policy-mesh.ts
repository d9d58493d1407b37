import type net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { encodeLeaf } from "../../src/envoy/encode";
import type { ServiceIdentity } from "../../src/model/identity";
import { ADS_SAN, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
import { LINGER_MS } from "../../src/runtime/engine";
import type { Authority } from "../../src/runtime/secrets/authority";
import type { WorkloadRoots } from "../../src/runtime/secrets/workload-secrets";
import { heldOf } from "../../src/xds/ledger";
import { TYPE_URLS } from "../../src/xds/resource";
import { systemClock } from "../../src/runtime/clock";
import { createAuthenticator } from "../../src/runtime/identity/authenticator";
import { watchedLog } from "./told-errors";
import type { Authenticator } from "../../src/runtime/ports";
import { AdsRig, plainAuthenticator } from "./ads-rig";
import { type ExternalEnvoy, type ProxyCredentials, startExternalEnvoy } from "./external-proxy";
import { createNetwork, type Network, type NetworkPod } from "./netns";
import { pod, type TestObject } from "./objects";
import { startProgram } from "./pod-process";
import { createWorkshop, redirect, type Sidecar, startSidecar, type Workshop } from "./sidecar";
import { relaySocket } from "./socket-relay";
import { waitFor } from "./wait";
import { createWorld, proxyOf, type World } from "./world";

/** Pods of a mesh: name → identity, undefined for a pod without a sidecar. Each has the label `app: <name>`. */
export type PolicyPods = Readonly<Record<string, ServiceIdentity | undefined>>;

/** Objects of a mesh by the addresses of its pods. */
export type Given<Pods> = (ips: Readonly<Record<keyof Pods, string>>) => readonly TestObject[];

/** Carries what a sidecar says at a socket of the file system to the ADS server, over the TLS that the server insists on. */
function startRelay(socket: string, rig: AdsRig): Promise<net.Server> {
  const upstream = {
    host: "127.0.0.1",
    port: rig.server.port,
    ca: rig.authority.certPem,
    servername: ADS_SAN,
    ALPNProtocols: ["h2"],
  };
  return relaySocket(socket, () => tls.connect(upstream));
}

/** Pods are taken at their word, as nothing here is about tokens; who comes with a certificate alone must prove himself. */
function plainOrProven({ engine }: World): Authenticator {
  const kube = {
    get: () => Promise.reject(new Error("no API server")),
    create: () => Promise.reject(new Error("no API server")),
  };
  const proven = createAuthenticator({
    kube,
    pods: engine,
    trustDomain: "cluster.local",
    clock: systemClock,
    log: watchedLog,
  });
  return {
    authenticate: evidence =>
      (evidence.bearerToken === undefined ? proven : plainAuthenticator).authenticate(evidence),
  };
}

/**
 * Real sidecars that get what the engine makes of a test's objects, from the product's ADS server: what is written here goes
 * the whole way that an object of the API server goes after the informer.
 */
export class PolicyMesh {
  private readonly sidecars = new Map<string, Sidecar>();
  private readonly relays: net.Server[] = [];
  private readonly externals: ExternalEnvoy[] = [];

  private constructor(
    private readonly world: World,
    private readonly rig: AdsRig,
    private readonly network: Network,
    private readonly workshop: Workshop,
  ) {}

  /** Starts pods and sidecars. What `given` makes of the pods' addresses is there from the beginning, and so are the pods. */
  static async start<Pods extends PolicyPods>(
    pods: Pods,
    given: Given<Pods>,
    lingerMs = LINGER_MS,
  ): Promise<PolicyMesh> {
    const world = createWorld(encodeLeaf, { lingerMs, soon: setImmediate });
    const [workshop, network] = await Promise.all([createWorkshop(), createNetwork(Object.keys(pods))]);
    const rig = await AdsRig.start({
      config: world.engine,
      pods: world.engine,
      authenticator: plainOrProven(world),
    });
    const mesh = new PolicyMesh(world, rig, network, workshop);
    try {
      const ips = Object.keys(pods).map(name => [name, network.pod(name).ip]);
      await mesh.fill(pods, given(Object.fromEntries(ips) as Readonly<Record<keyof Pods, string>>));
    } catch (error) {
      await mesh.close();
      throw error;
    }
    return mesh;
  }

  private async fill(pods: PolicyPods, objects: readonly TestObject[]): Promise<void> {
    const meshed = Object.entries(pods).flatMap(([name, identity]) =>
      identity === undefined ? [] : [this.podObject(name, identity)],
    );
    this.world.feed(...objects, ...meshed);
    await Promise.all(meshed.map(object => this.startSidecar(object)));
    await this.settled();
  }

  private podObject(name: string, { namespace, serviceAccount }: ServiceIdentity): TestObject {
    const { ip } = this.place(name);
    return pod({ namespace, name, ips: [ip], labels: { app: name }, serviceAccount });
  }

  private async startSidecar(object: TestObject): Promise<void> {
    const { name } = object.metadata;
    const { identity, podUid } = proxyOf(object);
    this.rig.world.addPod(identity, name, podUid);
    const socket = path.join(this.workshop.folder, `ads-${name}.sock`);
    this.relays.push(await startRelay(socket, this.rig));
    const place = this.place(name);
    redirect(place);
    const token = `${identity.namespace}/${identity.serviceAccount}/${name}/${podUid}`;
    this.sidecars.set(name, await startSidecar(place, this.workshop, socket, { token }));
  }

  /** An Envoy outside of the cluster, on the machine of that name, which joins as its certificate says. */
  async startExternal(name: string, credentials: ProxyCredentials): Promise<ExternalEnvoy> {
    const { port } = this.rig.server;
    const envoy = await startExternalEnvoy(this.place(name), this.workshop, port, credentials);
    this.externals.push(envoy);
    return envoy;
  }

  /** Streams that were not let in so far. */
  get refusedStreams(): Readonly<Record<string, number>> {
    return this.rig.server.stats().refusedStreams;
  }

  /** Names of the proxies that are connected. */
  get connected(): readonly string[] {
    return this.rig.server.ledger.proxies().map(({ podName }) => podName);
  }

  /** Issues what the sidecars trust. */
  get authority(): Authority {
    return this.rig.authority;
  }

  /** What Envoys have refused. */
  get refused(): readonly string[] {
    return this.rig.server.ledger.refusals().map(refusal => JSON.stringify(refusal));
  }

  /** What the engine has logged as errors. */
  get errors(): readonly string[] {
    return this.world.errors;
  }

  /** Whom workloads trust from now on, who issues to them, and by which names they are known. */
  trust(roots: WorkloadRoots): void {
    this.rig.secrets.setRoots(roots);
    this.world.engine.setTrustDomain(roots.trustDomains ?? "cluster.local", roots.callerDomains);
  }

  /** Fingerprints of the roots of which the sidecars have leaves, as acknowledged. */
  get issuers(): readonly (string | undefined)[] {
    const leaves = [...this.rig.server.ledger.newest()].map(({ state }) =>
      heldOf(state, TYPE_URLS.secret, SDS_SERVICE_CERT),
    );
    return leaves.map(version => (version ?? undefined)?.split(".")[0]);
  }

  place(name: string): NetworkPod {
    return this.network.pod(name);
  }

  /** A program of the folder of this file, running in a pod. */
  program(name: string, file: string): object {
    return startProgram(this.place(name), file);
  }

  sidecar(name: string): Sidecar {
    const found = this.sidecars.get(name);
    if (found === undefined) throw new Error(`${name} has no sidecar`);
    return found;
  }

  /** Objects that are new or changed, as one flush. */
  write(...objects: readonly TestObject[]): void {
    this.world.feed(...objects);
  }

  drop(...objects: readonly TestObject[]): void {
    this.world.drop(...objects);
  }

  /** Both in one flush. */
  change(upserts: readonly TestObject[], removals: readonly TestObject[]): void {
    this.world.change({ upserts, removals });
  }

  /** Resolves when every sidecar has acknowledged everything. */
  async settled(): Promise<void> {
    await waitFor(
      "acknowledgements",
      () => this.rig.server.ledger.summary().synced === this.sidecars.size,
      60_000,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.externals.map(external => external.stop()));
    await this.network.close();
    for (const relay of this.relays) relay.close();
    await this.rig.stop();
    this.workshop.remove();
  }
}
