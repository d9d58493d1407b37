import { PATH_REQUESTS, PORT_METRICS } from "../model/mesh-words";
import { STAT_PREFIX, STAT_TOTAL } from "../model/request-metrics";
import type { EnvoyJson } from "./envoy-json";
import { exactListener, typed } from "./envoy-json";
import { ADMIN_CLUSTER } from "./kubelet-listeners";

/** Path at which Prometheus scrapes, on the administration socket as well. */
export const METRICS_PATH = "/stats/prometheus";

/**
 * Envoy puts its own name before every series. Line by line, what the mesh counts loses it again, so that any scraper finds
 * `osm_request_total` without a rule for it; an end that is not known is called so. What the body holds of an unfinished
 * line waits for the next part of the body; the last line always ends.
 *
 * Whatever the scraper would rather have (protocol buffers, compression) it gets text.
 */
const RENAME = `
function envoy_on_request(request)
  request:headers():remove("accept")
  request:headers():remove("accept-encoding")
end
function named(line)
  line = line:gsub('=""', '="unknown"')
  return "${STAT_PREFIX}_request_" .. line
end
function envoy_on_response(response)
  response:headers():remove("content-length")
  local rest = ""
  for chunk in response:bodyChunks() do
    local text = rest .. chunk:getBytes(0, chunk:length())
    local last = 0
    for place in text:gmatch("()\\n") do last = place end
    rest = text:sub(last + 1)
    chunk:setBytes((text:sub(1, last):gsub("envoy_${STAT_PREFIX}_request_([^\\n]*)", named)))
  end
end
`;

/** By Envoy's own names: requests between workloads, and at each Service how they were answered and how long they took. */
const REQUESTS = `^(${STAT_PREFIX}\\.${STAT_TOTAL}|http\\.outbound.+\\.downstream_rq_(.xx|time)$)`;

/** The listener that Prometheus scrapes, on {@link PORT_METRICS}: all of the sidecar's metrics, and nothing else. */
export function metricsListener(ipv6: boolean): EnvoyJson {
  return exactListener({
    name: "osm_metrics_listener",
    port: PORT_METRICS,
    ipv6,
    routes: [
      { path: METRICS_PATH, methods: "GET|HEAD", cluster: ADMIN_CLUSTER, timeoutSeconds: 10 },
      {
        path: PATH_REQUESTS,
        target: `${METRICS_PATH}?usedonly&filter=${encodeURIComponent(REQUESTS)}`,
        methods: "GET|HEAD",
        cluster: ADMIN_CLUSTER,
        timeoutSeconds: 10,
      },
    ],
    filters: [
      {
        name: "envoy.filters.http.lua",
        typed_config: typed("envoy.extensions.filters.http.lua.v3.Lua", {
          default_source_code: { inline_string: RENAME },
        }),
      },
    ],
  });
}
