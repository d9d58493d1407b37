import { MESH_CONFIG_NAME, CA_SECRET_NAME } from "../../src/model/mesh-words";
import type { RotationStep } from "../../src/certificate/root-rotation";
import { systemClock } from "../../src/runtime/clock";
import { OwnRootKeeper, ROTATE_OWN_ANNOTATION } from "../../src/runtime/control-plane/own-root-keeper";
import { presentedBy, signedBy } from "../../src/runtime/control-plane/serving";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import type { Fleet } from "../../src/runtime/ledger/fleet";
import { ReplicaLedger } from "../../src/runtime/ledger/replica";
import { startLedgerServer, type LedgerServer } from "../../src/runtime/ledger/transport";
import { fleetTrust } from "../../src/runtime/ledger/trust";
import { watchedLog } from "./told-errors";
import type { LivePod } from "../../src/runtime/ports";
import type { Authority } from "../../src/runtime/secrets/authority";
import { ensureAuthority } from "../../src/runtime/secrets/ca-secret";
import { followOwnAuthority, type OwnAuthority } from "../../src/runtime/secrets/own-authority";
import { startAdsEnvoy, type AdsEnvoy } from "./ads-envoy";
import { AdsRig, snapshotOf } from "./ads-rig";
import { edsCluster, loopbackEndpoint } from "./envoy-resources";
import { startApiServerForTest, type TestApiServer } from "./kube-apiserver";
import { followReplicas } from "./rig-fleet";

const OSM = "osm-system";
const common = { clock: systemClock, random: Math.random, log: watchedLog };
const LIFE = { validityMs: 3_600_000 };
/** Stands for the kubelet's minute and a half, milliseconds. */
const FILES_TAKE_MS = 500;

interface Replica {
  readonly ads: AdsRig;
  readonly own: OwnAuthority;
  readonly ledger: ReplicaLedger;
  readonly server: LedgerServer;
  stop(): Promise<void>;
}

interface Proxy {
  readonly envoy: AdsEnvoy;
  readonly name: string;
  /** Whether its file of roots follows, as a pod's does. */
  follows: boolean;
  file: string;
}

/** Replicas, a single writer that can be killed, and real Envoys whose file of roots is kept as the kubelet keeps it. */
export class OwnRootRig {
  readonly steps: RotationStep[] = [];
  readonly proxies: Proxy[] = [];
  readonly replicas: Replica[] = [];
  /** Called with every step of the writer. */
  onStep: (step: RotationStep) => void = () => undefined;
  private readonly expected = new Map<string, LivePod>();
  private writer:
    | { readonly fleet: Fleet; readonly keeper: OwnRootKeeper; readonly following: { stop(): void } }
    | undefined;
  private kubelet: NodeJS.Timeout | undefined;

  private constructor(
    private readonly server: TestApiServer,
    readonly kube: ClosableKubeClient,
    readonly builtIn: Authority,
  ) {}

  static async start(count: number): Promise<OwnRootRig> {
    const server = await startApiServerForTest();
    const kube = server.client();
    await kube.create("/api/v1/namespaces", { metadata: { name: OSM } });
    const builtIn = await ensureAuthority({ ...common, kube, namespace: OSM, now: () => Date.now() });
    const rig = new OwnRootRig(server, kube, builtIn);
    for (let index = 0; index < count; index += 1) rig.replicas.push(await rig.replica());
    rig.kubelet = setInterval(() => {
      rig.writeFiles();
    }, 100);
    return rig;
  }

  private async replica(): Promise<Replica> {
    const { kube, builtIn } = this;
    const following = await followOwnAuthority({ ...common, kube, namespace: OSM, builtIn });
    const own = following.authority;
    const serving = (): ReturnType<typeof presentedBy>["material"] =>
      presentedBy(own, { now: Date.now(), ...LIFE }).material;
    const isOwn = (certificate: Uint8Array): boolean => signedBy(own, certificate);
    const ads = await AdsRig.start({ authority: builtIn, serving: serving(), isOwn });
    ads.world.set(snapshotOf([edsCluster("app", 20), loopbackEndpoint("app", 9)]));
    const ledger = new ReplicaLedger({
      streams: ads.server.ledger,
      engine: { generations: () => new Map(), onCompiled: () => ({ close: () => undefined }) },
      meshConfig: {
        group: "config.openservicemesh.io",
        kind: "MeshConfig",
        namespace: OSM,
        name: MESH_CONFIG_NAME,
      },
      given: () => ({
        ...ads.secrets.given(),
        own: { trust: own.trustVersion, issuing: own.fingerprint },
      }),
      clock: systemClock,
    });
    own.onChange(() => {
      ads.server.setServing(serving());
      ledger.givenChanged();
    });
    const server = await startLedgerServer({ ...common, host: "127.0.0.1", port: 0, authority: own, ledger });
    const stop = async (): Promise<void> => {
      server.stop();
      ledger.stop();
      following.stop();
      await ads.stop();
    };
    return { ads, own, ledger, server, stop };
  }

  /** A live pod with a real Envoy, connected to a replica; `follows`: its file of roots is kept up to date. */
  async proxy(name: string, replica: number, follows = true): Promise<Proxy> {
    const identity = { namespace: "shop", serviceAccount: name };
    const uid = `uid-${name}`;
    for (const { ads } of this.replicas) ads.world.addPod(identity, name, uid);
    const root = this.builtIn.anchorsPem;
    const adsPort = this.replicas[replica]?.ads.server.port ?? 0;
    const envoy = await startAdsEnvoy({ adsPort, token: `shop/${name}/${name}/${uid}`, root });
    const proxy = { envoy, name, follows, file: root };
    this.proxies.push(proxy);
    this.expected.set(uid, { ...identity, name, uid, sidecar: true, meshed: true });
    this.writer?.fleet.expectedChanged();
    return proxy;
  }

  /** What the ConfigMaps say, which are the writer's. */
  private wanted = "";

  private writeFiles(): void {
    if (this.wanted === "") return;
    for (const proxy of this.proxies) {
      if (!proxy.follows || proxy.file === this.wanted) continue;
      proxy.envoy.setRoot(this.wanted);
      proxy.file = this.wanted;
    }
  }

  async startWriter(): Promise<void> {
    const { kube, builtIn } = this;
    const following = await followOwnAuthority({ ...common, kube, namespace: OSM, builtIn });
    const { authority } = following;
    this.wanted = authority.anchorsPem;
    authority.onChange(() => {
      this.wanted = authority.anchorsPem;
    });
    const fleet = followReplicas(authority, this.replicas, this.expected);
    const keeper = new OwnRootKeeper({
      ...common,
      kube,
      settings: { osmNamespace: OSM },
      builtIn,
      authority,
      fleet: () => fleetTrust(fleet.view()),
      isDistributed: () => this.wanted === authority.anchorsPem,
      filesTakeMs: FILES_TAKE_MS,
      onStep: step => {
        this.steps.push(step);
        this.onStep(step);
      },
    });
    this.writer = { fleet, keeper, following };
  }

  /** As kill -9 does. */
  killWriter(): void {
    this.writer?.keeper.stop();
    this.writer?.fleet.stop();
    this.writer?.following.stop();
    this.writer = undefined;
  }

  /** Asks for another root, as an operator does. */
  async ask(word: string): Promise<void> {
    await this.kube.mergePatch<KubeObject>(this.secretPath, {
      metadata: { annotations: { [ROTATE_OWN_ANNOTATION]: word } },
    });
  }

  get secretPath(): string {
    return `/api/v1/namespaces/${OSM}/secrets/${CA_SECRET_NAME}`;
  }

  /** Names of the proxies that are connected. */
  connected(): readonly string[] {
    return this.replicas
      .flatMap(({ ads }) => ads.server.ledger.proxies().map(({ podName }) => podName))
      .sort();
  }

  /** By proxy: the root that its connection was shown alone, as the replicas tell. */
  shown(): Readonly<Record<string, string | null | undefined>> {
    const rows = this.replicas.flatMap(({ ledger }) => [...ledger.rows().trust.values()]);
    return Object.fromEntries(rows.map(({ name, own }) => [name, own]));
  }

  async stop(): Promise<void> {
    clearInterval(this.kubelet);
    this.killWriter();
    for (const { envoy } of this.proxies) await envoy.stop();
    for (const replica of this.replicas) await replica.stop();
    this.kube.close();
    await this.server.stop();
  }
}
