import { PORT_OUTBOUND } from "../../model/mesh-words";
import type { OutboundCatchAllLeaf } from "../../policy/types";
import { TrafficDirection } from "../api/generated/envoy/config/core/v3/base";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import { refuse, tcpProxy } from "../tcp-filters";
import { boundToAll } from "./bound";
import { egress } from "./egress";

/**
 * Takes every redirected outbound connection and hands it to the frontend dialled; what is no frontend of the mesh is
 * passed through untouched, or refused where egress is off and no Egress opens it. A connection to this very port would be
 * passed to itself without end, so it is refused.
 */
export function outboundCatchAll(leaf: OutboundCatchAllLeaf): Listener {
  const { passthroughCluster, accessLog } = leaf;
  const others =
    passthroughCluster === undefined
      ? refuse()
      : tcpProxy({
          direction: "outbound",
          statPrefix: leaf.name,
          backends: [{ cluster: passthroughCluster, weight: 1 }],
          accessLog,
        });
  const opened = passthroughCluster === undefined ? egress(leaf) : { filterChains: [] };
  return {
    name: leaf.name,
    ...boundToAll(PORT_OUTBOUND, leaf.ipv6),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    ...opened,
    filterChains: [
      { name: "loop", filterChainMatch: { destinationPort: PORT_OUTBOUND }, filters: [refuse()] },
      ...opened.filterChains,
    ],
    defaultFilterChain: { name: "other", filters: [others] },
  };
}
