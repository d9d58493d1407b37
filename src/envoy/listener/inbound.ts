import { MESH_ALPN, PORT_INBOUND } from "../../model/mesh-words";
import type { InboundListenerLeaf, InboundPort, Permission } from "../../policy/types";
import { pack } from "../any";
import { TrafficDirection } from "../api/generated/envoy/config/core/v3/base";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import type {
  Filter,
  FilterChain,
  ListenerFilter,
} from "../api/generated/envoy/config/listener/v3/listener_components";
import { OriginalDst } from "../api/generated/envoy/extensions/filters/listener/original_dst/v3/original_dst";
import { TlsInspector } from "../api/generated/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { milliseconds } from "../duration";
import { httpConnectionManager } from "../http-connection-manager";
import { refuse, tcpProxy } from "../tcp-filters";
import { inboundTls } from "../tls";
import { boundToAll } from "./bound";

/** First the port the caller dialled, then whether it speaks the mesh's TLS: both choose the chain. */
const LISTENER_FILTERS: ListenerFilter[] = [
  {
    name: "envoy.filters.listener.original_dst",
    configType: { $case: "typedConfig", value: pack(OriginalDst, {}) },
  },
  {
    name: "envoy.filters.listener.tls_inspector",
    configType: { $case: "typedConfig", value: pack(TlsInspector, {}) },
  },
];

function filter(inbound: InboundPort): Filter {
  const { handling } = inbound;
  switch (handling.kind) {
    case "http":
      return httpConnectionManager({
        direction: "inbound",
        routeTable: handling.routeTable,
        tracing: handling.tracing,
        externalAuthorization: inbound.externalAuthorization,
      });
    case "tcp":
      return tcpProxy({
        direction: "inbound",
        statPrefix: `inbound|${inbound.port}`,
        backends: handling.backends,
      });
  }
}

/**
 * Who completes the TLS handshake. For HTTP any workload: its rules answer 403 with their own permission, and live in the
 * route table where a change is immediate. For TCP the handshake is the decision, since a server may speak first.
 */
function handshakePermission(inbound: InboundPort): Permission {
  return inbound.handling.kind === "http" ? { kind: "any-mesh-identity" } : inbound.permission;
}

function chain(leaf: InboundListenerLeaf, inbound: InboundPort): FilterChain {
  return {
    name: String(inbound.port),
    filterChainMatch: {
      destinationPort: inbound.port,
      transportProtocol: "tls",
      applicationProtocols: [MESH_ALPN],
    },
    transportSocket: inboundTls(leaf.trustDomain, leaf.tls, handshakePermission(inbound)),
    filters: [filter(inbound)],
  };
}

/** All served ports of the pod. There is no plaintext chain: what is not mutual TLS of the mesh is closed. */
export function inboundListener(leaf: InboundListenerLeaf): Listener {
  return {
    name: leaf.name,
    ...boundToAll(PORT_INBOUND, leaf.ipv6),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: LISTENER_FILTERS,
    // A caller that sends nothing is not of the mesh: its clients always speak first, with TLS.
    listenerFiltersTimeout: milliseconds(5000),
    filterChains: leaf.ports.map(inbound => chain(leaf, inbound)),
    // Envoy wants at least one chain, also of a pod that serves nothing.
    defaultFilterChain: { name: "refused", filters: [refuse()] },
  };
}
