import { MODULE, WATCHER } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { HEALTH_PORT } from "../../src/runtime/http-endpoints";

/** Where the API server's certificate and this pod's token are. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

const authorised = {
  scheme: "https",
  tls_config: { ca_file: `${ACCOUNT}/ca.crt` },
  authorization: { credentials_file: `${ACCOUNT}/token` },
};

const role = (name: string): object => ({ kubernetes_sd_configs: [{ role: name }] });

const from = (...labels: string[]): { source_labels: string[] } => ({ source_labels: labels });
const pod = (name: string): string => `__meta_kubernetes_pod_${name}`;
const annotation = (name: string): string => pod(`annotation_prometheus_io_${name}`);

const keep = (regex: string): object => ({ ...from("__name__"), regex, action: "keep" });

/**
 * A page of every kubelet, asked for at its own port with no right but to read metrics. Its certificate is mostly its own and is
 * not verified; asking through the API server, which has the means, takes the right to run commands in every pod.
 */
const kubelets = (job: string, page: string, series: string): object => ({
  job_name: job,
  ...role("node"),
  ...authorised,
  tls_config: { insecure_skip_verify: true },
  metrics_path: page,
  relabel_configs: [{ ...from("__meta_kubernetes_node_name"), target_label: "node" }],
  metric_relabel_configs: [keep(series)],
});

/** What of a sidecar's metrics dashboards and alerts read; the rest is two thousand series a pod. */
const SIDECAR =
  "osm_request_total|osm_request_duration_ms_(bucket|sum|count)|envoy_server_(live|memory_allocated|memory_heap_size|uptime|concurrency)|" +
  "envoy_cluster_upstream_(rq|cx)_.*|envoy_cluster_membership_.*|envoy_control_plane_connected_state";

/** How a workload is called: the Deployment of a ReplicaSet, and what else controls a pod as it is. */
const WORKLOAD: readonly object[] = [
  { ...from(pod("controller_kind")), target_label: "source_workload_kind" },
  { ...from(pod("controller_name")), target_label: "source_workload_name" },
  {
    ...from(pod("controller_kind"), pod("controller_name")),
    regex: "ReplicaSet;(.+)-[0-9a-z]+",
    target_label: "source_workload_name",
  },
  {
    ...from(pod("controller_kind")),
    regex: "ReplicaSet",
    target_label: "source_workload_kind",
    replacement: "Deployment",
  },
];

/**
 * The configuration of a Prometheus beside the mesh: jobs and labels as Open Service Mesh had them, without its job that made
 * labels of names, and with one for the control plane, whose pods carry no annotation.
 */
export function scrapeConfig(interval = "10s"): object {
  return {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: ["/etc/prometheus/rules.yml"],
    scrape_configs: [
      {
        job_name: "osm-control-plane",
        kubernetes_sd_configs: [{ role: "pod", namespaces: { names: [PEPR_NAMESPACE] } }],
        relabel_configs: [
          { ...from(pod("label_app")), regex: `${MODULE}|${WATCHER}`, action: "keep" },
          // One target a pod, however many ports it declares.
          { ...from(pod("container_port_number")), regex: "3000", action: "keep" },
          { ...from(pod("phase")), regex: "Succeeded|Failed", action: "drop" },
          {
            ...from(pod("ip")),
            regex: "(.+)",
            target_label: "__address__",
            replacement: `\${1}:${HEALTH_PORT}`,
          },
          { ...from(pod("name")), target_label: "pod" },
          { ...from(pod("label_app")), target_label: "app" },
        ],
      },
      {
        job_name: "kubernetes-apiservers",
        ...role("endpoints"),
        ...authorised,
        relabel_configs: [
          {
            ...from(
              "__meta_kubernetes_namespace",
              "__meta_kubernetes_service_name",
              "__meta_kubernetes_endpoint_port_name",
            ),
            regex: "default;kubernetes;https",
            action: "keep",
          },
        ],
        metric_relabel_configs: [keep("(apiserver_watch_events_total|apiserver_admission_webhook_.*)")],
      },
      kubelets("kubernetes-nodes", "/metrics", "kubelet_(running_pods|running_containers|node_name)"),
      {
        job_name: "kubernetes-pods",
        ...role("pod"),
        honor_labels: true,
        relabel_configs: [
          { ...from(annotation("scrape")), regex: "true", action: "keep" },
          { ...from(pod("phase")), regex: "Succeeded|Failed|Pending", action: "drop" },
          { ...from(annotation("path")), regex: "(.+)", target_label: "__metrics_path__" },
          {
            ...from(pod("ip"), annotation("port")),
            regex: "(.+);(\\d+)",
            target_label: "__address__",
            replacement: "${1}:${2}",
          },
          { ...from("__meta_kubernetes_namespace"), target_label: "source_namespace" },
          { ...from(pod("name")), target_label: "source_pod_name" },
          { ...from(pod("label_app")), target_label: "source_service" },
          ...WORKLOAD,
        ],
        metric_relabel_configs: [keep(SIDECAR)],
      },
      kubelets(
        "kubernetes-cadvisor",
        "/metrics/cadvisor",
        "container_(cpu_usage_seconds_total|memory_rss|memory_working_set_bytes)",
      ),
    ],
  };
}
