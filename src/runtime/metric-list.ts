/** All metrics of the control plane, in the order of its page: what is not here cannot be counted. */

const counter = <const L extends readonly string[] = []>(name: string, help: string, labels?: L) =>
  ({ type: "counter", name, help, labels: labels ?? [] }) as const;
const gauge = <const L extends readonly string[] = []>(name: string, help: string, labels?: L) =>
  ({ type: "gauge", name, help, labels: labels ?? [] }) as const;
const histogram = <const L extends readonly string[]>(
  name: string,
  help: string,
  labels: L,
  buckets: readonly number[],
) => ({ type: "histogram", name, help, labels, buckets }) as const;

/** Seconds, as Open Service Mesh had them, with finer ones below: what takes it seconds takes milliseconds here. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 90];

/** The one list; names are those of Open Service Mesh where the thing is the same. Times are seconds, ages epoch seconds. */
export const METRICS = {
  version: gauge("osm_version_info", "1, with the version of this release.", ["version", "role"]),
  flags: gauge("osm_feature_flag_enabled", "1 for a feature flag of MeshConfig that is on.", [
    "feature_flag",
  ]),
  namespaces: gauge("osm_resource_namespace_count", "Namespaces of the mesh."),
  apiEvents: counter("osm_k8s_api_event_count", "News of the API server, by kind and what happened.", [
    "type",
  ]),
  informerStaleness: gauge("osm_informer_staleness_seconds", "Time since the API server was last heard of.", [
    "kind",
  ]),
  informerSynced: gauge("osm_informer_synced", "1 when the kind has been listed at least once.", ["kind"]),
  informerOperations: gauge("osm_informer_operations", "What each informer has done since the start.", [
    "kind",
    "operation",
  ]),
  proxies: gauge("osm_proxy_connect_count", "ADS streams of this replica."),
  missing: gauge(
    "osm_proxy_missing_count",
    "Live proxies that no replica is connected to (watcher only); the last number while osm_ledger_complete is 0.",
  ),
  counted: gauge("osm_ledger_complete", "1 while the watcher hears from every replica (watcher only)."),
  reconnects: counter("osm_proxy_reconnect_count", "Streams of proxies that this replica has served before."),
  full: counter("osm_proxy_max_connections_rejected", "Streams refused because of maxDataPlaneConnections."),
  refusedStreams: counter(
    "osm_proxy_refused_streams_total",
    "ADS streams that were not accepted, by gRPC status.",
    ["code"],
  ),
  requests: counter("osm_proxy_xds_request_count", "Requests of proxies, answers to responses among them.", [
    "type",
  ]),
  pushes: counter("osm_proxy_response_send_success_count", "Responses sent to proxies.", ["type"]),
  refusedResources: counter(
    "osm_proxy_refused_resources_total",
    "Resources that proxies of this replica refused (NACK), each counted per proxy.",
  ),
  refusedNow: gauge(
    "osm_proxy_refused_count",
    "Resources that a connected proxy has refused and not got otherwise.",
  ),
  updates: histogram(
    "osm_proxy_config_update_time",
    "Time from a response to the proxy's answer; success is false for a NACK.",
    ["resource_type", "success"],
    SECONDS,
  ),
  convergence: histogram(
    "osm_convergence_seconds",
    "Time from news of an object to a proxy that holds all of what follows from it, by the object's kind.",
    ["kind"],
    SECONDS,
  ),
  flushes: counter("osm_proxy_broadcast_event_count", "Compilations that proxies were served from."),
  reviews: counter(
    "osm_admission_webhook_response_total",
    "Admission reviews answered; success is false where refused.",
    ["kind", "success"],
  ),
  errorCodes: counter(
    "osm_error_err_code_count",
    "Findings about objects, when they appear (watcher only).",
    ["err_code"],
  ),
  wrongObjects: gauge("osm_error_object_count", "Objects with an error now, by its code (watcher only).", [
    "err_code",
  ]),
  contained: counter(
    "osm_errors_contained_total",
    "Bugs that cost one thing while everything else went on; the log says more under the words of place.",
    ["place"],
  ),
  repairs: counter("osm_reconciliation_total", "Own objects made or repaired (watcher only).", ["kind"]),
  issued: counter("osm_cert_issued_count", "Workload certificates that this replica has issued."),
  issuing: histogram(
    "osm_cert_issued_time",
    "Time that an issuer took for a workload certificate.",
    [],
    SECONDS,
  ),
  waiting: gauge(
    "osm_cert_waiting_count",
    "Identities whose certificate the issuer has failed to give or to renew; proxies use what they have.",
  ),
  expiry: gauge(
    "osm_cert_expiry_timestamp_seconds",
    "When a certificate ends: root, control-plane (its CA), webhook, webhook-ca (the first CA that verifies it to end), serving (ADS), workload (the first of this replica's).",
    ["certificate"],
  ),
  lag: gauge("osm_event_loop_lag_seconds", "Delay of the event loop in the last 30 to 60 seconds.", [
    "quantile",
  ]),
  memory: gauge("process_resident_memory_bytes", "Resident memory."),
  cpu: counter("process_cpu_seconds_total", "CPU time used."),
} as const;
