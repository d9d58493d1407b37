import { ANY_IPV4, ANY_IPV6, socketAddress } from "../address";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";

/** A port taken on all addresses of the pod. Peers that vanish are found by keepalive, since nothing idle is cut. */
export function boundToAll(port: number, ipv6: boolean): Partial<Listener> {
  return {
    address: socketAddress(ANY_IPV4, port),
    additionalAddresses: ipv6 ? [{ address: socketAddress(ANY_IPV6, port) }] : [],
    tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 60, keepaliveInterval: 10 },
  };
}
