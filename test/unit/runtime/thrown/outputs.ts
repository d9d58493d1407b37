/** Places on the way out: metrics, pages, ledgers, status, objects that are kept, admission. */
import { expect } from "chai";
import https from "node:https";
import { ADS_SAN } from "../../../../src/model/mesh-words";
import { serveApi } from "../../../../src/runtime/api/serve";
import { systemClock } from "../../../../src/runtime/clock";
import { KeyedWorker } from "../../../../src/runtime/control-plane/keyed-worker";
import { followProgress } from "../../../../src/runtime/control-plane/progress";
import { startResync } from "../../../../src/runtime/control-plane/resync";
import { containedClock } from "../../../../src/runtime/contained";
import { createDebugEndpoint, healthPages, listenHttp } from "../../../../src/runtime/http-endpoints";
import { Fleet, type Connect, type Replica } from "../../../../src/runtime/ledger/fleet";
import { ReplicaLedger } from "../../../../src/runtime/ledger/replica";
import type { LedgerMessage, RefusedRow } from "../../../../src/runtime/ledger/rows";
import { createMetrics } from "../../../../src/runtime/metrics";
import {
  observeDelivery,
  observeExpiry,
  observeFleet,
  observeInformers,
  observeIssuing,
  observeMesh,
  observeStreams,
} from "../../../../src/runtime/observe";
import { keep } from "../../../../src/runtime/ownership";
import { createRoot, loadAuthority } from "../../../../src/runtime/secrets/authority";
import { createEventWriter } from "../../../../src/runtime/status/events";
import { createStatusWriter } from "../../../../src/runtime/status/writer";
import type { Log } from "../../../../src/runtime/ports";
import { createDiffCache } from "../../../../src/xds/diff";
import { initialStreamState } from "../../../../src/xds/stream";
import { TurnedClock } from "../../../support/turned-clock";
import { listing, settled, throws, type Place } from "./place";

const random = (): number => 0.5;
const none = { close: () => undefined };
const silent = { onEvent: () => undefined, observe: () => undefined, onIssued: () => undefined };

type Observe = (metrics: ReturnType<typeof createMetrics>) => void;
/** As much of a collaborator as is asked for here. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the place that it is handed to says what it is
const given = <T>(value: object): T => value as unknown as T;

/** Each with a collaborator that throws when it is read. */
const COLLECTORS: Readonly<Record<string, Observe>> = {
  informers: metrics => {
    const bad = { staleness: throws, isSynced: true, stats: () => ({}) };
    observeInformers(metrics, given({ byKind: new Map([["Pod", bad]]) }));
  },
  streams: metrics => {
    observeStreams(metrics, { stats: throws });
  },
  delivery: metrics => {
    observeDelivery(metrics, given({ ...silent, ledger: { refusals: throws } }));
  },
  issuing: metrics => {
    observeIssuing(metrics, { ...silent, issued: 0, trouble: throws });
  },
  expiry: metrics => {
    observeExpiry(metrics, { root: throws });
  },
  mesh: metrics => {
    const world = given<Parameters<typeof observeMesh>[1]["world"]>({
      ...silent,
      engine: { meshConfig: throws },
    });
    observeMesh(metrics, { world, version: "1", role: "watcher" });
  },
  fleet: metrics => {
    observeFleet(metrics, { view: throws }, given({ onDiagnostics: () => none }));
  },
};

const METRICS: readonly Place[] = Object.entries(COLLECTORS).map(([name, observe]) => ({
  name: `metrics of ${name}`,
  told: "contained: metrics",
  look: log => {
    const metrics = createMetrics(log);
    observe(metrics);
    const last = metrics.gauge({ name: "osm_last", help: "Last." });
    metrics.onCollect(() => {
      last.set(7);
    });
    expect(metrics.text()).to.contain("\nosm_last 7\n");
  },
}));

async function statusOf(port: number, path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).status;
}

/** A page that throws, and what is answered beside it. */
async function apiAnswers(log: Log, page: () => unknown): Promise<readonly number[]> {
  const root = createRoot(Date.now());
  const authority = loadAuthority(root.certPem, root.keyPem);
  const pages = { "/bad": page, "/good": () => ({}) };
  const allowed = (header: string | undefined): Promise<boolean> =>
    header === "bad" ? throws() : Promise.resolve(true);
  const api = await serveApi({ authority, clock: systemClock, log, port: 0, allowed, pages });
  const ask = (path: string, authorization = "good"): Promise<number> =>
    new Promise(resolve => {
      const { port } = api;
      const headers = { authorization };
      const options = {
        host: "127.0.0.1",
        port,
        path,
        headers,
        servername: ADS_SAN,
        ca: root.certPem,
        agent: false,
      };
      const request = https.get(options as https.RequestOptions, response => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("error", () => {
        resolve(0);
      });
    });
  try {
    return [await ask("/bad", page === throws ? "good" : "bad"), await ask("/good")];
  } finally {
    api.stop();
  }
}

const PAGES: readonly Place[] = [
  {
    name: "page of the health endpoint",
    told: '"path":"/health/ready"',
    look: async log => {
      const pages = healthPages({ metrics: createMetrics(), notReady: throws, version: {} });
      const endpoint = await listenHttp({ log, host: "127.0.0.1", port: 0, pages });
      const answers = [
        await statusOf(endpoint.port, "/health/ready"),
        await statusOf(endpoint.port, "/metrics"),
      ];
      await endpoint.close();
      expect(answers).to.deep.equal([500, 200]);
    },
  },
  {
    name: "page of the debug endpoint",
    told: '"path":"/debug/bad"',
    look: async log => {
      const debug = createDebugEndpoint({
        log,
        port: 0,
        pages: { "/debug/bad": throws, "/debug/good": () => 1 },
      });
      debug.setEnabled(true);
      await debug.settled();
      const port = debug.port() ?? 0;
      const answers = [await statusOf(port, "/debug/bad"), await statusOf(port, "/debug/good")];
      debug.setEnabled(false);
      await debug.settled();
      expect(answers).to.deep.equal([500, 200]);
    },
  },
  {
    name: "page of the read-only API",
    told: "the read-only API could not answer",
    look: async log => {
      expect(await apiAnswers(log, throws)).to.deep.equal([503, 200]);
    },
  },
  {
    name: "check of who asks the read-only API",
    told: "the read-only API could not answer",
    look: async log => {
      expect(await apiAnswers(log, () => ({}))).to.deep.equal([503, 200]);
    },
  },
];

const replica = (name: string): Replica => ({ uid: name, name, address: "127.0.0.1:1", ready: true });
const refused: RefusedRow = {
  typeUrl: "t",
  name: "r",
  version: "1",
  message: "no",
  origins: [],
  count: 1,
  proxy: "shop/p",
};
const message = { full: true, rows: { refused: { r: refused } } } as unknown as LedgerMessage;

/** A fleet of two replicas, each of which tells the same as soon as it is asked. */
function fleetOf(log: Log, isBad: (name: string) => boolean): Fleet {
  const connect: Connect = ({ name }, handlers) => {
    if (isBad(name)) throws();
    queueMicrotask(() => {
      handlers.onMessage(message);
    });
    return none;
  };
  return new Fleet({ connect, expected: () => new Map(), clock: new TurnedClock(), random, log });
}

const FLEET: readonly Place[] = [
  {
    name: "connection to the ledger of one replica",
    told: '"replica":"bad"',
    look: async log => {
      const fleet = fleetOf(log, name => name === "bad");
      fleet.setReplicas([replica("bad"), replica("good")]);
      await settled();
      expect(fleet.replicas().map(({ rows }) => rows !== undefined)).to.deep.equal([false, true]);
      expect(fleet.view().complete, "what is not known is not taken for done").to.equal(false);
      fleet.stop();
    },
  },
  ...(["onChange", "onRefusal"] as const).map(
    (subscribe): Place => ({
      name: `listener of the fleet: ${subscribe}`,
      told: subscribe === "onChange" ? "counts have changed" : '"resource":"r"',
      look: async log => {
        const fleet = fleetOf(log, () => false);
        let told = 0;
        fleet[subscribe](throws);
        fleet[subscribe](() => (told += 1));
        fleet.setReplicas([replica("good")]);
        await settled();
        expect([told > 0, fleet.view().complete]).to.deep.equal([true, true]);
        fleet.stop();
      },
    }),
  ),
  {
    name: "count of one object's proxies",
    told: "Retry",
    look: log => {
      const clock = new TurnedClock();
      const touched: string[] = [];
      const generations = new Map(
        ["bad", "good"].map(name => [`Retry.policy.openservicemesh.io/shop/${name}`, 1]),
      );
      const listeners: ((changed: ReadonlySet<string>) => void)[] = [];
      const engine = {
        generations: () => generations,
        onCompiled: (listener: (changed: ReadonlySet<string>) => void) => {
          listeners.push(listener);
          return none;
        },
        expectedProxies: () => new Map(),
        describe: () => undefined,
      };
      // The first is of who is unconnected, for all objects; then one for each.
      let views = 0;
      const view = (): object =>
        views++ === 1 ? throws() : { replicas: [], complete: true, missing: new Map<string, string>() };
      const fleet = given<Fleet>({ view, onChange: () => none });
      const touch = ({ name }: { readonly name: string }): void => void touched.push(name);
      const progress = followProgress({ engine: given(engine), fleet, clock, log, touch });
      for (const tell of listeners) tell(new Set(generations.keys()));
      clock.pass(100);
      progress.stop();
      expect(touched).to.deep.equal(["good"]);
    },
  },
];

/** A replica with one good stream and one that cannot be looked at, and what its watchers are sent. */
function ledgerOf(log: Log, isBad: boolean): { readonly ledger: ReplicaLedger; readonly clock: TurnedClock } {
  const clock = new TurnedClock();
  const stream = (podName: string): object => ({
    proxy: { podName, podUid: podName, identity: { namespace: "shop", serviceAccount: "a" } },
    openedAt: 1,
    bytesSent: 0,
    get state() {
      return isBad && podName === "bad" ? throws() : initialStreamState();
    },
  });
  const streams = {
    newest: () => [stream("bad"), stream("good")],
    diffs: createDiffCache(),
    refusals: () => [],
    onChange: () => none,
  };
  const ledger = new ReplicaLedger({
    streams: given(streams),
    engine: { generations: () => new Map(), onCompiled: () => none },
    meshConfig: { group: "", kind: "MeshConfig", namespace: "osm", name: "mesh" },
    clock,
    log,
  });
  return { ledger, clock };
}

const REPLICA: readonly Place[] = [
  {
    name: "count of one proxy",
    told: '"pod":"bad"',
    look: log => {
      expect([...ledgerOf(log, true).ledger.rows().proxy.keys()]).to.deep.equal(["good"]);
    },
  },
  {
    name: "watcher of a replica's ledger",
    told: "watcher of the ledger",
    look: log => {
      const { ledger, clock } = ledgerOf(log, false);
      let calls = 0;
      const sent: string[] = [];
      ledger.watch(text => (calls++ === 0 ? throws() : sent.push(`late ${text}`) > 0));
      ledger.watch(text => sent.push(text) > 0);
      clock.pass(100);
      expect(sent).to.have.length(1);
      ledger.givenChanged();
      clock.pass(100);
      ledger.stop();
      expect(sent.at(-1), "what could not be sent is sent the next time").to.equal(`late ${sent[0] ?? ""}`);
    },
  },
];

const WRITERS: readonly Place[] = [
  {
    name: "work on one key",
    told: '"object":"bad"',
    look: async log => {
      const done: string[] = [];
      const work = (key: string): Promise<void> => {
        if (key === "bad") throws();
        done.push(key);
        return Promise.resolve();
      };
      const worker = new KeyedWorker({ clock: new TurnedClock(), random, log, work, parallel: 1 });
      for (const key of ["bad", "good"]) worker.enqueue(key);
      await settled();
      worker.stop();
      expect(done).to.deep.equal(["good"]);
    },
  },
  ...(["findings", "progress", "fields"] as const).map(
    (part): Place => ({
      name: `status of one object: ${part}`,
      told: '"object":"Retry/shop/bad"',
      look: async log => {
        const clock = new TurnedClock();
        const written: string[] = [];
        const object = (path: string): object => ({
          metadata: { name: path.split("/").at(-1), generation: 1 },
        });
        const kube = listing(
          {},
          {
            get: <T>(path: string) => Promise.resolve(object(path) as T),
            mergePatch: <T>(path: string) => {
              written.push(path.split("/").at(-2) ?? "");
              return Promise.resolve({} as T);
            },
          },
        );
        const one = ({ name }: { readonly name: string }): [] | undefined => {
          if (name === "bad") throws();
          return part === "findings" ? [] : undefined;
        };
        const parts = { findings: () => [], [part]: one };
        const writer = createStatusWriter({ kube, clock, random, log, ...parts });
        for (const name of ["bad", "good"]) writer.touch({ kind: "Retry", namespace: "shop", name });
        await clock.passSlowly(150);
        await settled();
        writer.stop();
        expect(written).to.deep.equal(["good"]);
      },
    }),
  ),
  {
    name: "an event that is written",
    told: '"reason":"Bad"',
    look: async log => {
      const written: string[] = [];
      const create = <T>(_path: string, body: T): Promise<T> => {
        const { reason } = given<{ reason: string }>(body as object);
        if (reason === "Bad") throws();
        written.push(reason);
        return Promise.resolve(body);
      };
      const writer = createEventWriter({
        kube: listing({}, { create }),
        clock: new TurnedClock(),
        random,
        log,
        instance: "i",
      });
      const regarding = { group: "", kind: "Pod", namespace: "shop", name: "p", apiVersion: "v1" };
      for (const reason of ["Bad", "Good"]) writer.emit({ regarding, type: "Warning", reason, note: "n" });
      await settled();
      expect(written).to.deep.equal(["Good"]);
    },
  },
  {
    name: "one of the objects that are kept",
    told: '"object":"bad"',
    look: async log => {
      const applied: string[] = [];
      const kube = listing(
        {},
        {
          apply: <T>(path: string, body: T) => {
            applied.push(path.split("/").at(-1) ?? "");
            return Promise.resolve(body);
          },
        },
      );
      const object = (name: string) => ({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name, namespace: "shop" },
      });
      const kept = (name: string) => ({
        object: object(name),
        correction: () => (name === "bad" ? throws() : { object: object(name), manager: "m" }),
      });
      const keeper = keep([kept("bad"), kept("good")], { kube, clock: new TurnedClock(), random, log });
      await settled();
      keeper.stop();
      expect(applied).to.deep.equal(["good"]);
    },
  },
  {
    name: "a list that is asked for anew",
    told: "contained: timer",
    look: log => {
      const turned = new TurnedClock();
      let lists = 0;
      const relist = (): void => {
        lists += 1;
        if (lists === 1) throws();
      };
      const spec = { sidecar: { configResyncInterval: "60s" } };
      const engine = given<Parameters<typeof startResync>[0]["engine"]>({
        meshConfig: () => spec,
        onMeshConfig: () => none,
      });
      const resync = startResync({
        engine,
        informers: { relist },
        clock: containedClock(turned, log),
        random,
      });
      turned.pass(180_000);
      resync.stop();
      expect(lists).to.be.above(1);
    },
  },
];

/** All of them. */
export const OUTPUTS: readonly Place[] = [...METRICS, ...PAGES, ...FLEET, ...REPLICA, ...WRITERS];
