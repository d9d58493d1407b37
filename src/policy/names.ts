/**
 * The only place that prints resource names. Names are stable, readable in Envoy's statistics and logs, and say nothing of
 * the client: `outbound|shop/cart|80` is the same for everyone.
 */
import type { Frontend } from "../catalog/node-groups";

/** Cluster, endpoints, route table and listener of a Service port share this name. */
export function frontendName({ service, port }: Frontend): string {
  return `outbound|${service}|${port}`;
}

/** Cluster of calls to a pod's own address at a port that belongs to a Service with a cluster address. */
export function directClusterName(frontend: Frontend): string {
  return `${frontendName(frontend)}|direct`;
}

/** Stands where a backend cannot be called. There never is a cluster of this name. */
export function unresolvedClusterName({ service, port }: Frontend): string {
  return `unresolved|${service}|${port}`;
}

/** Listener of calls to a pod's own address. */
export function podListenerName(address: string, port: number): string {
  return `outbound|${address}|${port}`;
}

/** Route table of a served port. */
export function inboundRouteTableName(port: number): string {
  return `inbound|${port}`;
}

/** Route table of a served port for callers without mutual TLS. */
export function plaintextRouteTableName(port: number): string {
  return `inbound|${port}|plaintext`;
}

/** Cluster of the application in the pod at a served port. */
export function localClusterName(port: number): string {
  return `local|${port}`;
}

/** A host of the outside that an Egress names, at a port. */
export function egressClusterName(host: string, port: number): string {
  return `egress|${host}|${port}`;
}

/** Route table of HTTP that Egresses open on a port, of a range of dialled addresses or (undefined) of all. */
export function egressRouteTableName(port: number, range: string | undefined): string {
  return range === undefined ? `egress|${port}` : `egress|${port}|${range}`;
}

/** Route table of an ingress chain of a served port. */
export function ingressRouteTableName(port: number, chain: string): string {
  return `ingress|${port}|${chain}`;
}

/** Cluster of an ExtensionService, by its key. */
export function extensionClusterName(key: string): string {
  return `extension|${key}`;
}

/** Cluster of a rate limit service. */
export function rateLimitClusterName(host: string, port: number): string {
  return `rate-limit|${host}|${port}`;
}

/** The listener that takes all redirected outbound connections. */
export const OUTBOUND_LISTENER = "outbound";
/** The listener that takes all redirected inbound connections. */
export const INBOUND_LISTENER = "inbound";
/** Plain connections to where the application dialled. */
export const PASSTHROUGH_CLUSTER = "passthrough";
/** The tracing collector. */
export const TRACING_CLUSTER = "tracing";
/** The external authorization server. */
export const AUTHORIZATION_CLUSTER = "external-authorization";
