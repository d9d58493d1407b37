import type { AccessLog as AccessLogTerms } from "../policy/types";
import { pack } from "./any";
import type { AccessLog } from "./api/generated/envoy/config/accesslog/v3/accesslog";
import type { TypedExtensionConfig } from "./api/generated/envoy/config/core/v3/extension";
import type { SubstitutionFormatString } from "./api/generated/envoy/config/core/v3/substitution_format_string";
import { OpenTelemetryAccessLogConfig } from "./api/generated/envoy/extensions/access_loggers/open_telemetry/v3/logs_service";
import { StdoutAccessLog } from "./api/generated/envoy/extensions/access_loggers/stream/v3/stream";
import { ReqWithoutQuery } from "./api/generated/envoy/extensions/formatter/req_without_query/v3/req_without_query";
import type { AnyValue, KeyValue } from "./api/generated/opentelemetry/proto/common/v1/common";
import { rpcTo } from "./grpc-service";
import { FAILED } from "./log-filter";

/**
 * OSM's 19 fields, then two that explain a refusal: who the caller is by its certificate, and which grant let the request
 * in. The path goes without its query, which may hold secrets.
 */
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
  caller: "%DOWNSTREAM_PEER_URI_SAN%",
  grant: "%DYNAMIC_METADATA(envoy.filters.http.rbac:enforced_effective_policy_id)%",
};

type Json = Record<string, unknown>;

function jsonObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** `%REQ_WITHOUT_QUERY(…)%`, which OSM's users know. */
const FORMATTERS: TypedExtensionConfig[] = [
  { name: "envoy.formatter.req_without_query", typedConfig: pack(ReqWithoutQuery, {}) },
];

/** A JSON object gives one JSON line per request; any other text is written as it stands, a line each. */
function formatOf(text: string): SubstitutionFormatString {
  const json = jsonObject(text);
  if (json !== undefined) return { format: { $case: "jsonFormat", value: json }, formatters: FORMATTERS };
  const inlineString = text.endsWith("\n") ? text : `${text}\n`;
  return {
    format: {
      $case: "textFormatSource",
      value: { specifier: { $case: "inlineString", value: inlineString } },
    },
    formatters: FORMATTERS,
  };
}

function stdout(format: SubstitutionFormatString): AccessLog {
  const config: StdoutAccessLog = { accessLogFormat: { $case: "logFormat", value: format } };
  return {
    name: "envoy.access_loggers.stdout",
    configType: { $case: "typedConfig", value: pack(StdoutAccessLog, config) },
  };
}

const DEFAULT_LOG = stdout({ format: { $case: "jsonFormat", value: FIELDS } });

const text = (value: string): AnyValue => ({ value: { $case: "stringValue", value } });

function pairs(values: Readonly<Record<string, string>>): KeyValue[] {
  return Object.entries(values).map(([key, value]) => ({ key, value: text(value) }));
}

/** One record per request: the given text as its body or the default fields as attributes, and the attributes asked for. */
function openTelemetry(
  sink: NonNullable<AccessLogTerms["openTelemetry"]>,
  format: string | undefined,
): AccessLog {
  const fields = format === undefined ? FIELDS : {};
  const config: OpenTelemetryAccessLogConfig = {
    grpcService: rpcTo(sink.cluster),
    logName: "osm",
    body: text(format ?? "%REQ(:METHOD)% %PATH(NQ:PATH)% %RESPONSE_CODE%"),
    attributes: { values: pairs({ ...fields, ...sink.attributes }) },
    formatters: FORMATTERS,
  };
  return {
    name: "envoy.access_loggers.open_telemetry",
    configType: { $case: "typedConfig", value: pack(OpenTelemetryAccessLogConfig, config) },
  };
}

/**
 * The access loggers of a listener: one line per request (or TCP connection) on the sidecar's standard output, where Envoy
 * escapes every value of JSON; a collector as well, where one is named. Where only failures are asked for, of those alone, unless
 * they cannot be told from the others (`all`).
 */
export function accessLogs(terms: AccessLogTerms | undefined, all = false): AccessLog[] {
  const format = terms?.format;
  const line = format === undefined ? DEFAULT_LOG : stdout(formatOf(format));
  const sink = terms?.openTelemetry;
  const loggers = sink === undefined ? [line] : [line, openTelemetry(sink, format)];
  return terms?.onlyFailures === true && !all
    ? loggers.map(logger => ({ ...logger, filter: FAILED }))
    : loggers;
}
