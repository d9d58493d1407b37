import { pack } from "./any";
import type { AccessLog } from "./api/generated/envoy/config/accesslog/v3/accesslog";
import { StdoutAccessLog } from "./api/generated/envoy/extensions/access_loggers/stream/v3/stream";

/** OSM's 19 fields. The path goes without its query, which may hold secrets. */
const FIELDS: Readonly<Record<string, string>> = {
  start_time: "%START_TIME%",
  method: "%REQ(:METHOD)%",
  path: "%PATH(NQ:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  time_to_first_byte: "%RESPONSE_DURATION%",
  upstream_cluster: "%UPSTREAM_CLUSTER%",
  response_flags: "%RESPONSE_FLAGS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
};

/** One JSON line per request (or TCP connection) on the sidecar's standard output; Envoy escapes every value. */
export const ACCESS_LOG: AccessLog[] = [
  {
    name: "envoy.access_loggers.stdout",
    configType: {
      $case: "typedConfig",
      value: pack(StdoutAccessLog, {
        accessLogFormat: {
          $case: "logFormat",
          value: { format: { $case: "jsonFormat", value: FIELDS } },
        },
      }),
    },
  },
];
