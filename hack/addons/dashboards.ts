/** The seven dashboards of Open Service Mesh, over the metrics of this mesh. */
import { boardJson, figure, graph, type Board, type Panel, type Variable } from "./panels";

const CONTROL_PLANE = "OSM Control Plane";
const DATA_PLANE = "OSM Data Plane";

/** A rate over the time that Grafana finds right for what is shown. */
const rate = (series: string): string => `rate(${series}[$__rate_interval])`;
const quantiles = (
  series: string,
  by: string,
  q = [0.5, 0.9, 0.99],
): readonly (readonly [string, string])[] =>
  q.map(
    each => [`histogram_quantile(${each}, sum by (le${by}) (${rate(series)}))`, `p${each * 100}`] as const,
  );

/** Pods by what they cost, where there is a sidecar in them that is scraped; 1 for each. */
const MESHED =
  'label_replace(label_replace(envoy_server_live, "namespace", "$1", "source_namespace", "(.*)"), "pod", "$1", "source_pod_name", "(.*)")';
/** A series of cAdvisor for whole pods: what it tells of containers is named differently from one container runtime to another. */
const ofMeshedPods = (series: string): string => `${series} * on (namespace, pod) group_left () ${MESHED}`;
const POD_CPU = rate('container_cpu_usage_seconds_total{container="",pod!=""}');
const POD_MEMORY = 'container_memory_working_set_bytes{container="",pod!=""}';

const ABOUT_CONTROL_PLANE: Board = {
  name: "osm-control-plane",
  title: "OSM Control Plane Metrics",
  folder: CONTROL_PLANE,
  refresh: "30s",
  variables: [],
  panels: [
    figure("Connected proxies", "none", "sum(osm_proxy_connect_count)"),
    figure("Missing proxies", "none", "sum(osm_proxy_missing_count)"),
    figure("Namespaces", "none", "max(osm_resource_namespace_count)"),
    figure("Refused resources", "none", "sum(osm_proxy_refused_count)"),
    figure("Waiting for certificates", "none", "sum(osm_cert_waiting_count)"),
    figure(
      "First end of a root",
      "dateTimeFromNow",
      'min(osm_cert_expiry_timestamp_seconds{certificate=~"root|control-plane|webhook-ca"}) * 1000',
    ),
    graph("CPU", "percentunit", [
      `sum by (pod) (${rate('process_cpu_seconds_total{job="osm-control-plane"}')})`,
      "{{pod}}",
    ]),
    graph("Memory", "bytes", ['process_resident_memory_bytes{job="osm-control-plane"}', "{{pod}}"]),
    graph("Event loop, longest delay", "s", ['osm_event_loop_lag_seconds{quantile="1"}', "{{pod}}"]),
    graph("Admission reviews", "reqps", [
      `sum by (kind, success) (${rate("osm_admission_webhook_response_total")})`,
      "{{kind}} success={{success}}",
    ]),
    graph(
      "Webhook latency as the API server sees it",
      "s",
      ...quantiles(
        'apiserver_admission_webhook_admission_duration_seconds_bucket{name=~".*osm.*|.*pepr.*|.*openservicemesh.*"}',
        "",
      ),
    ),
    graph("Findings", "none", ["sum by (err_code) (osm_error_err_code_count) or vector(0)", "{{err_code}}"]),
    graph("Certificates issued", "none", [`sum(${rate("osm_cert_issued_count")})`, "a second"]),
    graph("Time of issuance", "s", ...quantiles("osm_cert_issued_time_bucket", "")),
    graph("Certificates end in", "s", [
      "min by (certificate) (osm_cert_expiry_timestamp_seconds) - time()",
      "{{certificate}}",
    ]),
    graph("Convergence p99 by kind", "s", [
      `histogram_quantile(0.99, sum by (le, kind) (${rate("osm_convergence_seconds_bucket")}))`,
      "{{kind}}",
    ]),
    graph("Proxies' answers p99 by type", "s", [
      `histogram_quantile(0.99, sum by (le, resource_type) (${rate("osm_proxy_config_update_time_bucket")}))`,
      "{{resource_type}}",
    ]),
    graph("Responses by type", "reqps", [
      `sum by (type) (${rate("osm_proxy_response_send_success_count")})`,
      "{{type}}",
    ]),
    graph("Refusals by proxies (NACK)", "none", [
      "sum(increase(osm_proxy_refused_resources_total[$__rate_interval]))",
      "resources",
    ]),
    graph("Refused streams", "none", [
      "sum by (code) (increase(osm_proxy_refused_streams_total[$__rate_interval])) or vector(0)",
      "{{code}}",
    ]),
    graph("Errors that were contained", "none", [
      "sum by (place) (increase(osm_errors_contained_total[$__rate_interval]))",
      "{{place}}",
    ]),
    graph("Compilations", "none", [`sum by (pod) (${rate("osm_proxy_broadcast_event_count")})`, "{{pod}}"]),
  ],
};

const ABOUT_ENVOYS: Board = {
  name: "osm-mesh-envoy-details",
  title: "OSM Mesh and Envoy Details",
  folder: CONTROL_PLANE,
  refresh: "10s",
  variables: [{ name: "source_namespace", metric: "envoy_server_live", label: "source_namespace" }],
  panels: [
    figure("Sidecars that are scraped", "none", "sum(envoy_server_live)"),
    figure("Connected proxies", "none", "sum(osm_proxy_connect_count)"),
    figure("Reconnections", "none", "sum(osm_proxy_reconnect_count)"),
    graph("CPU of pods with a sidecar", "percentunit", [
      `sum by (namespace, pod) (${ofMeshedPods(POD_CPU)})`,
      "{{namespace}}/{{pod}}",
    ]),
    graph("Memory of pods with a sidecar", "bytes", [
      `sum by (namespace, pod) (${ofMeshedPods(POD_MEMORY)})`,
      "{{namespace}}/{{pod}}",
    ]),
    graph("Memory that Envoy has allocated", "bytes", [
      'envoy_server_memory_allocated{source_namespace=~"$source_namespace"}',
      "{{source_namespace}}/{{source_pod_name}}",
    ]),
    graph("Connected to the control plane", "none", [
      'envoy_control_plane_connected_state{source_namespace=~"$source_namespace"}',
      "{{source_namespace}}/{{source_pod_name}}",
    ]),
    graph("News of the API server", "none", [
      `sum by (type) (${rate("osm_k8s_api_event_count")})`,
      "{{type}}",
    ]),
    graph("Since the API server was heard of", "s", [
      "max by (kind) (osm_informer_staleness_seconds)",
      "{{kind}}",
    ]),
  ],
};

const ERRORS: readonly (readonly [series: string, title: string])[] = [
  ["cx_connect_fail", "connection failed"],
  ["cx_connect_timeout", "connection timed out"],
  ["rq_timeout", "request timed out"],
  ["rq_pending_overflow", "too many waiting"],
  ["rq_rx_reset", "reset by the server"],
  ["rq_tx_reset", "reset by the client"],
  ["rq_retry", "retried"],
  ["rq_cancelled", "cancelled"],
];

/** What the sidecars of callers tell of the Services they call; `who` chooses callers, `by` names lines. */
function toServices(who: string, by: string): readonly Panel[] {
  const of = (series: string, more = ""): string =>
    `envoy_cluster_upstream_${series}{${who},envoy_cluster_name=~"outbound.*",envoy_cluster_name=~"$destination_service"${more}}`;
  const legend = `{{${by}}} → {{envoy_cluster_name}}`;
  const sum = (inner: string): string => `sum by (${by}, envoy_cluster_name) (${inner})`;
  const code = (classes: string): string => `,envoy_response_code_class=~"${classes}"`;
  return [
    graph("Succeeded", "reqps", [sum(rate(of("rq_xx", code("2")))), legend]),
    graph("Failed", "reqps", [sum(rate(of("rq_xx", code("4|5")))), legend]),
    graph("All requests", "reqps", [sum(rate(of("rq_total"))), legend]),
    graph("Active connections", "none", [sum(of("cx_active")), legend]),
    graph("Sent", "Bps", [sum(rate(of("cx_tx_bytes_total"))), legend]),
    graph("Received", "Bps", [sum(rate(of("cx_rx_bytes_total"))), legend]),
    ...ERRORS.map(([series, title]) => graph(title, "reqps", [sum(rate(of(series))), legend])),
  ];
}

const serviceVariables = (label: string): readonly Variable[] => [
  { name: "source_namespace", metric: "envoy_cluster_upstream_rq_total", label: "source_namespace" },
  { name: label, metric: 'envoy_cluster_upstream_rq_total{source_namespace=~"$source_namespace"}', label },
  {
    name: "destination_service",
    metric: 'envoy_cluster_upstream_rq_total{envoy_cluster_name=~"outbound.*"}',
    label: "envoy_cluster_name",
  },
];

function aboutServices(name: string, title: string, label: string): Board {
  const who = `source_namespace=~"$source_namespace",${label}=~"$${label}"`;
  const variables = serviceVariables(label);
  return { name, title, folder: DATA_PLANE, refresh: "10s", variables, panels: toServices(who, label) };
}

const REQUESTS =
  'source_namespace=~"$source_namespace",source_name=~"$source_name",destination_namespace=~"$destination_namespace",destination_name=~"$destination_name"';
const request = (more = ""): string => `osm_request_total{${REQUESTS}${more}}`;
const BY_WORKLOAD = "source_name, destination_name";
const WORKLOADS = "{{source_name}} → {{destination_name}}";

const requestVariables: readonly Variable[] = [
  "source_namespace",
  "source_name",
  "destination_namespace",
  "destination_name",
].map(name => ({ name, metric: "osm_request_total", label: name }));

const ABOUT_PERFORMANCE: Board = {
  name: "osm-data-plane-performance",
  title: "OSM Data Plane Performance Metrics",
  folder: DATA_PLANE,
  refresh: "10s",
  variables: requestVariables,
  panels: [
    figure("Requests", "reqps", `sum(${rate(request())})`),
    figure(
      "Success",
      "percentunit",
      `sum(${rate(request(',response_code!~"5.."'))}) / sum(${rate(request())})`,
    ),
    graph("Requests by outcome", "reqps", [
      `sum by (response_code) (${rate(request())})`,
      "{{response_code}}",
    ]),
    graph("Latency", "ms", ...quantiles(`osm_request_duration_ms_bucket{${REQUESTS}}`, "")),
    graph("Active connections to Services", "none", [
      'sum(envoy_cluster_upstream_cx_active{envoy_cluster_name=~"outbound.*"})',
      "connections",
    ]),
    graph("CPU of all pods with a sidecar", "percentunit", [`sum(${ofMeshedPods(POD_CPU)})`, "cores"]),
    graph("Memory of all pods with a sidecar", "bytes", [`sum(${ofMeshedPods(POD_MEMORY)})`, "bytes"]),
    ...ERRORS.map(([series, title]) =>
      graph(title, "reqps", [
        `sum(${rate(`envoy_cluster_upstream_${series}{envoy_cluster_name=~"outbound.*"}`)})`,
        title,
      ]),
    ),
  ],
};

const BETWEEN_WORKLOADS: Board = {
  name: "osm-workload-to-workload",
  title: "OSM Workload to Workload Metrics",
  folder: DATA_PLANE,
  refresh: "10s",
  variables: requestVariables,
  panels: [
    graph("Succeeded", "reqps", [
      `sum by (${BY_WORKLOAD}) (${rate(request(',response_code=~"2.."'))})`,
      WORKLOADS,
    ]),
    graph("Failed", "reqps", [
      `sum by (${BY_WORKLOAD}) (${rate(request(',response_code=~"4..|5..|0"'))})`,
      WORKLOADS,
    ]),
    graph("All requests", "reqps", [`sum by (${BY_WORKLOAD}) (${rate(request())})`, WORKLOADS]),
    ...[0.99, 0.9, 0.5].map(q =>
      graph(`Latency p${q * 100}`, "ms", [
        `histogram_quantile(${q}, sum by (le, ${BY_WORKLOAD}) (${rate(`osm_request_duration_ms_bucket{${REQUESTS}}`)}))`,
        WORKLOADS,
      ]),
    ),
  ],
};

/** All boards, in the order of the menu. */
export const BOARDS: readonly Board[] = [
  ABOUT_CONTROL_PLANE,
  ABOUT_ENVOYS,
  ABOUT_PERFORMANCE,
  aboutServices("osm-pod-to-service", "OSM Pod to Service Metrics", "source_pod_name"),
  aboutServices("osm-service-to-service", "OSM Service to Service Metrics", "source_service"),
  aboutServices("osm-workload-to-service", "OSM Workload to Service Metrics", "source_workload_name"),
  BETWEEN_WORKLOADS,
];

/** A ConfigMap of boards: one for each folder. */
export interface BoardMap {
  readonly name: string;
  readonly folder: string;
  /** JSON by file name. */
  readonly files: Readonly<Record<string, string>>;
}

/** The boards as ConfigMaps hold them. */
export function dashboardMaps(): readonly BoardMap[] {
  return [CONTROL_PLANE, DATA_PLANE].map(folder => {
    const own = BOARDS.filter(board => board.folder === folder);
    const files = own.map(
      board => [`${board.name}.json`, JSON.stringify(boardJson(board), null, 1)] as const,
    );
    const name = `${folder.toLowerCase().replaceAll(" ", "-")}-dashboards`;
    return { name, folder, files: Object.fromEntries(files) };
  });
}
