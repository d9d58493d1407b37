import type { Handling, OutboundListenerLeaf } from "../../policy/types";
import { ANY_SOURCE, socketAddress } from "../address";
import { TrafficDirection } from "../api/generated/envoy/config/core/v3/base";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import type { Filter, FilterChain } from "../api/generated/envoy/config/listener/v3/listener_components";
import { httpConnectionManager } from "../http-connection-manager";
import { tcpProxy } from "../tcp-filters";

function filter(leaf: OutboundListenerLeaf, handling: Handling): Filter {
  switch (handling.kind) {
    case "http":
      return httpConnectionManager({
        direction: "outbound",
        routeTable: handling.routeTable,
        tracing: handling.tracing,
        escapedSlashes: handling.escapedSlashes,
        externalAuthorization: undefined,
        accessLog: leaf.accessLog,
        counting: {
          source: "self",
          destination: leaf.party ?? "endpoint",
          grpc: handling.grpc === true,
        },
      });
    case "tcp":
      return tcpProxy({
        direction: "outbound",
        statPrefix: leaf.name,
        backends: handling.backends,
        accessLog: leaf.accessLog,
        hashSource: handling.hashSource === true,
      });
  }
}

/** The chain of HTTP names every source, so that it is chosen before one of bytes (see inbound-chains.ts). */
function chain(leaf: OutboundListenerLeaf, handling: Handling): FilterChain {
  const filters = [filter(leaf, handling)];
  if (handling.kind === "tcp") return { filters };
  return { filterChainMatch: { directSourcePrefixRanges: ANY_SOURCE }, filters };
}

/**
 * One frontend. It binds no port: the catch-all listener takes the redirected connection and hands it to the listener
 * that has the dialled address. It looks at no byte first, so protocols where the server speaks first work.
 */
export function outboundListener(leaf: OutboundListenerLeaf): Listener {
  const [first, ...others] = leaf.addresses;
  if (first === undefined) throw new Error(`outbound listener ${leaf.name} has no address`);
  return {
    name: leaf.name,
    address: socketAddress(first, leaf.port),
    additionalAddresses: others.map(address => ({ address: socketAddress(address, leaf.port) })),
    bindToPort: false,
    // All frontends' listeners are counted as one: with its address, each would have two dozen metrics that nobody asks for.
    statPrefix: "frontend",
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [leaf.handling, ...(leaf.formerly === undefined ? [] : [leaf.formerly])].map(handling =>
      chain(leaf, handling),
    ),
  };
}
