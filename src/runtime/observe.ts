import { monitorEventLoopDelay } from "node:perf_hooks";
import type { AdsServer, AdsStats } from "./ads/server";
import type { Informers } from "./kube/informers";
import type { Metrics } from "./metrics";
import type { WorkloadSecrets } from "./secrets/workload-secrets";

/** Gauges and counters of the informers, read at each scrape. */
export function observeInformers(metrics: Metrics, informers: Pick<Informers, "byKind">): void {
  const staleness = metrics.gauge({
    name: "osm_informer_staleness_seconds",
    help: "Time since the API server was last heard of, by kind.",
    labels: ["kind"],
  });
  const synced = metrics.gauge({
    name: "osm_informer_synced",
    help: "1 when the kind has been listed at least once.",
    labels: ["kind"],
  });
  const totals = metrics.gauge({
    name: "osm_informer_operations",
    help: "What each informer has done since the start, by kind and operation.",
    labels: ["kind", "operation"],
  });
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

/** Streams of this replica, refused streams and refused resources, read at each scrape. */
export function observeStreams(metrics: Metrics, ads: Pick<AdsServer, "stats">): void {
  const streams = metrics.gauge({ name: "osm_proxy_connect_count", help: "ADS streams of this replica." });
  const refused = metrics.counter({
    name: "osm_proxy_refused_resources_total",
    help: "Resources that proxies of this replica refused, each counted per proxy.",
  });
  const refusedStreams = metrics.counter({
    name: "osm_proxy_refused_streams_total",
    help: "ADS streams that this replica did not accept, by gRPC status: unproven identities, and too many.",
    labels: ["code"],
  });
  let before: Pick<AdsStats, "rejections" | "refusedStreams"> = { rejections: 0, refusedStreams: {} };
  metrics.onCollect(() => {
    const stats = ads.stats();
    streams.set(stats.streams);
    refused.inc({}, stats.rejections - before.rejections);
    for (const [code, count] of Object.entries(stats.refusedStreams)) {
      refusedStreams.inc({ code }, count - (before.refusedStreams[code] ?? 0));
    }
    before = stats;
  });
}

/** Workload certificates of this replica, read at each scrape. The second is the one to be alerted by. */
export function observeIssuing(metrics: Metrics, secrets: Pick<WorkloadSecrets, "issued" | "trouble">): void {
  const issued = metrics.counter({
    name: "osm_cert_issued_count",
    help: "Workload certificates that this replica has issued.",
  });
  const waiting = metrics.gauge({
    name: "osm_cert_waiting_count",
    help: "Identities whose certificate the issuer has failed to give or to renew; proxies use what they have.",
  });
  let before = 0;
  metrics.onCollect(() => {
    issued.inc({}, secrets.issued - before);
    before = secrets.issued;
    waiting.set(secrets.trouble()?.waiting ?? 0);
  });
}

/** Memory, CPU time and event-loop lag of the process, read at each scrape. */
export function observeProcess(metrics: Metrics): void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const memory = metrics.gauge({ name: "process_resident_memory_bytes", help: "Resident memory." });
  const cpu = metrics.gauge({ name: "process_cpu_seconds_total", help: "CPU time used." });
  const lag = metrics.gauge({
    name: "osm_event_loop_lag_seconds",
    help: "Delay of the event loop since the last scrape.",
    labels: ["quantile"],
  });
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage();
    memory.set(process.memoryUsage.rss());
    cpu.set((user + system) / 1e6);
    lag.set(delay.percentile(99) / 1e9, { quantile: "0.99" });
    lag.set(delay.max / 1e9, { quantile: "1" });
    delay.reset();
  });
}
