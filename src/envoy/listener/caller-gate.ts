import { CALLER_PLACEHOLDER, callerGateName } from "../../model/caller-gate";
import type { CallerGateLeaf } from "../../policy/types";
import { pack } from "../any";
import { TrafficDirection } from "../api/generated/envoy/config/core/v3/base";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import type { Filter } from "../api/generated/envoy/config/listener/v3/listener_components";
import { Config as SetFilterState } from "../api/generated/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state";
import { tcpProxy } from "../tcp-filters";

/** Name of the caller's gate as Envoy composes it, from the certificate of the very connection. */
export function callerGateFormat(port: number): string {
  return callerGateName(port, CALLER_PLACEHOLDER);
}

/**
 * Chooses the gate of a TCP caller once its handshake is complete. Who has none is led to a cluster that is not there, so
 * it is closed without a byte of the application's.
 */
export function chooseCallerGate(port: number): Filter {
  const config: SetFilterState = {
    onDownstreamTlsHandshake: [
      {
        key: { $case: "objectKey", value: "envoy.tcp_proxy.cluster" },
        value: {
          $case: "formatString",
          value: {
            format: {
              $case: "textFormatSource",
              value: { specifier: { $case: "inlineString", value: callerGateFormat(port) } },
            },
          },
        },
      },
    ],
  };
  return {
    name: "envoy.filters.network.set_filter_state",
    configType: { $case: "typedConfig", value: pack(SetFilterState, config) },
  };
}

/**
 * The gate: passes bytes as they are. When it is removed Envoy ends each of its connections at the next byte, without
 * passing anything on from the application, and the silent ones when draining ends.
 */
export function callerGate(leaf: CallerGateLeaf): Listener {
  return {
    name: leaf.name,
    // All gates are counted as one: with its name, each would have metrics of its own.
    statPrefix: "gate",
    listenerSpecifier: { $case: "internalListener", value: {} },
    trafficDirection: TrafficDirection.INBOUND,
    filterChains: [
      {
        filters: [
          tcpProxy({
            direction: "gate",
            statPrefix: "gate",
            backends: [{ cluster: leaf.cluster, weight: 1 }],
            accessLog: undefined,
          }),
        ],
      },
    ],
  };
}
