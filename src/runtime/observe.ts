import type { MeshConfigSpec } from "../api/mesh-config";
import { API_KINDS } from "../api/kinds";
import type { Diagnostic } from "../model/diagnostic";
import { TYPE_URLS, type TypeUrl } from "../xds/resource";
import type { AdsServer, AdsStats } from "./ads/server";
import type { MeshActions } from "./control-plane/actions";
import type { World } from "./control-plane/world";
import type { Engine } from "./engine";
import { watchEventLoop } from "./event-loop-lag";
import { PLACES, type Place } from "./contained";
import type { Informers } from "./kube/informers";
import type { Fleet } from "./ledger/fleet";
import { METRICS } from "./metric-list";
import type { Metrics } from "./metrics";
import type { WorkloadSecrets } from "./secrets/workload-secrets";

/** Gauges and counters of the informers, read at each scrape. */
export function observeInformers(metrics: Metrics, informers: Pick<Informers, "byKind">): void {
  const staleness = metrics.gauge(METRICS.informerStaleness);
  const synced = metrics.gauge(METRICS.informerSynced);
  const totals = metrics.gauge(METRICS.informerOperations);
  metrics.onCollect(() => {
    for (const [kind, informer] of informers.byKind) {
      staleness.set(informer.staleness() / 1_000, { kind });
      synced.set(Number(informer.isSynced), { kind });
      for (const [operation, value] of Object.entries(informer.stats())) {
        totals.set(value as number, { kind, operation });
      }
    }
  });
}

/** Types as everybody abbreviates them. */
const SHORT: Readonly<Record<TypeUrl, string>> = {
  [TYPE_URLS.cluster]: "CDS",
  [TYPE_URLS.endpoint]: "EDS",
  [TYPE_URLS.secret]: "SDS",
  [TYPE_URLS.listener]: "LDS",
  [TYPE_URLS.extension]: "ECDS",
  [TYPE_URLS.route]: "RDS",
};

/** A counter that begins at 0 can be seen to grow; one that is absent until it is 1 cannot. */
const BEGIN = 0;

/** Streams of this replica, refused streams and refused resources, read at each scrape. */
export function observeStreams(metrics: Metrics, ads: Pick<AdsServer, "stats">): void {
  const streams = metrics.gauge(METRICS.proxies);
  const refused = metrics.counter(METRICS.refusedResources);
  const refusedStreams = metrics.counter(METRICS.refusedStreams);
  const reconnects = metrics.counter(METRICS.reconnects);
  const full = metrics.counter(METRICS.full);
  let before: Pick<AdsStats, "rejections" | "refusedStreams" | "reconnects" | "tooMany"> = {
    rejections: 0,
    refusedStreams: {},
    reconnects: 0,
    tooMany: 0,
  };
  metrics.onCollect(() => {
    const stats = ads.stats();
    streams.set(stats.streams);
    refused.inc({}, stats.rejections - before.rejections);
    reconnects.inc({}, stats.reconnects - before.reconnects);
    full.inc({}, stats.tooMany - before.tooMany);
    for (const [code, count] of Object.entries(stats.refusedStreams)) {
      refusedStreams.inc({ code }, count - (before.refusedStreams[code] ?? 0));
    }
    before = stats;
  });
}

/** Requests, responses and answers as they happen, and how long proxies take. */
export function observeDelivery(metrics: Metrics, ads: Pick<AdsServer, "observe" | "ledger">): void {
  const requests = metrics.counter(METRICS.requests);
  const pushes = metrics.counter(METRICS.pushes);
  const updates = metrics.histogram(METRICS.updates);
  const convergence = metrics.histogram(METRICS.convergence);
  const refusedNow = metrics.gauge(METRICS.refusedNow);
  for (const type of Object.values(SHORT)) {
    requests.inc({ type }, BEGIN);
    pushes.inc({ type }, BEGIN);
  }
  ads.observe({
    requested: type => {
      requests.inc({ type: SHORT[type] });
    },
    sent: type => {
      pushes.inc({ type: SHORT[type] });
    },
    answered: (type, taken, ms) => {
      updates.observe(ms / 1_000, { resource_type: SHORT[type], success: String(taken) });
    },
    converged: (kind, ms) => {
      convergence.observe(ms / 1_000, { kind });
    },
  });
  metrics.onCollect(() => {
    refusedNow.set(ads.ledger.refusals().length);
  });
}

/** Workload certificates of this replica, read at each scrape. The second is the one to be alerted by. */
export function observeIssuing(
  metrics: Metrics,
  secrets: Pick<WorkloadSecrets, "issued" | "trouble" | "onIssued">,
): void {
  const issued = metrics.counter(METRICS.issued);
  const waiting = metrics.gauge(METRICS.waiting);
  const issuing = metrics.histogram(METRICS.issuing);
  secrets.onIssued(ms => {
    issuing.observe(ms / 1_000);
  });
  let before = 0;
  metrics.onCollect(() => {
    issued.inc({}, secrets.issued - before);
    before = secrets.issued;
    waiting.set(secrets.trouble()?.waiting ?? 0);
  });
}

/** Ends of certificates, epoch milliseconds by name; undefined: there is none. Read at each scrape. */
export function observeExpiry(
  metrics: Metrics,
  ends: Readonly<Record<string, () => number | undefined>>,
): void {
  const expiry = metrics.gauge(METRICS.expiry);
  metrics.onCollect(() => {
    for (const [certificate, end] of Object.entries(ends)) {
      const at = end();
      if (at !== undefined && Number.isFinite(at)) expiry.set(Math.floor(at / 1_000), { certificate });
      // What ended with its last proxy would be taken for a certificate that nobody renews.
      else expiry.clear({ certificate });
    }
  });
}

/** What the mesh is made of as of the last event, and the version that runs it. */
export function observeMesh(
  metrics: Metrics,
  { world, version, role }: { world: Pick<World, "engine" | "onEvent">; version: string; role: string },
): void {
  metrics.gauge(METRICS.version).set(1, { version, role });
  const flags = metrics.gauge(METRICS.flags);
  const namespaces = metrics.gauge(METRICS.namespaces);
  const flushes = metrics.counter(METRICS.flushes);
  const events = metrics.counter(METRICS.apiEvents);
  const { engine } = world;
  world.onEvent(event => {
    if (event.type === "reset") return;
    events.inc({ type: `${event.kind}-${event.type === "delete" ? "deleted" : "updated"}` });
  });
  let before = 0;
  metrics.onCollect(() => {
    const { featureFlags }: MeshConfigSpec = engine.meshConfig();
    for (const [feature_flag, on] of Object.entries(featureFlags)) flags.set(Number(on), { feature_flag });
    namespaces.set([...engine.namespaces().values()].filter(({ meshed }) => meshed).length);
    const now = engine.stats().flushes;
    flushes.inc({}, now - before);
    before = now;
  });
}

/** What only the single writer knows: the sum over all replicas, and findings as they appear. */
export function observeFleet(metrics: Metrics, fleet: Pick<Fleet, "view"> | undefined, engine: Engine): void {
  if (fleet === undefined) return;
  const missing = metrics.gauge(METRICS.missing);
  const complete = metrics.gauge(METRICS.counted);
  metrics.onCollect(() => {
    const view = fleet.view();
    if (view.complete) missing.set(view.missing.size);
    complete.set(Number(view.complete));
  });
  observeFindings(metrics, engine);
}

/** Errors of objects: counted as they appear, and how many objects have one now, by code. */
export function observeFindings(metrics: Metrics, engine: Pick<Engine, "onDiagnostics">): void {
  const errors = metrics.counter(METRICS.errorCodes);
  const wrong = metrics.gauge(METRICS.wrongObjects);
  const told = new Map<string, ReadonlySet<string>>();
  const seen = new Set<string>();
  engine.onDiagnostics(changed => {
    for (const [key, findings] of changed) {
      const codes = codesOf(findings);
      for (const err_code of codes) {
        seen.add(err_code);
        if (told.get(key)?.has(err_code) !== true) errors.inc({ err_code });
      }
      if (codes.size === 0) told.delete(key);
      else told.set(key, codes);
    }
  });
  metrics.onCollect(() => {
    // 0 when the last one is mended: of a series that ends nobody knows that it is over.
    const objects = new Map([...seen].map(code => [code, 0]));
    for (const codes of told.values())
      for (const code of codes) objects.set(code, (objects.get(code) ?? 0) + 1);
    for (const [err_code, count] of objects) wrong.set(count, { err_code });
  });
}

function codesOf(findings: readonly Diagnostic[]): ReadonlySet<string> {
  return new Set(findings.filter(({ severity }) => severity === "error").map(({ code }) => code));
}

/** The same actions, with every review counted. */
export function countReviews(metrics: Metrics, actions: MeshActions): MeshActions {
  const reviews = metrics.counter(METRICS.reviews);
  for (const kind of ["Pod", ...API_KINDS.map(row => row.kind)])
    for (const success of ["true", "false"]) reviews.inc({ kind, success }, BEGIN);
  return {
    ...actions,
    admitPod: async request => {
      const verdict = await actions.admitPod(request);
      reviews.inc({ kind: "Pod", success: String(verdict.kind !== "refuse") });
      return verdict;
    },
    judge: (kind, object, before) => {
      const judgement = actions.judge(kind, object, before);
      reviews.inc({ kind, success: String(judgement.faults.length === 0) });
      return judgement;
    },
  };
}

/** Counts own objects that had to be made or repaired. */
export function repairCounter(metrics: Metrics): (kind: string) => void {
  const repairs = metrics.counter(METRICS.repairs);
  return kind => {
    repairs.inc({ kind });
  };
}

/** Errors that were contained since the start, by place; read at each scrape. */
export function observeContained(metrics: Metrics, counts: ReadonlyMap<Place, number>): void {
  const errors = metrics.counter(METRICS.contained);
  const before = new Map<Place, number>();
  metrics.onCollect(() => {
    for (const place of PLACES) {
      const now = counts.get(place) ?? BEGIN;
      errors.inc({ place }, now - (before.get(place) ?? BEGIN));
      before.set(place, now);
    }
  });
}

/** Memory, CPU time and event-loop lag of the process, read at each scrape. */
export function observeProcess(metrics: Metrics): void {
  const delay = watchEventLoop();
  const memory = metrics.gauge(METRICS.memory);
  const cpu = metrics.counter(METRICS.cpu);
  const lag = metrics.gauge(METRICS.lag);
  let before = 0;
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage();
    memory.set(process.memoryUsage.rss());
    cpu.inc({}, (user + system) / 1e6 - before);
    before = (user + system) / 1e6;
    lag.set(delay.quantile(0.99), { quantile: "0.99" });
    lag.set(delay.quantile(1), { quantile: "1" });
  });
}
