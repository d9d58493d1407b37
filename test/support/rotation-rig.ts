import { until } from "../../hack/cluster/progress";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import { RootKeeper, type RootView } from "../../src/runtime/control-plane/root-keeper";
import { createOpenIssuer } from "../../src/runtime/issuers/open";
import type { OpenIssuer } from "../../src/runtime/issuers/issuer";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import type { Fleet } from "../../src/runtime/ledger/fleet";
import { ReplicaLedger } from "../../src/runtime/ledger/replica";
import { startLedgerServer, type LedgerServer } from "../../src/runtime/ledger/transport";
import { fleetTrust } from "../../src/runtime/ledger/trust";
import { watchedLog } from "./told-errors";
import type { LivePod } from "../../src/runtime/ports";
import { createRoot, type Authority } from "../../src/runtime/secrets/authority";
import { ensureAuthority } from "../../src/runtime/secrets/ca-secret";
import { followRoots, type RootFollower } from "../../src/runtime/secrets/root-follower";
import { AdsRig, TestWorld } from "./ads-rig";
import { startApiServerForTest, type TestApiServer } from "./kube-apiserver";
import { followReplicas } from "./rig-fleet";

/** Namespace of the control plane under test. */
export const OSM = "osm-system";
const ROOTS = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshrootcertificates`;
const common = { clock: systemClock, random: Math.random, log: watchedLog };
const LEAF_MS = 86_400_000;
const TRUST_DOMAIN = "cluster.local";

/** One replica: real ADS, its ledger on a real port, and the roots as they are persisted. */
export interface RotationReplica {
  readonly ads: AdsRig;
  readonly world: TestWorld;
  readonly follower: RootFollower;
}

interface RunningReplica extends RotationReplica {
  readonly ledger: ReplicaLedger;
  readonly server: LedgerServer;
}

/** A MeshRootCertificate as a test reads it. */
export type RootObjectInApi = KubeObject & { readonly spec: Readonly<Record<string, unknown>> };

/** A control plane that rotates roots, on a real API server: replicas, and a single writer that can be killed. */
export class RotationRig {
  /** MeshConfig's feature flag. */
  enabled = true;
  readonly expected = new Map<string, LivePod>();
  readonly views: RootView[] = [];
  readonly replicas: RunningReplica[] = [];
  private writer: { keeper: RootKeeper; fleet: Fleet } | undefined;
  /** Called with every step of the writer. */
  onView: (view: RootView) => void = () => undefined;

  private constructor(
    readonly server: TestApiServer,
    readonly kube: ClosableKubeClient,
    readonly authority: Authority,
    private readonly openIssuer: OpenIssuer,
  ) {}

  static async start(replicas: number): Promise<RotationRig> {
    const server = await startApiServerForTest();
    const kube = server.client();
    const definition = EMBEDDED_CRDS.find(({ metadata }) => metadata.name.startsWith("meshrootcertificates"));
    await kube.apply(
      `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition?.metadata.name ?? ""}`,
      definition,
      "test",
    );
    await kube.create("/api/v1/namespaces", { metadata: { name: OSM } });
    await until("roots to be served", 60_000, async () => {
      await kube.get(ROOTS);
      return true;
    });
    const authority = await ensureAuthority({ ...common, kube, namespace: OSM, now: () => Date.now() });
    const openIssuer = createOpenIssuer({ ...common, kube, osmNamespace: OSM, trustDomain: TRUST_DOMAIN });
    const rig = new RotationRig(server, kube, authority, openIssuer);
    for (let index = 0; index < replicas; index += 1) await rig.addReplica();
    return rig;
  }

  private async addReplica(): Promise<void> {
    const { kube, authority, openIssuer } = this;
    const follow = { ...common, kube, namespace: OSM, authority, openIssuer, trustDomain: TRUST_DOMAIN };
    const follower = await followRoots(follow);
    const world = new TestWorld();
    const ads = await AdsRig.start({ world, authority, leafValidityMs: LEAF_MS });
    ads.secrets.setRoots(follower.roots());
    const meshConfig = { group: "config.openservicemesh.io", kind: "MeshConfig", namespace: OSM };
    const ledger = new ReplicaLedger({
      streams: ads.server.ledger,
      engine: { generations: () => new Map(), onCompiled: () => ({ close: () => undefined }) },
      meshConfig: { ...meshConfig, name: MESH_CONFIG_NAME },
      given: () => ads.secrets.given(),
      clock: systemClock,
    });
    follower.onRoots(roots => {
      ads.secrets.setRoots(roots);
      ledger.givenChanged();
    });
    ads.secrets.onTrouble(() => {
      ledger.givenChanged();
    });
    const server = await startLedgerServer({ ...common, host: "127.0.0.1", port: 0, authority, ledger });
    this.replicas.push({ ads, world, follower, ledger, server });
  }

  /** A live pod with a sidecar, which is waited for; as a token it shows what this answers. */
  expect(name: string): string {
    const identity = { namespace: "shop", serviceAccount: name };
    for (const { world } of this.replicas) world.addPod(identity, name, `uid-${name}`);
    const uid = `uid-${name}`;
    this.expected.set(uid, { ...identity, name, uid, sidecar: true, meshed: true });
    this.writer?.fleet.expectedChanged();
    return `shop/${name}/${name}/${uid}`;
  }

  /** A pod that is waited for no more. */
  forget(name: string): void {
    this.expected.delete(`uid-${name}`);
    this.writer?.fleet.expectedChanged();
  }

  /** Starts the single writer; what it saw before is forgotten. */
  startWriter(): void {
    const { authority, kube, openIssuer } = this;
    const fleet = followReplicas(authority, this.replicas, this.expected);
    const keeper = new RootKeeper({
      ...common,
      kube,
      settings: { osmNamespace: OSM, trustDomain: TRUST_DOMAIN },
      authority,
      openIssuer,
      fleet: () => fleetTrust(fleet.view()),
      gateway: () => undefined,
      isEnabled: () => this.enabled,
      leafLifeMs: () => LEAF_MS,
    });
    keeper.onView(view => {
      this.views.push(view);
      this.onView(view);
    });
    this.writer = { keeper, fleet };
  }

  /** As kill -9 does: nothing is said, nothing is kept. */
  killWriter(): void {
    this.writer?.keeper.stop();
    this.writer?.fleet.stop();
    this.writer = undefined;
  }

  /** Puts a root of the owner's into a Secret, made at that time. */
  async putCa(name: string, madeAt = Date.now()): Promise<void> {
    const root = createRoot(madeAt);
    await this.putSecret(name, { "ca.crt": root.certPem, "private.key": root.keyPem });
  }

  /** Puts a Secret into the control plane's namespace. */
  async putSecret(name: string, stringData: Readonly<Record<string, string>>): Promise<void> {
    const secret = { metadata: { name, namespace: OSM }, type: "Opaque", stringData };
    await this.kube.create(`/api/v1/namespaces/${OSM}/secrets`, secret as unknown as KubeObject);
  }

  /** Asks for a root whose CA is in the Secret of the same name. */
  async createRoot(name: string, spec: object): Promise<void> {
    const tresor = { ca: { secretRef: { name, namespace: OSM } } };
    await this.kube.create(ROOTS, {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshRootCertificate",
      metadata: { name, namespace: OSM },
      spec: { provider: { tresor }, ...spec },
    } as unknown as KubeObject);
  }

  /** Changes a root. */
  async patchRoot(name: string, patch: object): Promise<void> {
    await this.kube.mergePatch(`${ROOTS}/${name}`, patch);
  }

  /** Takes a root away. */
  async deleteRoot(name: string): Promise<void> {
    await this.kube.delete(`${ROOTS}/${name}`);
  }

  async stop(): Promise<void> {
    this.killWriter();
    for (const { ads, follower, ledger, server } of this.replicas) {
      server.stop();
      ledger.stop();
      follower.stop();
      await ads.stop();
    }
    this.kube.close();
    await this.server.stop();
  }
}
