import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Informers } from "./kube/informers";
import type { Metrics } from "./metrics";

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
