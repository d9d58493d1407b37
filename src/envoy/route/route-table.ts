import type { Backend, HttpRule, RouteTableLeaf } from "../../policy/types";
import type { RouteConfiguration } from "../api/generated/envoy/config/route/v3/route";
import type {
  RetryPolicy,
  Route,
  RouteAction,
} from "../api/generated/envoy/config/route/v3/route_components";
import { PreviousHostsPredicate } from "../api/generated/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import { pack } from "../any";
import { NO_LIMIT } from "../duration";
import { HTTP_FILTER_NAMES } from "../http-filters";
import { routePermission } from "../rbac";
import { routeMatch } from "./route-match";

function destination(backends: readonly Backend[]): NonNullable<RouteAction["clusterSpecifier"]> {
  const [only] = backends;
  if (only !== undefined && backends.length === 1) return { $case: "cluster", value: only.cluster };
  return {
    $case: "weightedClusters",
    value: { clusters: backends.map(backend => ({ name: backend.cluster, weight: backend.weight })) },
  };
}

/** Forwards without a time limit of the mesh's own. A rule whose backends can get nothing answers 500 (Gateway API). */
function action(rule: HttpRule): NonNullable<Route["action"]> {
  if (!rule.backends.some(backend => backend.weight > 0)) {
    return { $case: "directResponse", value: { status: 500 } };
  }
  return {
    $case: "route",
    value: { clusterSpecifier: destination(rule.backends), timeout: NO_LIMIT },
  };
}

function routes(rule: HttpRule, leaf: RouteTableLeaf): Route[] {
  // Only the server decides who may call: a client's opinion of itself proves nothing.
  const permission =
    leaf.direction === "outbound"
      ? {}
      : {
          typedPerFilterConfig: {
            [HTTP_FILTER_NAMES.rbac]: routePermission(leaf.trustDomain, rule.permission),
          },
        };
  return rule.matches.map(match => ({
    name: rule.name,
    match: routeMatch(match),
    action: action(rule),
    ...permission,
  }));
}

/**
 * A request that no server has seen is sent again, to another endpoint: the endpoint refused the connection or the stream,
 * or went away before the request left. So a pod that goes is not noticed; nothing is ever done twice.
 */
const RETRY_UNSEEN: RetryPolicy = {
  retryOn: "connect-failure,refused-stream,reset-before-request",
  numRetries: 2,
  retryHostPredicate: [
    {
      name: "envoy.retry_host_predicates.previous_hosts",
      configType: { $case: "typedConfig", value: pack(PreviousHostsPredicate, {}) },
    },
  ],
  hostSelectionRetryMaxAttempts: 3,
};

/** The HTTP rules of one frontend, first match wins. The address dialled has decided the frontend, so any Host is taken. */
export function routeTable(leaf: RouteTableLeaf): RouteConfiguration {
  return {
    name: leaf.name,
    virtualHosts: [
      {
        name: leaf.name,
        domains: ["*"],
        routes: leaf.rules.flatMap(rule => routes(rule, leaf)),
        ...(leaf.direction === "outbound" ? { retryPolicy: RETRY_UNSEEN } : {}),
      },
    ],
    // Clusters come and go in their own order; an unknown one answers 503 for its requests only.
    validateClusters: false,
  };
}
