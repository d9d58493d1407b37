import type { LoadBalancing, OutlierTerms } from "../../model/traffic";
import type { UpstreamClusterLeaf } from "../../policy/types";
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
} from "../api/generated/envoy/config/cluster/v3/cluster";
import type { OutlierDetection } from "../api/generated/envoy/config/cluster/v3/outlier_detection";
import { ADS } from "../config-source";
import { milliseconds } from "../duration";
import { upstreamTls } from "../tls";
import { clusterDefaults } from "./defaults";
import { sameAsDownstream } from "./protocol-options";

/** By hash means by ring: an endpoint that comes or goes moves only its own share of the keys. */
const POLICIES: Readonly<Record<LoadBalancing["kind"], Cluster_LbPolicy>> = {
  "round-robin": Cluster_LbPolicy.ROUND_ROBIN,
  "least-request": Cluster_LbPolicy.LEAST_REQUEST,
  random: Cluster_LbPolicy.RANDOM,
  hash: Cluster_LbPolicy.RING_HASH,
  "source-address": Cluster_LbPolicy.RING_HASH,
};

/** Only errors in a row count: ejection by statistics over all endpoints, which Envoy does unless told, is off. */
function outlierDetection(terms: OutlierTerms): OutlierDetection {
  return {
    consecutive5xx: terms.consecutiveErrors,
    interval: milliseconds(terms.intervalMs),
    baseEjectionTime: milliseconds(terms.baseEjectionMs),
    maxEjectionPercent: terms.maxEjectionPercent,
    enforcingConsecutive5xx: 100,
    enforcingSuccessRate: 0,
  };
}

/** Where the endpoints come from, and how one is chosen. */
function discovery(leaf: UpstreamClusterLeaf): Partial<Cluster> {
  switch (leaf.discovery.kind) {
    case "endpoints":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { edsConfig: ADS },
        lbPolicy:
          leaf.loadBalancing === undefined ? Cluster_LbPolicy.ROUND_ROBIN : POLICIES[leaf.loadBalancing.kind],
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
    ...clusterDefaults(leaf.connection),
    ...discovery(leaf),
    ...(leaf.outlier === undefined ? {} : { outlierDetection: outlierDetection(leaf.outlier) }),
    // Also where bytes are carried: a port that changes its protocol keeps its cluster, and with it what is under way.
    ...sameAsDownstream({ maxRequests: leaf.connection?.maxRequestsPerConnection }),
    transportSocket: upstreamTls(leaf),
  };
}
