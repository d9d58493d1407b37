import type { MeshConfigSpec } from "../api/mesh-config";
import { isInterfaceName } from "../model/interface-name";
import {
  PORT_HEALTHCHECK,
  PORT_LIVENESS,
  PORT_METRICS,
  PORT_READINESS,
  PORT_STARTUP,
  RESERVED_PORTS,
} from "../model/mesh-words";
import type { AddressRange } from "./address-range";
import { parseRange } from "./address-range";
import type { PodTrafficLists } from "./annotations";

/** What of a pod's TCP traffic goes through the sidecar. Exclusion beats inclusion. */
export interface RedirectPlan {
  /** Inbound ports that are the application's and yet reach it without the sidecar. */
  readonly inboundExcludedPorts: readonly number[];
  /** Inbound ports that reach their listener directly: the sidecar's own static ones, then exclusions. */
  readonly inboundDirectPorts: readonly number[];
  /** Destination ports that are called directly: those of every sidecar's static listeners, then exclusions. */
  readonly outboundExcludedPorts: readonly number[];
  readonly outboundExcludedRanges: readonly AddressRange[];
  /** Empty: everything goes through the sidecar. Otherwise only these ranges, in both address families. */
  readonly outboundIncludedRanges: readonly AddressRange[];
  readonly excludedInterfaces: readonly string[];
  /** The sidecar reaches the application at the pod's address, for applications that do not listen on loopback. */
  readonly podIp: boolean;
}

/** Static listeners of every sidecar that are called from outside the mesh. */
const OWN_PORTS = [PORT_METRICS, PORT_LIVENESS, PORT_READINESS, PORT_STARTUP, PORT_HEALTHCHECK];

/**
 * Joins MeshConfig's lists with the pod's, each entry once. MeshConfig is checked where it is written, so an entry that
 * is nevertheless malformed is left out here: one bad entry must not stop every new pod, and leaving an exclusion out
 * errs towards the mesh.
 */
export function planRedirect(
  meshConfig: MeshConfigSpec,
  pod: PodTrafficLists,
  probePorts: readonly number[],
): RedirectPlan {
  const { traffic, sidecar } = meshConfig;
  const own = [...OWN_PORTS, ...probePorts];
  const excluded = unique([
    // An exclusion of 15001 or 15003 would let callers past the rules straight into the sidecar's listeners.
    ...ports(traffic.inboundPortExclusionList).filter(port => !RESERVED_PORTS.includes(port)),
    ...pod.inboundPorts,
  ]);
  return {
    inboundExcludedPorts: excluded,
    inboundDirectPorts: unique([...own, ...excluded]),
    // Envoy would give a call of somebody else's 15010 to the listener of that port in this pod.
    outboundExcludedPorts: unique([
      ...own,
      ...ports(traffic.outboundPortExclusionList),
      ...pod.outboundPorts,
    ]),
    outboundExcludedRanges: ranges([...pod.excludedRanges, ...traffic.outboundIPRangeExclusionList]),
    outboundIncludedRanges: ranges([...pod.includedRanges, ...traffic.outboundIPRangeInclusionList]),
    excludedInterfaces: unique(traffic.networkInterfaceExclusionList.filter(isInterfaceName)),
    podIp: sidecar.localProxyMode === "PodIP",
  };
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function ports(values: readonly number[]): number[] {
  return values.filter(port => Number.isInteger(port) && port >= 1 && port <= 65535);
}

function ranges(texts: readonly string[]): AddressRange[] {
  return unique(texts).flatMap(text => parseRange(text) ?? []);
}
