import type { ConnectionTerms } from "../../model/traffic";
import type { CircuitBreakers } from "../api/generated/envoy/config/cluster/v3/circuit_breaker";
import type { Cluster } from "../api/generated/envoy/config/cluster/v3/cluster";
import { RoutingPriority } from "../api/generated/envoy/config/core/v3/base";
import { milliseconds } from "../duration";

const UNLIMITED = 0xffff_ffff;
const CONNECT_TIMEOUT_MS = 5000;

function breakers(terms: ConnectionTerms | undefined): CircuitBreakers {
  return {
    thresholds: [RoutingPriority.DEFAULT, RoutingPriority.HIGH].map(priority => ({
      priority,
      maxConnections: terms?.maxConnections ?? UNLIMITED,
      maxPendingRequests: terms?.maxPendingRequests ?? UNLIMITED,
      maxRequests: terms?.maxRequests ?? UNLIMITED,
      maxRetries: terms?.maxRetries ?? UNLIMITED,
    })),
  };
}

/**
 * What every cluster has: 5 s to connect, no circuit breaker until a policy asks for one (Envoy's own default of 1,024
 * connections would drop traffic that passed without a mesh), and keepalive, because idle connections are kept for ever.
 * `terms` are those of a policy.
 */
export function clusterDefaults(
  terms?: ConnectionTerms,
): Pick<Cluster, "connectTimeout" | "circuitBreakers" | "upstreamConnectionOptions"> {
  return {
    connectTimeout: milliseconds(terms?.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    circuitBreakers: breakers(terms),
    upstreamConnectionOptions: {
      tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 60, keepaliveInterval: 10 },
    },
  };
}
