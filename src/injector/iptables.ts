import { PORT_INBOUND, PORT_OUTBOUND, SIDECAR_UID } from "../model/mesh-words";
import type { AddressRange } from "./address-range";
import type { RedirectPlan } from "./redirect";

/** Address family of a rules document. */
export type Family = "ipv4" | "ipv6";

const LOOPBACK: Readonly<Record<Family, string>> = { ipv4: "127.0.0.1/32", ipv6: "::1/128" };
/** The sidecar's sockets. Both ids must match, so an image that merely runs as that user is not let through. */
const SIDECAR = `-m owner --uid-owner ${SIDECAR_UID} --gid-owner ${SIDECAR_UID}`;
/** iptables' multiport match takes no more ports than this in one rule. */
const MULTIPORT_LIMIT = 15;

/** Chain that the init script fills with the pod's own address in PodIP mode. */
export const CHAIN_POD_IP = "OSM_PROXY_POD_IP";

/** Rules in built-in chains: [chain, match and target]. They are the only ones that a second run must remove first. */
export function jumps(plan: RedirectPlan, family: Family): readonly (readonly [string, string])[] {
  const podIp: readonly (readonly [string, string])[] = plan.podIp
    ? [["OUTPUT", `-p tcp -o lo -d ${LOOPBACK[family]} ${SIDECAR} -j ${CHAIN_POD_IP}`]]
    : [];
  return [
    ["PREROUTING", "-p tcp -j OSM_PROXY_INBOUND"],
    ...podIp,
    ["OUTPUT", "-p tcp -j OSM_PROXY_OUTBOUND"],
  ];
}

/**
 * The nat table of a pod for one family, in the form that `iptables-restore --noflush` reads. Declaring a chain empties
 * it, so a document can be applied again.
 */
export function redirectRules(plan: RedirectPlan, family: Family): string {
  const chains = [
    "OSM_PROXY_INBOUND",
    "OSM_PROXY_IN_REDIRECT",
    "OSM_PROXY_OUTBOUND",
    "OSM_PROXY_OUT_REDIRECT",
    ...(plan.podIp ? [CHAIN_POD_IP] : []),
  ];
  return [
    "*nat",
    ...chains.map(chain => `:${chain} - [0:0]`),
    `-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${PORT_INBOUND}`,
    `-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-ports ${PORT_OUTBOUND}`,
    ...inbound(plan),
    ...outbound(plan, family),
    ...jumps(plan, family).map(([chain, rule]) => `-A ${chain} ${rule}`),
    "COMMIT",
    "",
  ].join("\n");
}

function inbound(plan: RedirectPlan): string[] {
  const chain = "-A OSM_PROXY_INBOUND";
  return [
    ...plan.excludedInterfaces.map(name => `${chain} -i ${name} -j RETURN`),
    ...portRules(chain, plan.inboundDirectPorts),
    `${chain} -p tcp -j OSM_PROXY_IN_REDIRECT`,
  ];
}

function outbound(plan: RedirectPlan, family: Family): string[] {
  const chain = "-A OSM_PROXY_OUTBOUND";
  const included = plan.outboundIncludedRanges;
  return [
    // The sidecar calling this very pod (the application called its own Service): in by the front door.
    `${chain} -o lo ! -d ${LOOPBACK[family]} ${SIDECAR} -j OSM_PROXY_IN_REDIRECT`,
    `${chain} ${SIDECAR} -j RETURN`,
    // Containers of a pod talking to each other.
    `${chain} -o lo -j RETURN`,
    `${chain} -d ${LOOPBACK[family]} -j RETURN`,
    ...plan.excludedInterfaces.map(name => `${chain} -o ${name} -j RETURN`),
    ...rangeRules(chain, plan.outboundExcludedRanges, family, "RETURN"),
    ...portRules(chain, plan.outboundExcludedPorts),
    ...rangeRules(chain, included, family, "OSM_PROXY_OUT_REDIRECT"),
    included.length > 0 ? `${chain} -j RETURN` : `${chain} -j OSM_PROXY_OUT_REDIRECT`,
  ];
}

function rangeRules(chain: string, all: readonly AddressRange[], family: Family, target: string): string[] {
  return all.filter(range => range.family === family).map(({ text }) => `${chain} -d ${text} -j ${target}`);
}

function portRules(chain: string, all: readonly number[]): string[] {
  const rules: string[] = [];
  for (let start = 0; start < all.length; start += MULTIPORT_LIMIT) {
    const part = all.slice(start, start + MULTIPORT_LIMIT);
    rules.push(`${chain} -p tcp -m multiport --dports ${part.join(",")} -j RETURN`);
  }
  return rules;
}

/**
 * Rules for a pod that has IPv6 on a node whose kernel cannot redirect it: no TCP over IPv6 enters or leaves the pod,
 * because it would pass beside the sidecar.
 */
export function closedRules(): string {
  return [
    "*filter",
    ":OSM_PROXY_CLOSED - [0:0]",
    "-A OSM_PROXY_CLOSED -i lo -j RETURN",
    "-A OSM_PROXY_CLOSED -o lo -j RETURN",
    "-A OSM_PROXY_CLOSED -j REJECT",
    "-A INPUT -p tcp -j OSM_PROXY_CLOSED",
    "-A OUTPUT -p tcp -j OSM_PROXY_CLOSED",
    "COMMIT",
    "",
  ].join("\n");
}
