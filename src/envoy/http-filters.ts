import type { ExternalAuthorization, InboundPort } from "../policy/types";
import { pack } from "./any";
import { rpcTo } from "./grpc-service";
import { globalHttpFilter, localHttpFilter } from "./limits";
import type { Any } from "./api/generated/google/protobuf/any";
import { ApiVersion } from "./api/generated/envoy/config/core/v3/config_source";
import { ExtAuthz } from "./api/generated/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import { HTTPFault } from "./api/generated/envoy/extensions/filters/http/fault/v3/fault";
import { RBAC } from "./api/generated/envoy/extensions/filters/http/rbac/v3/rbac";
import { Router } from "./api/generated/envoy/extensions/filters/http/router/v3/router";
import type { HttpFilter } from "./api/generated/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";

/** Names under which routes refer to filters of the chain. */
export const HTTP_FILTER_NAMES = {
  fault: "envoy.filters.http.fault",
  rbac: "envoy.filters.http.rbac",
  localLimit: "envoy.filters.http.local_ratelimit",
  globalLimit: "envoy.filters.http.ratelimit",
  externalAuthorization: "envoy.filters.http.ext_authz",
  router: "envoy.filters.http.router",
} as const;

/** What the HTTP filter chain of a listener depends on. */
export interface HttpFilterInput {
  readonly direction: "inbound" | "outbound";
  readonly externalAuthorization: ExternalAuthorization | undefined;
  readonly globalLimit?: InboundPort["globalHttpLimit"];
}

interface Step {
  readonly name: string;
  /** Passed by until a route configures it: then it costs nothing, and a route table is enough to switch it on. */
  readonly byRoute?: boolean;
  /** The filter's configuration, or undefined where it has no place. */
  readonly config: (input: HttpFilterInput) => Any | undefined;
}

/** Bytes of a request body that the authorization server gets to see; the rest is not waited for (as OSM). */
const AUTHORIZED_BODY_BYTES = 8192;

function externalAuthorization(authorization: ExternalAuthorization): Any {
  return pack(ExtAuthz, {
    services: { $case: "grpcService", value: rpcTo(authorization.cluster, authorization.timeoutMs) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorization.failureModeAllow,
    statPrefix: authorization.statPrefix,
    withRequestBody: { maxRequestBytes: AUTHORIZED_BODY_BYTES, allowPartialMessage: true },
  });
}

/** The one order of HTTP filters; a new filter takes its place in this list with its reason. */
const ORDER: readonly Step[] = [
  {
    // First of the client's: an injected fault stands for a server that is slow or fails, so nothing else has seen the request.
    name: HTTP_FILTER_NAMES.fault,
    byRoute: true,
    config: ({ direction }) => (direction === "outbound" ? pack(HTTPFault, {}) : undefined),
  },
  {
    // First of the server's: who is not allowed here reaches no other filter, uses up nobody's limit and no authorization
    // server. What is allowed is said by each route; a request without a route passes and gets its 404.
    name: HTTP_FILTER_NAMES.rbac,
    config: ({ direction }) => (direction === "inbound" ? pack(RBAC, {}) : undefined),
  },
  {
    // Before whatever asks another server: a flood is stopped where it costs least.
    name: HTTP_FILTER_NAMES.localLimit,
    byRoute: true,
    config: ({ direction }) => (direction === "inbound" ? localHttpFilter() : undefined),
  },
  {
    // After the local limit, which protects the rate limit server.
    name: HTTP_FILTER_NAMES.globalLimit,
    config: ({ globalLimit }) => (globalLimit === undefined ? undefined : globalHttpFilter(globalLimit)),
  },
  {
    // After identity and limits, so that the server is asked only about callers who may call.
    name: HTTP_FILTER_NAMES.externalAuthorization,
    config: ({ direction, externalAuthorization: server }) =>
      direction === "inbound" && server !== undefined ? externalAuthorization(server) : undefined,
  },
  {
    // Last, because it ends the chain.
    name: HTTP_FILTER_NAMES.router,
    config: () => pack(Router, {}),
  },
];

/** The HTTP filters of a listener, in order. */
export function httpFilters(input: HttpFilterInput): HttpFilter[] {
  return ORDER.flatMap(({ name, byRoute, config }) => {
    const value = config(input);
    if (value === undefined) return [];
    return [
      { name, configType: { $case: "typedConfig" as const, value }, ...(byRoute ? { disabled: true } : {}) },
    ];
  });
}
