import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { objectRefKey, type ObjectRef } from "../../src/model/object-ref";
import { systemClock } from "../../src/runtime/clock";
import { Fleet } from "../../src/runtime/ledger/fleet";
import { ReplicaLedger } from "../../src/runtime/ledger/replica";
import { awayByObject, progressOf } from "../../src/runtime/ledger/sum";
import { startLedgerServer, watchLedger, type LedgerServer } from "../../src/runtime/ledger/transport";
import { watchedLog } from "./told-errors";
import type { LivePod } from "../../src/runtime/ports";
import { type Authority, createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import type { ProxyProgress } from "../../src/status/conditions";
import { AdsRig } from "./ads-rig";

/** Generations as a test says they are compiled. */
class TestReports {
  private readonly compiled = new Map<string, number>();
  private readonly listeners = new Set<(changed: ReadonlySet<string>) => void>();

  generations(): ReadonlyMap<string, number> {
    return this.compiled;
  }

  onCompiled(listener: (changed: ReadonlySet<string>) => void): { close(): void } {
    this.listeners.add(listener);
    return { close: () => this.listeners.delete(listener) };
  }

  compile(key: string, generation: number): void {
    this.compiled.set(key, generation);
    for (const listener of this.listeners) listener(new Set([key]));
  }
}

/** One replica: a real ADS server and its ledger behind a real server of its own. */
export class LedgerRig {
  private server: LedgerServer | undefined;
  ledgerPort = 0;

  private constructor(
    readonly ads: AdsRig,
    readonly reports: TestReports,
    readonly ledger: ReplicaLedger,
    private readonly authority: Authority,
  ) {}

  static async start(authority: Authority, meshConfig: ObjectRef): Promise<LedgerRig> {
    const ads = await AdsRig.start();
    const reports = new TestReports();
    const streams = ads.server.ledger;
    const ledger = new ReplicaLedger({ streams, engine: reports, meshConfig, clock: systemClock });
    const rig = new LedgerRig(ads, reports, ledger, authority);
    await rig.startLedger();
    return rig;
  }

  async startLedger(): Promise<void> {
    const { authority, ledger } = this;
    const options = { host: "127.0.0.1", port: this.ledgerPort, authority, ledger };
    this.server = await startLedgerServer({ ...options, clock: systemClock, log: watchedLog });
    this.ledgerPort = this.server.port;
  }

  stopLedger(): Promise<void> {
    this.server?.stop();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    await this.stopLedger();
    this.ledger.stop();
    await this.ads.stop();
  }
}

const NOTHING: ReadonlySet<string> = new Set();

/** Several replicas and what follows them all. */
export class TestLedgers {
  private readonly expected = new Map<string, LivePod>();
  private readonly ready: boolean[];
  private readonly shaped = new Set<string>();

  private constructor(
    readonly authority: Authority,
    readonly meshConfig: ObjectRef,
    readonly rigs: readonly LedgerRig[],
    readonly fleet: Fleet,
  ) {
    this.ready = rigs.map(() => true);
  }

  static async start(count: number): Promise<TestLedgers> {
    const root = createRoot(Date.now());
    const authority = loadAuthority(root.certPem, root.keyPem);
    const meshConfig: ObjectRef = {
      group: "config.openservicemesh.io",
      kind: "MeshConfig",
      namespace: "osm-system",
      name: MESH_CONFIG_NAME,
    };
    const rigs = await Promise.all(
      Array.from({ length: count }, () => LedgerRig.start(authority, meshConfig)),
    );
    const fleet: Fleet = new Fleet({
      connect: ({ address }, handlers) =>
        watchLedger({ address, authority, clock: systemClock, ...handlers }),
      expected: () => ledgers.expected,
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
    });
    const ledgers: TestLedgers = new TestLedgers(authority, meshConfig, rigs, fleet);
    ledgers.announce();
    return ledgers;
  }

  /** All replicas have compiled this generation. */
  compiled(ref: ObjectRef, generation: number): void {
    this.shaped.add(objectRefKey(ref));
    for (const { reports } of this.rigs) reports.compile(objectRefKey(ref), generation);
  }

  /** Whether a replica takes new proxies. */
  setReady(index: number, ready: boolean): void {
    this.ready[index] = ready;
    this.announce();
  }

  /** A live proxy that should be connected; undefined: it is gone. All objects that were compiled shape it. */
  expect(uid: string, pod: { readonly namespace: string; readonly name: string } | undefined): void {
    if (pod === undefined) this.expected.delete(uid);
    else this.expected.set(uid, { ...pod, uid, serviceAccount: "default", sidecar: true, meshed: true });
    this.fleet.expectedChanged();
  }

  progress(ref: ObjectRef, generation: number): ProxyProgress {
    const everyProxy = ref.kind === "MeshConfig";
    const shapers = (uid: string): ReadonlySet<string> => (this.expected.has(uid) ? this.shaped : NOTHING);
    const view = this.fleet.view();
    const away = awayByObject(view.missing, shapers);
    return progressOf(view, { key: objectRefKey(ref), generation, everyProxy }, away);
  }

  async stop(): Promise<void> {
    this.fleet.stop();
    for (const rig of this.rigs) await rig.stop();
  }

  private announce(): void {
    this.fleet.setReplicas(
      this.rigs.map(({ ledgerPort }, index) => ({
        uid: `replica-${index}`,
        name: `replica-${index}`,
        address: `127.0.0.1:${ledgerPort}`,
        ready: this.ready[index] ?? false,
      })),
    );
  }
}
