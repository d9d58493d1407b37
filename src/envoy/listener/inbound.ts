import { PORT_INBOUND } from "../../model/mesh-words";
import type { InboundListenerLeaf } from "../../policy/types";
import { pack } from "../any";
import { TrafficDirection } from "../api/generated/envoy/config/core/v3/base";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import type { ListenerFilter } from "../api/generated/envoy/config/listener/v3/listener_components";
import { TlsInspector } from "../api/generated/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { milliseconds } from "../duration";
import { refuse } from "../tcp-filters";
import { boundToAll } from "./bound";
import { inboundChains } from "./inbound-chains";
import { ORIGINAL_DESTINATION } from "./original-destination";

/** First the port the caller dialled, then whether it speaks the mesh's TLS: both choose the chain. */
const LISTENER_FILTERS: ListenerFilter[] = [
  ORIGINAL_DESTINATION,
  {
    name: "envoy.filters.listener.tls_inspector",
    configType: { $case: "typedConfig", value: pack(TlsInspector, {}) },
  },
];

/**
 * How long a caller may be silent. It is not of the mesh then: clients of the mesh always speak first, with TLS. Where
 * plaintext is taken, a silent caller may be one that waits for the server to speak: it goes on after a second. The
 * namespace alone decides: what its first port of bytes changed here would be another listener, and end the connections of
 * all ports.
 */
function patience(leaf: InboundListenerLeaf): Partial<Listener> {
  return leaf.plaintext === true
    ? { listenerFiltersTimeout: milliseconds(1000), continueOnListenerFiltersTimeout: true }
    : { listenerFiltersTimeout: milliseconds(5000) };
}

/** All served ports of the pod. What fits no chain is closed: without a policy, all that is not mutual TLS of the mesh. */
export function inboundListener(leaf: InboundListenerLeaf): Listener {
  return {
    name: leaf.name,
    ...boundToAll(PORT_INBOUND, leaf.ipv6),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: LISTENER_FILTERS,
    ...patience(leaf),
    filterChains: leaf.ports.flatMap(inbound => inboundChains(leaf, inbound)),
    // Envoy wants at least one chain, also of a pod that serves nothing.
    defaultFilterChain: { name: "refused", filters: [refuse()] },
  };
}
