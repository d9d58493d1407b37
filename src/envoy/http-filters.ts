import type { ExternalAuthorization } from "../policy/types";
import { pack } from "./any";
import { milliseconds } from "./duration";
import { ApiVersion } from "./api/generated/envoy/config/core/v3/config_source";
import { ExtAuthz } from "./api/generated/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import { RBAC } from "./api/generated/envoy/extensions/filters/http/rbac/v3/rbac";
import { Router } from "./api/generated/envoy/extensions/filters/http/router/v3/router";
import type { HttpFilter } from "./api/generated/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";

/** Names under which routes refer to filters of the chain. */
export const HTTP_FILTER_NAMES = {
  rbac: "envoy.filters.http.rbac",
  externalAuthorization: "envoy.filters.http.ext_authz",
  router: "envoy.filters.http.router",
} as const;

/** What the HTTP filter chain of a listener depends on. */
export interface HttpFilterInput {
  readonly direction: "inbound" | "outbound";
  readonly externalAuthorization: ExternalAuthorization | undefined;
}

interface Step {
  readonly name: string;
  /** The filter's configuration, or undefined where it has no place. */
  readonly config: (input: HttpFilterInput) => HttpFilter["configType"];
}

/** Bytes of a request body that the authorization server gets to see; the rest is not waited for (as OSM). */
const AUTHORIZED_BODY_BYTES = 8192;

function externalAuthorization(authorization: ExternalAuthorization): ExtAuthz {
  return {
    services: {
      $case: "grpcService",
      value: {
        targetSpecifier: { $case: "envoyGrpc", value: { clusterName: authorization.cluster } },
        timeout: milliseconds(authorization.timeoutMs),
      },
    },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: authorization.failureModeAllow,
    statPrefix: authorization.statPrefix,
    withRequestBody: { maxRequestBytes: AUTHORIZED_BODY_BYTES, allowPartialMessage: true },
  };
}

/** The one order of HTTP filters; a new filter takes its place in this list with its reason. */
const ORDER: readonly Step[] = [
  {
    // First: who is not allowed here reaches no other filter and no authorization server. What is allowed is said by
    // each route; a request without a route passes and gets its 404.
    name: HTTP_FILTER_NAMES.rbac,
    config: ({ direction }) =>
      direction === "inbound" ? { $case: "typedConfig", value: pack(RBAC, {}) } : undefined,
  },
  {
    // After identity, so that the server is asked only about callers who may call.
    name: HTTP_FILTER_NAMES.externalAuthorization,
    config: ({ direction, externalAuthorization: server }) =>
      direction === "inbound" && server !== undefined
        ? { $case: "typedConfig", value: pack(ExtAuthz, externalAuthorization(server)) }
        : undefined,
  },
  {
    // Last, because it ends the chain.
    name: HTTP_FILTER_NAMES.router,
    config: () => ({ $case: "typedConfig", value: pack(Router, {}) }),
  },
];

/** The HTTP filters of a listener, in order. */
export function httpFilters(input: HttpFilterInput): HttpFilter[] {
  return ORDER.flatMap(step => {
    const configType = step.config(input);
    return configType === undefined ? [] : [{ name: step.name, configType }];
  });
}
