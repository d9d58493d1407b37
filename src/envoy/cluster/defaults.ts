import type { CircuitBreakers } from "../api/generated/envoy/config/cluster/v3/circuit_breaker";
import type { Cluster } from "../api/generated/envoy/config/cluster/v3/cluster";
import { RoutingPriority } from "../api/generated/envoy/config/core/v3/base";
import { milliseconds } from "../duration";

const UNLIMITED = 0xffff_ffff;

const NO_BREAKER: CircuitBreakers = {
  thresholds: [RoutingPriority.DEFAULT, RoutingPriority.HIGH].map(priority => ({
    priority,
    maxConnections: UNLIMITED,
    maxPendingRequests: UNLIMITED,
    maxRequests: UNLIMITED,
    maxRetries: UNLIMITED,
  })),
};

/**
 * What every cluster has: 5 s to connect, no circuit breaker until a policy asks for one (Envoy's own default of 1,024
 * connections would drop traffic that passed without a mesh), and keepalive, because idle connections are kept for ever.
 */
export const CLUSTER_DEFAULTS: Pick<
  Cluster,
  "connectTimeout" | "circuitBreakers" | "upstreamConnectionOptions"
> = {
  connectTimeout: milliseconds(5000),
  circuitBreakers: NO_BREAKER,
  upstreamConnectionOptions: {
    tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 60, keepaliveInterval: 10 },
  },
};
