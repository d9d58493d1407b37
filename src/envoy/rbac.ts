import { spiffeIds, type ServiceIdentity, type TrustDomain } from "../model/identity";
import type { Grant, HttpMatch, Permission } from "../policy/types";
import { pack } from "./any";
import type { Any } from "./api/generated/google/protobuf/any";
import {
  type Permission as Condition,
  type Policy,
  type Principal,
  RBAC_Action,
  type RBAC,
} from "./api/generated/envoy/config/rbac/v3/rbac";
import { RBACPerRoute } from "./api/generated/envoy/extensions/filters/http/rbac/v3/rbac";
import type { StringMatcher } from "./api/generated/envoy/type/matcher/v3/string";
import { exact, headerMatchers, regex } from "./route/route-match";

/** The holder of a certificate with this name (URI or DNS SAN, exact). Without a certificate nobody has any name. */
function named(name: string): Principal {
  return { identifier: { $case: "authenticated", value: { principalName: exact(name) } } };
}

function principals(trustDomain: TrustDomain, identities: readonly ServiceIdentity[]): Principal[] {
  return identities.flatMap(identity => spiffeIds(trustDomain, identity).map(named));
}

const ANY_REQUEST: Condition = { rule: { $case: "any", value: true } };

/** Envoy looks at the path without query and fragment, as it does in routes. */
function pathCondition(path: HttpMatch["path"]): Condition[] {
  const is = (matcher: StringMatcher): Condition[] => [
    { rule: { $case: "urlPath", value: { rule: { $case: "path", value: matcher } } } },
  ];
  switch (path.kind) {
    case "any":
      return [];
    case "prefix":
      return is({ matchPattern: { $case: "prefix", value: path.value } });
    case "exact":
      return is(exact(path.value));
    case "regex":
      return is(regex(path.value));
  }
}

/** The same requests that a route with this match would take: all parts must hold. */
function condition(match: HttpMatch): Condition {
  const headers = headerMatchers(match).map((value): Condition => ({ rule: { $case: "header", value } }));
  const rules = [...pathCondition(match.path), ...headers];
  const [only] = rules;
  if (only === undefined) return ANY_REQUEST;
  return rules.length === 1 ? only : { rule: { $case: "andRules", value: { rules } } };
}

/** What the policies allow, and nothing else: without a policy Envoy refuses everybody. */
function allow(policies: Readonly<Record<string, Policy>>): RBAC {
  if (Object.keys(policies).length === 0) return { action: RBAC_Action.ALLOW };
  return { action: RBAC_Action.ALLOW, policies };
}

/** Every request of some callers. An empty list means nobody. */
function allowCallers(policy: string, callers: Principal[]): RBAC {
  if (callers.length === 0) return allow({});
  return allow({ [policy]: { permissions: [ANY_REQUEST], principals: callers } });
}

/**
 * One policy per grant, by the grant's name, so that a log line can tell which one let a request in. A grant of nobody or of
 * nothing is left out: Envoy refuses a configuration with an empty policy.
 */
function allowGrants(trustDomain: TrustDomain, grants: readonly Grant[]): RBAC {
  const useful = grants.filter(({ identities, matches }) => identities.length > 0 && matches.length > 0);
  const entries = useful.map(({ name, identities, matches }): [string, Policy] => [
    name,
    { permissions: matches.map(condition), principals: principals(trustDomain, identities) },
  ]);
  if (new Set(entries.map(([name]) => name)).size < entries.length)
    throw new Error("two grants of one permission have the same name");
  return allow(Object.fromEntries(entries));
}

/**
 * A route's own permission. Any mesh identity: the TLS layer has already made sure of that, so the filter is off for the
 * route. It stands in the route table, where a change takes milliseconds, and not in the listener, where it takes a second.
 */
export function routePermission(trustDomain: TrustDomain, permission: Permission): Any {
  const rules = (value: RBAC): Any => pack(RBACPerRoute, { rbac: { rules: value } });
  switch (permission.kind) {
    case "any-mesh-identity":
    case "anyone":
      return pack(RBACPerRoute, {});
    case "allow":
      return rules(allowCallers("identities", principals(trustDomain, permission.identities)));
    case "grants":
      return rules(allowGrants(trustDomain, permission.grants));
    case "principals":
      return rules(allowCallers("principals", permission.names.map(named)));
  }
}
