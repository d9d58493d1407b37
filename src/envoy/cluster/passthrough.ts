import type { PassthroughClusterLeaf } from "../../policy/types";
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from "../api/generated/envoy/config/cluster/v3/cluster";
import { clusterDefaults } from "./defaults";

/** Plain connection to the address the application dialled, byte for byte. */
export function passthroughCluster(leaf: PassthroughClusterLeaf): Cluster {
  return {
    name: leaf.name,
    ...clusterDefaults(),
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  };
}
