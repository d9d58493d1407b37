import type { CallerClusterLeaf } from "../../policy/types";
import { type Cluster, Cluster_DiscoveryType } from "../api/generated/envoy/config/cluster/v3/cluster";
import { clusterDefaults } from "./defaults";
import { LOCAL_IDLE_MS } from "./local";
import { sameAsDownstream } from "./protocol-options";
import { statName } from "./stat-name";

/** Leads to the caller's gate, which is a listener in this very process: nothing of it is seen on the network. */
export function callerCluster(leaf: CallerClusterLeaf): Cluster {
  const { connectTimeout, circuitBreakers } = clusterDefaults();
  return {
    name: leaf.name,
    ...statName(leaf.name),
    connectTimeout,
    circuitBreakers,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
    loadAssignment: {
      clusterName: leaf.name,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: {
                $case: "endpoint",
                value: {
                  address: {
                    address: {
                      $case: "envoyInternalAddress",
                      value: { addressNameSpecifier: { $case: "serverListenerName", value: leaf.name } },
                    },
                  },
                },
              },
            },
          ],
        },
      ],
    },
    ...sameAsDownstream({ idleTimeoutMs: LOCAL_IDLE_MS }),
  };
}
