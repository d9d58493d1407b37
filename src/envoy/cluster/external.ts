import type { ExternalClusterLeaf } from "../../policy/types";
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
} from "../api/generated/envoy/config/cluster/v3/cluster";
import { staticEndpoint } from "../endpoint/endpoint-set";
import { milliseconds } from "../duration";
import { clusterDefaults } from "./defaults";
import { alwaysHttp2, sameAsDownstream } from "./protocol-options";
import { statName } from "./stat-name";

/**
 * Servers of the mesh's own (collectors, authorization, rate limits) are few and all addresses of their name are used. A
 * host of the outside world may have hundreds that change with every answer: one is used at a time, of either family,
 * whichever connects first.
 */
function resolution({ http2 }: ExternalClusterLeaf): Partial<Cluster> {
  if (http2 !== undefined)
    return { clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STRICT_DNS } };
  return {
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.LOGICAL_DNS },
    dnsLookupFamily: Cluster_DnsLookupFamily.ALL,
  };
}

function protocol({ http2, connection }: ExternalClusterLeaf): Partial<Cluster> {
  const maxRequests = connection?.maxRequestsPerConnection;
  if (http2 === undefined) return sameAsDownstream({ maxRequests });
  return http2 ? alwaysHttp2({ maxRequests }) : {};
}

/** A named address outside the mesh, resolved by DNS in the pod. */
export function externalCluster(leaf: ExternalClusterLeaf): Cluster {
  return {
    name: leaf.name,
    ...statName(leaf.name),
    ...clusterDefaults(leaf.connection),
    ...(leaf.connectTimeoutMs === undefined ? {} : { connectTimeout: milliseconds(leaf.connectTimeoutMs) }),
    ...resolution(leaf),
    // The mesh must start while the collector's name does not resolve yet.
    waitForWarmOnInit: false,
    loadAssignment: staticEndpoint(leaf.name, leaf.address, leaf.port),
    ...protocol(leaf),
  };
}
