import type { ServicePort } from "../model/workload";
import type { AppProtocol } from "./types";

/** What protocol selection found for a port. */
export interface Selection {
  readonly protocol: AppProtocol;
  /** `appProtocol` has a value that the mesh does not know. */
  readonly unknown: boolean;
}

/**
 * Values of `appProtocol`: OSM's own, IANA service names in use, and Kubernetes' standard ones (KEP-3726). TLS that the
 * application makes itself (https, wss) is bytes to the mesh.
 */
const BY_APP_PROTOCOL: ReadonlyMap<string, AppProtocol> = new Map<string, AppProtocol>([
  ["http", "http"],
  ["http2", "http"],
  ["h2c", "http"],
  ["ws", "http"],
  ["kubernetes.io/h2c", "http"],
  ["kubernetes.io/ws", "http"],
  ["grpc", "grpc"],
  ["grpc-web", "http"],
  ["tcp", "tcp"],
  ["tcp-server-first", "tcp"],
  ["https", "tcp"],
  ["tls", "tcp"],
  ["wss", "tcp"],
  ["kubernetes.io/wss", "tcp"],
]);

/** Prefixes of port names, up to a dash or the end. */
const BY_NAME: readonly (readonly [string, AppProtocol])[] = [
  ["tcp-server-first", "tcp"],
  ["http", "http"],
  ["http2", "http"],
  ["grpc-web", "http"],
  ["grpc", "grpc"],
  ["https", "tcp"],
  ["tcp", "tcp"],
];

/**
 * Protocol of a Service port: `appProtocol`, else the prefix of the port's name, else http (OSM's rule). An unknown
 * `appProtocol` is carried as tcp, which every protocol survives.
 */
export function selectProtocol(port: Pick<ServicePort, "name" | "appProtocol">): Selection {
  if (port.appProtocol !== undefined) {
    const known = BY_APP_PROTOCOL.get(port.appProtocol.toLowerCase());
    return { protocol: known ?? "tcp", unknown: known === undefined };
  }
  const named = BY_NAME.find(([prefix]) => port.name === prefix || port.name.startsWith(`${prefix}-`));
  return { protocol: named?.[1] ?? "http", unknown: false };
}

/**
 * Protocol of a container port that several Service ports lead to. An HTTP stream is also a TCP stream, but not the
 * other way round, so tcp is what serves all; gRPC is HTTP.
 */
export function mergeProtocols(protocols: readonly AppProtocol[]): AppProtocol {
  if (protocols.includes("tcp")) return "tcp";
  return protocols.includes("http") || protocols.length === 0 ? "http" : "grpc";
}
