import { spiffeId, type ServiceIdentity } from "../model/identity";
import type { Permission } from "../policy/types";
import { pack } from "./any";
import type { Any } from "./api/generated/google/protobuf/any";
import { type Principal, RBAC_Action, type RBAC } from "./api/generated/envoy/config/rbac/v3/rbac";
import { RBACPerRoute } from "./api/generated/envoy/extensions/filters/http/rbac/v3/rbac";

function principal(trustDomain: string, identity: ServiceIdentity): Principal {
  const uri = spiffeId(trustDomain, identity);
  return {
    identifier: {
      $case: "authenticated",
      value: { principalName: { matchPattern: { $case: "exact", value: uri } } },
    },
  };
}

/** Allows the given identities, by exact SPIFFE URI, and nobody else: without a policy Envoy refuses everybody. */
function allowOnly(trustDomain: string, identities: readonly ServiceIdentity[]): RBAC {
  if (identities.length === 0) return { action: RBAC_Action.ALLOW };
  return {
    action: RBAC_Action.ALLOW,
    policies: {
      identities: {
        permissions: [{ rule: { $case: "any", value: true } }],
        principals: identities.map(identity => principal(trustDomain, identity)),
      },
    },
  };
}

/**
 * A route's own permission. Any mesh identity: the TLS layer has already made sure of that, so the filter is off for the
 * route. It stands in the route table, where a change takes milliseconds, and not in the listener, where it takes a second.
 */
export function routePermission(trustDomain: string, permission: Permission): Any {
  switch (permission.kind) {
    case "any-mesh-identity":
      return pack(RBACPerRoute, {});
    case "anyone":
      return pack(RBACPerRoute, {});
    case "allow":
      return pack(RBACPerRoute, { rbac: { rules: allowOnly(trustDomain, permission.identities) } });
    // Refused until their builder is here: who does not know a permission must not grant it.
    case "grants":
    case "principals":
      return pack(RBACPerRoute, { rbac: { rules: allowOnly(trustDomain, []) } });
  }
}
