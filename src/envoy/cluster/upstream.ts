import type { UpstreamClusterLeaf } from "../../policy/types";
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from "../api/generated/envoy/config/cluster/v3/cluster";
import { ADS } from "../config-source";
import { upstreamTls } from "../tls";
import { CLUSTER_DEFAULTS } from "./defaults";
import { sameAsDownstream } from "./protocol-options";

/** Where the endpoints come from, and how one is chosen. */
function discovery(leaf: UpstreamClusterLeaf): Partial<Cluster> {
  switch (leaf.discovery.kind) {
    case "endpoints":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { edsConfig: ADS },
        lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
        // A removed endpoint is gone at once: no health check is to confirm it.
        ignoreHealthOnHostRemoval: true,
      };
    case "original-destination":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
  }
}

/** A destination in the mesh, reached by mutual TLS. */
export function upstreamCluster(leaf: UpstreamClusterLeaf): Cluster {
  return {
    name: leaf.name,
    ...CLUSTER_DEFAULTS,
    ...discovery(leaf),
    ...(leaf.protocol === "tcp" ? {} : sameAsDownstream()),
    transportSocket: upstreamTls(leaf),
  };
}
