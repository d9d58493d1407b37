import type { AccessLog, EscapedSlashes, Tracing } from "../policy/types";
import { accessLogs } from "./access-log";
import { type Counting, requestMetrics } from "./request-metrics";
import { pack } from "./any";
import { ADS } from "./config-source";
import { milliseconds, NO_LIMIT } from "./duration";
import { CALLER_GATE_HEADER } from "./caller-gate-header";
import { httpFilters, type HttpFilterInput } from "./http-filters";
import { HTTP2_LIMITS } from "./http-limits";
import { tracingOf } from "./tracing";
import { HeaderValueOption_HeaderAppendAction } from "./api/generated/envoy/config/core/v3/base";
import type { TypedExtensionConfig } from "./api/generated/envoy/config/core/v3/extension";
import type { Filter } from "./api/generated/envoy/config/listener/v3/listener_components";
import {
  HttpConnectionManager,
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
} from "./api/generated/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { HeaderMutation } from "./api/generated/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation";

/** What an HTTP connection manager depends on. */
export interface HttpInput extends HttpFilterInput {
  readonly routeTable: string;
  readonly tracing: Tracing | undefined;
  readonly accessLog: AccessLog | undefined;
  /** Absent: paths with an escaped slash are refused. */
  readonly escapedSlashes?: EscapedSlashes | undefined;
  /** Name of the caller's gate as a format, where every caller has its own. */
  readonly callerGate?: string;
  /** Absent: its requests are not counted. */
  readonly counting?: Counting;
}

/**
 * No address is "internal". Envoy believes timeout, retry and tracing headers of internal callers, and every pod has an
 * address that it would take for internal. (The range holds one address of TEST-NET-1, which nobody may use.)
 */
const NOBODY_INTERNAL = { cidrRanges: [{ addressPrefix: "192.0.2.255", prefixLen: 32 }] };

/**
 * Headers that only the mesh itself may set, by how they begin; dropped before anything looks at the request. Every beginning is
 * compared with every header: a caller's own sidecar drops only what Envoy would follow there, the server's the rest.
 */
const RESERVED_HEADER_PREFIXES = { outbound: ["x-envoy-"], inbound: ["x-envoy-", "osm-stats-"] } as const;

/** The name of the caller's gate goes into a header, because a route can take its cluster from nothing else. */
function setCallerGate(format: string): HeaderMutation["mutations"] {
  const header = { key: CALLER_GATE_HEADER, value: format };
  const appendAction = HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD;
  return [{ action: { $case: "append", value: { header, appendAction } } }];
}

function earlyHeaders({ direction, callerGate }: HttpInput): TypedExtensionConfig {
  const dropped: HeaderMutation["mutations"] = RESERVED_HEADER_PREFIXES[direction].map(prefix => ({
    action: {
      $case: "removeOnMatch",
      value: { keyMatcher: { matchPattern: { $case: "prefix", value: prefix } } },
    },
  }));
  const gate: HeaderMutation["mutations"] =
    direction === "outbound" ? [] : [{ action: { $case: "remove", value: CALLER_GATE_HEADER } }];
  const set = callerGate === undefined ? [] : (setCallerGate(callerGate) ?? []);
  return {
    name: "envoy.http.early_header_mutation.header_mutation",
    typedConfig: pack(HeaderMutation, { mutations: [...dropped, ...gate, ...set] }),
  };
}

/** Of whom a request is: never what the request says about itself. */
function identity(input: HttpInput): Partial<HttpConnectionManager> {
  const shared: Partial<HttpConnectionManager> = {
    internalAddressConfig: NOBODY_INTERNAL,
    earlyHeaderMutationExtensions: [earlyHeaders(input)],
    // Trace and request ids that an application passes on must survive every hop.
    preserveExternalRequestId: true,
  };
  if (input.direction === "outbound") return shared;
  return {
    ...shared,
    // The peer's address is appended to X-Forwarded-For. The peer is a sidecar of the mesh, so the scheme it reports is
    // kept: applications behind it must not believe that their users came by https.
    useRemoteAddress: true,
    xffNumTrustedHops: 1,
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET,
    setCurrentClientCertDetails: { uri: true },
  };
}

const { KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_FORWARD } =
  HttpConnectionManager_PathWithEscapedSlashesAction;

/** One spelling per path, so that a rule about `/admin` cannot be passed by `/public/..%2fadmin` unless it is asked for. */
function paths({ escapedSlashes }: HttpInput): Partial<HttpConnectionManager> {
  const action = { keep: KEEP_UNCHANGED, unescape: UNESCAPE_AND_FORWARD };
  return {
    normalizePath: true,
    mergeSlashes: true,
    pathWithEscapedSlashesAction: escapedSlashes === undefined ? REJECT_REQUEST : action[escapedSlashes],
  };
}

/**
 * Headers must arrive within 10 s. A stream may be silent as long as its ends want (a gRPC watch, a WebSocket); dead peers
 * are found by TCP keepalive.
 */
const LIMITS: Partial<HttpConnectionManager> = {
  requestHeadersTimeout: milliseconds(10_000),
  streamIdleTimeout: NO_LIMIT,
  // Between telling a client of HTTP/2 to go elsewhere and taking no more: shorter than the second that draining takes.
  drainTimeout: milliseconds(250),
  maxRequestHeadersKb: 60,
  commonHttpProtocolOptions: { maxHeadersCount: 100 },
  http2ProtocolOptions: HTTP2_LIMITS,
};

const tables = new WeakMap<Filter, string>();

/** Name of the route table that a filter asks for; undefined: it is no {@link httpConnectionManager}. */
export function routeTableOf(filter: Filter): string | undefined {
  return tables.get(filter);
}

/** The one hardened HTTP connection manager, as a network filter. */
export function httpConnectionManager(input: HttpInput): Filter {
  const manager: HttpConnectionManager = {
    codecType: HttpConnectionManager_CodecType.AUTO,
    statPrefix: input.routeTable,
    routeSpecifier: { $case: "rds", value: { configSource: ADS, routeConfigName: input.routeTable } },
    httpFilters: httpFilters(input),
    ...identity(input),
    ...paths(input),
    ...LIMITS,
    // HTTP/1.0 clients (nginx proxies by default) work, as they did without a mesh.
    httpProtocolOptions: { acceptHttp10: true },
    // The application's own Server header is nobody's business here.
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    upgradeConfigs: [{ upgradeType: "websocket" }],
    accessLog: [...accessLogs(input.accessLog), ...requestMetrics(input.counting)],
    tracing: input.tracing === undefined ? undefined : tracingOf(input.tracing),
  };
  const filter: Filter = {
    name: "envoy.filters.network.http_connection_manager",
    configType: { $case: "typedConfig", value: pack(HttpConnectionManager, manager) },
  };
  tables.set(filter, input.routeTable);
  return filter;
}
