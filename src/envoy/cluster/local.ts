import type { LocalClusterLeaf } from "../../policy/types";
import { type Cluster, Cluster_DiscoveryType } from "../api/generated/envoy/config/cluster/v3/cluster";
import { staticEndpoint } from "../endpoint/endpoint-set";
import { clusterDefaults } from "./defaults";
import { sameAsDownstream } from "./protocol-options";

/** The application of this pod. In PodIP mode the address is rewritten by the pod's own redirect rules. */
const LOOPBACK = "127.0.0.1";

/**
 * Milliseconds that a connection to the application is kept without a request. Many servers close theirs after a few
 * seconds (Node after five) and would cut off a request that is sent at that instant; a new local connection costs little.
 */
export const LOCAL_IDLE_MS = 1000;

/** The application behind the inbound listener, in the protocol the caller spoke. */
export function localCluster(leaf: LocalClusterLeaf): Cluster {
  return {
    name: leaf.name,
    ...clusterDefaults(),
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
    loadAssignment: staticEndpoint(leaf.name, LOOPBACK, leaf.port),
    ...sameAsDownstream({ idleTimeoutMs: LOCAL_IDLE_MS }),
  };
}
