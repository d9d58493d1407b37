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

/** Runtime key that switches counting on, in percent; a bootstrap without it does not count. */
export const RUNTIME_COUNT_REQUESTS = "osm.count_requests";

/** Prefix of both metrics inside of Envoy, without its last separator. */
export const STAT_PREFIX = "osm";
/** Counter, without {@link STAT_PREFIX}. */
export const STAT_TOTAL = "request_total";
/** Histogram in milliseconds, without {@link STAT_PREFIX}. */
export const STAT_DURATION = "request_duration_ms";
