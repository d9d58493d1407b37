/** What is worth being woken for, and what dashboards ask for again and again; Prometheus' own rule groups. */

/** A rule of either kind, as Prometheus reads it. */
export type Rule = AlertRule | { readonly record: string; readonly expr: string };

/** A rule that fires. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  /** How long it has to hold, a Prometheus duration. */
  readonly for: string;
  readonly labels: { readonly severity: "critical" | "warning" | "info" };
  /** Templates in Prometheus' language. */
  readonly annotations: { readonly summary: string; readonly description: string };
}

/** A group of rules. */
export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

const BOTH_ENDS =
  "source_namespace, source_kind, source_name, destination_namespace, destination_kind, destination_name";
const TARGET = "destination_namespace, destination_kind, destination_name";

const RECORDED: readonly Rule[] = [
  { record: "osm:requests:rate5m", expr: `sum by (${BOTH_ENDS}) (rate(osm_request_total[5m]))` },
  {
    record: "osm:requests_failed:ratio5m",
    expr:
      `(sum by (${TARGET}) (rate(osm_request_total{response_code=~"5.."}[5m])) or 0 * sum by (${TARGET}) (rate(osm_request_total[5m])))` +
      ` / sum by (${TARGET}) (rate(osm_request_total[5m]))`,
  },
  {
    record: "osm:request_duration_ms:p99_5m",
    expr: `histogram_quantile(0.99, sum by (le, ${TARGET}) (rate(osm_request_duration_ms_bucket[5m])))`,
  },
  {
    record: "osm:convergence_seconds:p99_5m",
    expr: "histogram_quantile(0.99, sum by (le) (rate(osm_convergence_seconds_bucket[5m])))",
  },
  { record: "osm:proxies:sum", expr: "sum(osm_proxy_connect_count)" },
];

const alert = (
  name: string,
  severity: AlertRule["labels"]["severity"],
  rule: {
    readonly expr: string;
    readonly for: string;
    readonly summary: string;
    readonly description: string;
  },
): AlertRule => ({
  alert: name,
  expr: rule.expr,
  for: rule.for,
  labels: { severity },
  annotations: { summary: rule.summary, description: rule.description },
});

const DAY = 86_400;

/** Alerts about the control plane. */
const CONTROL_PLANE: readonly AlertRule[] = [
  alert("OsmReplicaDown", "critical", {
    expr: 'up{job="osm-control-plane"} == 0',
    for: "2m",
    summary: "A pod of the control plane does not answer",
    description:
      "{{ $labels.pod }} has not been scraped for two minutes. Proxies keep what they have; nothing new reaches those of this pod until they have found another.",
  }),
  alert("OsmControlPlaneGone", "critical", {
    expr: 'absent(up{job="osm-control-plane"} == 1)',
    for: "1m",
    summary: "No pod of the control plane answers",
    description:
      "No pod is injected, nothing is configured, no certificate renewed. Proxies go on with what they have until their certificates end.",
  }),
  alert("OsmProxiesMissing", "warning", {
    expr: "osm_proxy_missing_count > 0",
    for: "5m",
    summary: "Live sidecars are not connected to the control plane",
    description: "{{ $value }} sidecars get no configuration. `osm status` names them.",
  }),
  alert("OsmLedgerIncomplete", "warning", {
    expr: "osm_ledger_complete == 0",
    for: "5m",
    summary: "The watcher does not hear from every replica",
    description: "Status says Unknown and rotations wait while a replica's ledger cannot be read.",
  }),
  alert("OsmStreamsRefused", "warning", {
    // UNAVAILABLE is how a replica that leaves sends proxies elsewhere; where none takes them, OsmProxiesMissing fires.
    expr: 'sum by (code) (increase(osm_proxy_refused_streams_total{code!="UNAVAILABLE"}[2m])) > 0',
    for: "5m",
    summary: "Proxies are refused by the control plane",
    description:
      "gRPC status {{ $labels.code }}: identities that cannot be proven, or more proxies than maxDataPlaneConnections allows. The log names them.",
  }),
  alert("OsmResourcesRefused", "warning", {
    expr: "osm_proxy_refused_count > 0",
    for: "1m",
    summary: "A proxy has refused configuration (NACK)",
    description:
      "{{ $value }} resources of {{ $labels.pod }}'s proxies stay as they were. The status and an event of the object behind each says why.",
  }),
  alert("OsmObjectsWrong", "warning", {
    expr: "osm_error_object_count > 0",
    for: "10m",
    summary: "Objects of the mesh are not accepted",
    description:
      "Error {{ $labels.err_code }} is told of {{ $value }} of them: they do nothing, or not all that they say. Their status says why, `osm support error-info {{ $labels.err_code }}` what it means.",
  }),
  alert("OsmConvergenceSlow", "warning", {
    expr: "osm:convergence_seconds:p99_5m > 5",
    for: "5m",
    summary: "Changes reach proxies slowly",
    description:
      "One in a hundred takes {{ $value | humanizeDuration }} from the API server's news to the proxy's acknowledgement.",
  }),
  alert("OsmEventLoopSlow", "warning", {
    expr: 'osm_event_loop_lag_seconds{quantile="1"} > 1',
    for: "2m",
    summary: "The control plane is out of breath",
    description:
      "The event loop of {{ $labels.pod }} stood still for {{ $value | humanizeDuration }}: it needs more CPU.",
  }),
  alert("OsmErrorsContained", "warning", {
    // Each is a bug, however seldom it is met; what it costs depends on the place.
    expr: "sum by (pod, place) (increase(osm_errors_contained_total[10m])) > 0",
    for: "1m",
    summary: "A bug of the control plane cost one thing, everything else goes on",
    description:
      "{{ $labels.pod }} keeps what it had of one object, proxy or page. Its log says which, in lines of level error with the words “{{ $labels.place }}”: please report them.",
  }),
  alert("OsmReviewsRefused", "info", {
    expr: 'sum by (kind) (increase(osm_admission_webhook_response_total{success="false"}[10m])) > 0',
    for: "0m",
    summary: "Objects are refused on admission",
    description: "Somebody applies objects of kind {{ $labels.kind }} that are wrong; he was told why.",
  }),
];

/** Alerts about certificates. */
const CERTIFICATES: readonly AlertRule[] = [
  alert("OsmIssuerFailing", "critical", {
    expr: "osm_cert_waiting_count > 0",
    for: "2m",
    summary: "The issuer gives no workload certificates",
    description:
      "{{ $value }} identities of {{ $labels.pod }} wait. New pods cannot start to talk; others go on until their certificates end.",
  }),
  alert("OsmCertificateEnding", "critical", {
    expr: `min by (certificate) (osm_cert_expiry_timestamp_seconds{certificate=~"root|control-plane|webhook-ca"}) - time() < ${30 * DAY}`,
    for: "5m",
    summary: "A root of trust ends within 30 days",
    description: "The certificate {{ $labels.certificate }} ends in {{ $value | humanizeDuration }}.",
  }),
  alert("OsmCertificateNotRenewed", "critical", {
    expr: 'min by (certificate) (osm_cert_expiry_timestamp_seconds{certificate=~"serving|webhook|workload"}) - time() < 600',
    for: "0m",
    summary: "A certificate has not been renewed",
    description:
      "The certificate {{ $labels.certificate }} ends in {{ $value | humanizeDuration }}; it should have been renewed at half of its life. (Workload certificates that live less than 20 minutes need another bound.)",
  }),
];

/** Alerts about what users feel. */
const REQUESTS: readonly AlertRule[] = [
  alert("OsmRequestsFailing", "warning", {
    expr: "osm:requests_failed:ratio5m > 0.05",
    for: "5m",
    summary: "Requests to a workload fail",
    description:
      "{{ $value | humanizePercentage }} of the requests to {{ $labels.destination_kind }} {{ $labels.destination_namespace }}/{{ $labels.destination_name }} end with a 5xx.",
  }),
];

/** All rules, as a rule file and a PrometheusRule have them. */
export const RULE_GROUPS: readonly RuleGroup[] = [
  { name: "osm-recorded", rules: RECORDED },
  { name: "osm-control-plane", rules: CONTROL_PLANE },
  { name: "osm-certificates", rules: CERTIFICATES },
  { name: "osm-requests", rules: REQUESTS },
];

/** All alerts. */
export const ALERTS: readonly AlertRule[] = [...CONTROL_PLANE, ...CERTIFICATES, ...REQUESTS];
