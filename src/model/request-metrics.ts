/**
 * What the injector and the configuration of a sidecar must agree on, so that requests are counted: `osm_request_total` and
 * `osm_request_duration_ms`, with OSM's labels.
 */

/** Environment variables of the sidecar's container that say whose sidecar it is, by what they say. */
export const SELF_VARIABLES = {
  namespace: "OSM_NAMESPACE",
  kind: "OSM_WORKLOAD_KIND",
  name: "OSM_WORKLOAD_NAME",
  pod: "OSM_POD",
} as const;

/** Environment variable of the sidecar's container in which Envoy looks for what OpenTelemetry calls its resource. */
export const RESOURCE_VARIABLE = "OTEL_RESOURCE_ATTRIBUTES";

/** As what the spans of a sidecar are told: the service is called as Zipkin has it. `pod` may be a variable's expansion. */
export function resourceAttributes(service: string, namespace: string, pod: string): string {
  return `service.name=${service},k8s.namespace.name=${namespace},k8s.pod.name=${pod}`;
}

/** Runtime key that switches counting on, in percent; a bootstrap without it does not count. */
export const RUNTIME_COUNT_REQUESTS = "osm.count_requests";

/** Prefix of both metrics inside of Envoy, without its last separator. */
export const STAT_PREFIX = "osm";
/** Counter, without {@link STAT_PREFIX}. */
export const STAT_TOTAL = "request_total";
/** Histogram in milliseconds, without {@link STAT_PREFIX}. */
export const STAT_DURATION = "request_duration_ms";
