import type { Backend, HttpRule, RouteTableLeaf, VirtualHost as HostRules } from "../../policy/types";
import type { Any } from "../api/generated/google/protobuf/any";
import type { RouteConfiguration } from "../api/generated/envoy/config/route/v3/route";
import {
  type HeaderMatcher,
  type Route,
  type RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_HashPolicy,
  type VirtualHost,
} from "../api/generated/envoy/config/route/v3/route_components";
import { CALLER_GATE_HEADER } from "../caller-gate-header";
import { milliseconds, NO_LIMIT } from "../duration";
import { routeFault } from "../fault";
import { HTTP_FILTER_NAMES } from "../http-filters";
import { localHttpLimit, routeLimits } from "../limits";
import { routePermission } from "../rbac";
import { RETRY_UNSEEN, retryPolicy } from "./retry";
import { routeMatch } from "./route-match";

function destination(backends: readonly Backend[]): NonNullable<RouteAction["clusterSpecifier"]> {
  const [only] = backends;
  if (only !== undefined && backends.length === 1) return { $case: "cluster", value: only.cluster };
  return {
    $case: "weightedClusters",
    value: { clusters: backends.map(backend => ({ name: backend.cluster, weight: backend.weight })) },
  };
}

/** What chooses the endpoint where load balancing is by hash; of no effect elsewhere. */
function hashPolicy(rule: HttpRule): RouteAction_HashPolicy[] {
  const header = rule.hashHeader;
  const byHeader: RouteAction_HashPolicy[] =
    header === undefined
      ? []
      : [{ policySpecifier: { $case: "header", value: { headerName: header.toLowerCase() } } }];
  return rule.hashSource
    ? [...byHeader, { policySpecifier: { $case: "connectionProperties", value: { sourceIp: true } } }]
    : byHeader;
}

/** Only what a rule asks for is written, so that a rule without such terms keeps its bytes. */
function terms(rule: HttpRule): RouteAction {
  const { descriptors = [], retry } = rule;
  const hash = hashPolicy(rule);
  return {
    ...(retry === undefined ? {} : { retryPolicy: retryPolicy(retry) }),
    ...(hash.length === 0 ? {} : { hashPolicy: hash }),
    ...(descriptors.length === 0 ? {} : { rateLimits: routeLimits(descriptors) }),
  };
}

/** A backend that leads nowhere is the configuration's fault (500), a cluster that is late is not (503). */
function unresolved(backends: readonly Backend[]): Partial<RouteAction> {
  if (!backends.some(backend => backend.unresolved === true)) return {};
  return { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR };
}

/**
 * Forwards, without a time limit of the mesh's own. A rule whose backends can get nothing answers 500 (Gateway API).
 */
function action(rule: HttpRule, perCaller: boolean): NonNullable<Route["action"]> {
  if (!rule.backends.some(backend => backend.weight > 0)) {
    return { $case: "directResponse", value: { status: 500 } };
  }
  return {
    $case: "route",
    value: {
      clusterSpecifier: perCaller
        ? { $case: "clusterHeader", value: CALLER_GATE_HEADER }
        : destination(rule.backends),
      ...unresolved(rule.backends),
      timeout: rule.timeoutMs === undefined ? NO_LIMIT : milliseconds(rule.timeoutMs),
      ...terms(rule),
    },
  };
}

/** Whether the table stands at a server. Only a server decides who may call: a client's opinion of itself proves nothing. */
function isServing({ direction }: RouteTableLeaf): boolean {
  return direction === "inbound" || direction === "ingress";
}

function filterTerms(rule: HttpRule, leaf: RouteTableLeaf): Record<string, Any> {
  if (!isServing(leaf))
    return rule.fault === undefined ? {} : { [HTTP_FILTER_NAMES.fault]: routeFault(rule.fault) };
  return {
    [HTTP_FILTER_NAMES.rbac]: routePermission(leaf.trustDomain, rule.permission),
    ...(rule.localLimit === undefined
      ? {}
      : { [HTTP_FILTER_NAMES.localLimit]: localHttpLimit(rule.localLimit) }),
  };
}

const THROUGH_A_GATE: HeaderMatcher = {
  name: CALLER_GATE_HEADER,
  headerMatchSpecifier: { $case: "presentMatch", value: true },
};

/**
 * A request to its caller's gate. Beside it the way without a gate, under the same permission: connections from before the
 * port had gates are served to their end, which is near. Their listener sets no header, and drops a caller's own.
 */
function gated(route: Route, rule: HttpRule): Route[] {
  const { match } = route;
  return [
    {
      ...route,
      match: { ...match, headers: [...(match?.headers ?? []), THROUGH_A_GATE] },
      action: action(rule, true),
      requestHeadersToRemove: [CALLER_GATE_HEADER],
    },
    route,
  ];
}

function routes(rule: HttpRule, leaf: RouteTableLeaf): Route[] {
  const typedPerFilterConfig = filterTerms(rule, leaf);
  return rule.matches.flatMap(match => {
    const route: Route = {
      name: rule.name,
      match: routeMatch(match),
      action: action(rule, false),
      ...(Object.keys(typedPerFilterConfig).length === 0 ? {} : { typedPerFilterConfig }),
    };
    return leaf.perCaller === true ? gated(route, rule) : [route];
  });
}

function virtualHost({ name, domains, rules }: HostRules, leaf: RouteTableLeaf): VirtualHost {
  const limit = leaf.localLimit;
  return {
    name,
    domains: [...domains],
    routes: rules.flatMap(rule => routes(rule, leaf)),
    ...(isServing(leaf) ? {} : { retryPolicy: RETRY_UNSEEN }),
    ...(limit === undefined
      ? {}
      : { typedPerFilterConfig: { [HTTP_FILTER_NAMES.localLimit]: localHttpLimit(limit) } }),
  };
}

/**
 * What Envoy says of the caller's address is the last but one of X-Forwarded-For, which callers write; to an application
 * it would look like the proxy's own word. The connection manager adds it later than it drops what callers send.
 */
const SAID_BY_CALLERS = ["x-envoy-external-address"];

/**
 * The HTTP rules of one frontend, first match wins. Where the address dialled has decided the frontend any Host is taken;
 * a table with hosts answers 404 to all others.
 */
export function routeTable(leaf: RouteTableLeaf): RouteConfiguration {
  const everyHost: HostRules = { name: leaf.name, domains: ["*"], rules: leaf.rules };
  return {
    name: leaf.name,
    virtualHosts: (leaf.hosts ?? [everyHost]).map(host => virtualHost(host, leaf)),
    ...(isServing(leaf) ? { requestHeadersToRemove: SAID_BY_CALLERS } : {}),
    // Clusters come and go in their own order; an unknown one answers 503 for its requests only.
    validateClusters: false,
  };
}
