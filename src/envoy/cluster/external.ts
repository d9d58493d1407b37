import type { ExternalClusterLeaf } from "../../policy/types";
import { type Cluster, Cluster_DiscoveryType } from "../api/generated/envoy/config/cluster/v3/cluster";
import { staticEndpoint } from "../endpoint/endpoint-set";
import { alwaysHttp2 } from "./protocol-options";
import { CLUSTER_DEFAULTS } from "./defaults";

/** A named address outside the mesh, resolved by DNS in the pod. */
export function externalCluster(leaf: ExternalClusterLeaf): Cluster {
  return {
    name: leaf.name,
    ...CLUSTER_DEFAULTS,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STRICT_DNS },
    // The mesh must start while the collector's name does not resolve yet.
    waitForWarmOnInit: false,
    loadAssignment: staticEndpoint(leaf.name, leaf.address, leaf.port),
    ...(leaf.http2 ? alwaysHttp2() : {}),
  };
}
