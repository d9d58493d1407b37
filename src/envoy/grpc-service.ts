import type { GrpcService } from "./api/generated/envoy/config/core/v3/grpc_service";
import { milliseconds } from "./duration";

/** A gRPC server behind a cluster of that name, which speaks HTTP/2. Without `timeoutMs` a call may take as long as it does. */
export function rpcTo(clusterName: string, timeoutMs?: number): GrpcService {
  return {
    targetSpecifier: { $case: "envoyGrpc", value: { clusterName } },
    ...(timeoutMs === undefined ? {} : { timeout: milliseconds(timeoutMs) }),
  };
}
