/**
 * What each alert and each recording rule does with series as the mesh has them, minute by minute: ten good minutes, twenty bad
 * ones, and half an hour that is good again.
 */

/** Samples of one series, one every 30 s, in promtool's words. */
export interface Series {
  readonly series: string;
  readonly values: string;
}

/** An alert that is out at a moment. */
export interface Told {
  /** Labels beside `alertname` and `severity`. */
  readonly labels: Readonly<Record<string, string>>;
  /** What stands for `{{ $value … }}` in its texts. */
  readonly value?: string;
}

/** One cause of an alert. */
export interface AlertCase {
  readonly alert: string;
  /** What is wrong between minute 10 and minute 30. */
  readonly cause: string;
  readonly series: readonly Series[];
  /** Minutes after the start at which nothing is told: before the cause, and while it has not yet held long enough. */
  readonly quiet: readonly number[];
  /** When it is told. */
  readonly fires: number;
  readonly told: readonly Told[];
  /** When it is over. */
  readonly over: number;
}

/** What a recording rule makes of series. */
export interface RecordCase {
  readonly record: string;
  readonly series: readonly Series[];
  /** Minutes after the start. */
  readonly at: number;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

type Labels = Readonly<Record<string, string>>;

const WELL = 19;
const ILL = 39;
const AFTER = 60;

const text = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");

/** What a scrape of a pod of the control plane adds to its series. */
const plane = (pod: string, app = "pepr-osm"): Labels => ({
  app,
  instance: `${pod}:9091`,
  job: "osm-control-plane",
  pod,
});
const ONE = plane("pepr-osm-1");
const OTHER = plane("pepr-osm-2");
const WATCHER = plane("pepr-osm-watcher-1", "pepr-osm-watcher");

/** A number that is another one while it is bad; text like `_` is what promtool makes of it. */
function gauge(name: string, labels: Labels, well: number | string, ill: number | string): Series {
  const span = (value: number | string, times: number): string =>
    typeof value === "number" ? `${value}+0x${times}` : `${value}x${times + 1}`;
  return {
    series: `${name}{${text(labels)}}`,
    values: [span(well, WELL), span(ill, ILL), span(well, AFTER)].join(" "),
  };
}

/** A count that grows by so much every 30 s. */
function counter(name: string, labels: Labels, well: number, ill: number): Series {
  const bad = (WELL + 1) * well;
  const good = bad + (ILL + 1) * ill;
  const values = [`0+${well}x${WELL}`, `${bad}+${ill}x${ILL}`, `${good}+${well}x${AFTER}`].join(" ");
  return { series: `${name}{${text(labels)}}`, values };
}

/** A histogram of which so many more come into each bucket every 30 s; bounds to well and ill. */
function histogram(
  name: string,
  labels: Labels,
  buckets: Readonly<Record<string, readonly [number, number]>>,
): Series[] {
  return Object.entries(buckets).map(([le, [well, ill]]) =>
    counter(`${name}_bucket`, { ...labels, le }, well, ill),
  );
}

const CALLER = { source_namespace: "bookbuyer", source_kind: "Deployment", source_name: "bookbuyer" };
const CALLED = {
  destination_namespace: "bookstore",
  destination_kind: "Deployment",
  destination_name: "bookstore",
};
const CALL = { ...CALLER, source_pod: "bookbuyer-1", ...CALLED, destination_pod: "bookstore-1" };

const DAY = 86_400;

/** Every alert, with each cause that it is made for. */
export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: "OsmReplicaDown",
    cause: "one of two replicas does not answer",
    series: [gauge("up", ONE, 1, 0), gauge("up", OTHER, 1, 1)],
    quiet: [9, 11],
    fires: 13,
    told: [{ labels: ONE }],
    over: 31,
  },
  {
    alert: "OsmControlPlaneGone",
    cause: "every pod is there, and none answers",
    series: [gauge("up", ONE, 1, 0), gauge("up", WATCHER, 1, 0)],
    quiet: [9, 10.5],
    fires: 12,
    told: [{ labels: {} }],
    over: 31,
  },
  {
    alert: "OsmControlPlaneGone",
    cause: "there is no pod, and so no target",
    series: [gauge("up", ONE, 1, "_")],
    // What was scraped last counts for five minutes.
    quiet: [9, 14],
    fires: 17,
    told: [{ labels: {} }],
    over: 31,
  },
  {
    alert: "OsmProxiesMissing",
    cause: "three live sidecars have no stream",
    series: [gauge("osm_proxy_missing_count", WATCHER, 0, 3)],
    quiet: [9, 14],
    fires: 16,
    told: [{ labels: WATCHER, value: "3" }],
    over: 31,
  },
  {
    alert: "OsmLedgerIncomplete",
    cause: "the watcher does not hear from a replica",
    series: [gauge("osm_ledger_complete", WATCHER, 1, 0)],
    quiet: [9, 14],
    fires: 16,
    told: [{ labels: WATCHER }],
    over: 31,
  },
  {
    alert: "OsmStreamsRefused",
    cause: "identities that cannot be proven; a replica that leaves is no cause",
    series: [
      counter("osm_proxy_refused_streams_total", { ...ONE, code: "UNAUTHENTICATED" }, 0, 1),
      counter("osm_proxy_refused_streams_total", { ...ONE, code: "UNAVAILABLE" }, 5, 5),
    ],
    quiet: [9, 14],
    fires: 17,
    told: [{ labels: { code: "UNAUTHENTICATED" } }],
    over: 33,
  },
  {
    alert: "OsmResourcesRefused",
    cause: "a proxy says no to two resources",
    series: [gauge("osm_proxy_refused_count", ONE, 0, 2), gauge("osm_proxy_refused_count", OTHER, 0, 0)],
    quiet: [9, 10.5],
    fires: 12,
    told: [{ labels: ONE, value: "2" }],
    over: 31,
  },
  {
    alert: "OsmObjectsWrong",
    cause: "a policy names what is not there",
    series: [
      gauge("osm_error_object_count", { ...WATCHER, err_code: "UnresolvedReference" }, 0, 1),
      gauge("osm_error_object_count", { ...WATCHER, err_code: "InvalidField" }, 0, 0),
    ],
    quiet: [9, 19],
    fires: 21,
    told: [{ labels: { ...WATCHER, err_code: "UnresolvedReference" }, value: "1" }],
    over: 31,
  },
  {
    alert: "OsmConvergenceSlow",
    cause: "every hundredth change takes between ten and twenty seconds",
    series: histogram(
      "osm_convergence_seconds",
      { ...ONE, kind: "Pod" },
      { "0.5": [100, 98], "10": [100, 98], "20": [100, 100], "+Inf": [100, 100] },
    ),
    quiet: [9, 14],
    fires: 21,
    told: [{ labels: {}, value: "15s" }],
    over: 37,
  },
  {
    alert: "OsmEventLoopSlow",
    cause: "the process stands still for three seconds at a time",
    series: [
      gauge("osm_event_loop_lag_seconds", { ...ONE, quantile: "1" }, 0.02, 3),
      gauge("osm_event_loop_lag_seconds", { ...ONE, quantile: "0.99" }, 0.02, 0.02),
    ],
    quiet: [9, 11],
    fires: 13,
    told: [{ labels: { ...ONE, quantile: "1" }, value: "3s" }],
    over: 31,
  },
  {
    alert: "OsmErrorsContained",
    cause: "the collector of a metric throws at every scrape of one pod; another place is as it was",
    series: [
      counter("osm_errors_contained_total", { ...ONE, place: "metrics" }, 0, 1),
      counter("osm_errors_contained_total", { ...ONE, place: "timer" }, 0, 0),
      counter("osm_errors_contained_total", { ...OTHER, place: "metrics" }, 0, 0),
    ],
    quiet: [9, 11],
    fires: 12,
    told: [{ labels: { pod: ONE["pod"] ?? "", place: "metrics" } }],
    over: 41,
  },
  {
    alert: "OsmReviewsRefused",
    cause: "somebody applies wrong TrafficSplits",
    series: [
      counter(
        "osm_admission_webhook_response_total",
        { ...ONE, kind: "TrafficSplit", success: "false" },
        0,
        1,
      ),
      counter(
        "osm_admission_webhook_response_total",
        { ...ONE, kind: "TrafficSplit", success: "true" },
        1,
        1,
      ),
      counter("osm_admission_webhook_response_total", { ...ONE, kind: "Egress", success: "false" }, 0, 0),
    ],
    quiet: [9],
    fires: 12,
    told: [{ labels: { kind: "TrafficSplit" } }],
    over: 41,
  },
  {
    alert: "OsmIssuerFailing",
    cause: "the issuer gives nothing to four identities",
    series: [gauge("osm_cert_waiting_count", ONE, 0, 4), gauge("osm_cert_waiting_count", OTHER, 0, 0)],
    quiet: [9, 11],
    fires: 13,
    told: [{ labels: ONE, value: "4" }],
    over: 31,
  },
  {
    alert: "OsmCertificateEnding",
    cause: "the root has twenty days left; a workload's always has less",
    series: [
      gauge(
        "osm_cert_expiry_timestamp_seconds",
        { ...ONE, certificate: "root" },
        3650 * DAY,
        20 * DAY + 16 * 60,
      ),
      gauge(
        "osm_cert_expiry_timestamp_seconds",
        { ...ONE, certificate: "control-plane" },
        3650 * DAY,
        3650 * DAY,
      ),
      gauge("osm_cert_expiry_timestamp_seconds", { ...ONE, certificate: "workload" }, DAY, DAY),
    ],
    quiet: [9, 14],
    fires: 16,
    told: [{ labels: { certificate: "root" }, value: "20d 0h 0m 0s" }],
    over: 31,
  },
  {
    alert: "OsmCertificateNotRenewed",
    cause: "what replicas serve with ends in minute 25 on one of them",
    series: [
      gauge("osm_cert_expiry_timestamp_seconds", { ...ONE, certificate: "serving" }, DAY, 25 * 60),
      gauge("osm_cert_expiry_timestamp_seconds", { ...OTHER, certificate: "serving" }, DAY, DAY),
      gauge("osm_cert_expiry_timestamp_seconds", { ...ONE, certificate: "webhook" }, DAY, DAY),
    ],
    quiet: [9, 14],
    fires: 16,
    told: [{ labels: { certificate: "serving" }, value: "9m 0s" }],
    over: 31,
  },
  {
    alert: "OsmRequestsFailing",
    cause: "every fifth answer is a 503",
    series: [
      counter("osm_request_total", { ...CALL, response_code: "200" }, 100, 80),
      counter("osm_request_total", { ...CALL, response_code: "503" }, 0, 20),
      counter(
        "osm_request_total",
        { ...CALL, destination_name: "bookwarehouse", response_code: "404" },
        10,
        10,
      ),
    ],
    quiet: [9, 14],
    fires: 21,
    told: [{ labels: CALLED, value: "20%" }],
    over: 37,
  },
];

/** Every recording rule, over ten minutes of traffic that does not change. */
export const RECORD_CASES: readonly RecordCase[] = [
  {
    record: "osm:requests:rate5m",
    series: [
      counter("osm_request_total", { ...CALL, response_code: "200" }, 90, 0),
      counter("osm_request_total", { ...CALL, destination_pod: "bookstore-2", response_code: "503" }, 30, 0),
    ],
    at: 9,
    samples: [{ labels: { ...CALLER, ...CALLED }, value: 4 }],
  },
  {
    record: "osm:requests_failed:ratio5m",
    series: [
      counter("osm_request_total", { ...CALL, response_code: "200" }, 90, 0),
      counter("osm_request_total", { ...CALL, response_code: "503" }, 30, 0),
      counter(
        "osm_request_total",
        { ...CALL, destination_name: "bookwarehouse", response_code: "200" },
        1,
        0,
      ),
    ],
    at: 9,
    samples: [
      { labels: CALLED, value: 0.25 },
      { labels: { ...CALLED, destination_name: "bookwarehouse" }, value: 0 },
    ],
  },
  {
    record: "osm:request_duration_ms:p99_5m",
    series: histogram("osm_request_duration_ms", CALL, {
      "10": [98, 0],
      "50": [98, 0],
      "100": [100, 0],
      "+Inf": [100, 0],
    }),
    at: 9,
    samples: [{ labels: CALLED, value: 75 }],
  },
  {
    record: "osm:convergence_seconds:p99_5m",
    series: [
      ...histogram(
        "osm_convergence_seconds",
        { ...ONE, kind: "Pod" },
        { "0.1": [98, 0], "0.5": [98, 0], "+Inf": [98, 0] },
      ),
      ...histogram(
        "osm_convergence_seconds",
        { ...OTHER, kind: "Service" },
        { "0.1": [0, 0], "0.5": [2, 0], "+Inf": [2, 0] },
      ),
    ],
    at: 9,
    samples: [{ labels: {}, value: 0.3 }],
  },
  {
    record: "osm:proxies:sum",
    series: [gauge("osm_proxy_connect_count", ONE, 7, 0), gauge("osm_proxy_connect_count", OTHER, 5, 0)],
    at: 9,
    samples: [{ labels: {}, value: 12 }],
  },
];
