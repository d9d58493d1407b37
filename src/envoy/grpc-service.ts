import type { GrpcService } from "./api/generated/envoy/config/core/v3/grpc_service";
import { milliseconds } from "./duration";

/**
 * What a server is called by (`:authority`): the name of its cluster, as Envoy has it anyway, without the characters that no host
 * has. HTTP/2 servers may reset streams that have such (nghttp2 does).
 */
function authorityOf(clusterName: string): string {
  return clusterName.replace(/[^A-Za-z0-9.-]+/g, ".");
}

/** A gRPC server behind a cluster of that name, which speaks HTTP/2. Without `timeoutMs` a call may take as long as it does. */
export function rpcTo(clusterName: string, timeoutMs?: number): GrpcService {
  return {
    targetSpecifier: { $case: "envoyGrpc", value: { clusterName, authority: authorityOf(clusterName) } },
    ...(timeoutMs === undefined ? {} : { timeout: milliseconds(timeoutMs) }),
  };
}
