import type { AccessLog, Backend } from "../policy/types";
import { accessLogs } from "./access-log";
import { pack } from "./any";
import { NO_LIMIT } from "./duration";
import type { Filter } from "./api/generated/envoy/config/listener/v3/listener_components";
import { Config as DirectResponse } from "./api/generated/envoy/extensions/filters/network/direct_response/v3/config";
import {
  TcpProxy,
  UpstreamConnectMode,
} from "./api/generated/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";

/** What a TCP proxy depends on. */
export interface TcpInput {
  /** `plain`: inbound without TLS; `gate`: the way of one caller, inside of the proxy. */
  readonly direction: "inbound" | "outbound" | "plain" | "gate";
  readonly statPrefix: string;
  readonly backends: readonly Backend[];
  readonly accessLog: AccessLog | undefined;
  /** Where the endpoint is chosen by hash, the caller's address is what is hashed. */
  readonly hashSource?: boolean;
}

function destination(first: Backend, rest: readonly Backend[]): NonNullable<TcpProxy["clusterSpecifier"]> {
  if (rest.length === 0) return { $case: "cluster", value: first.cluster };
  const clusters = [first, ...rest].map(({ cluster, weight }) => ({ name: cluster, weight }));
  return { $case: "weightedClusters", value: { clusters } };
}

/** Ends a connection at once. */
export function refuse(): Filter {
  return {
    name: "envoy.filters.network.direct_response",
    configType: { $case: "typedConfig", value: pack(DirectResponse, {}) },
  };
}

/** What differs by place. A gate does not log: the chain in front of it has logged the connection. */
function byPlace({ direction, accessLog }: TcpInput): Partial<TcpProxy> {
  switch (direction) {
    case "inbound":
      return {
        // A caller that the handshake refuses is neither an answer nor a flag, so no filter for failures finds it.
        accessLog: accessLogs(accessLog, true),
        upstreamConnectMode: UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE,
        maxEarlyDataBytes: 65_536,
      };
    case "outbound":
    case "plain":
      return { accessLog: accessLogs(accessLog) };
    case "gate":
      return { checkDrainClose: true };
  }
}

/**
 * Carries bytes both ways for as long as both ends want; Envoy's own limit of one idle hour would cut database pools.
 * Inbound, the application is connected to only after the caller's certificate has been accepted. Envoy refuses a weight
 * of 0, so such backends are left out; where none is left, the connection is ended.
 */
export function tcpProxy(input: TcpInput): Filter {
  const [first, ...rest] = input.backends.filter(backend => backend.weight > 0);
  if (first === undefined) return refuse();
  const proxy: TcpProxy = {
    statPrefix: input.statPrefix,
    clusterSpecifier: destination(first, rest),
    idleTimeout: NO_LIMIT,
    ...byPlace(input),
    ...(input.hashSource ? { hashPolicy: [{ policySpecifier: { $case: "sourceIp", value: {} } }] } : {}),
  };
  return {
    name: "envoy.filters.network.tcp_proxy",
    configType: { $case: "typedConfig", value: pack(TcpProxy, proxy) },
  };
}
