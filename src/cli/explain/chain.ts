/** The way of a call, from the caller's sidecar to the rule that lets it in or does not, in words. */
import type { NodeGroup } from "../../catalog/node-groups";
import { identityKey } from "../../model/identity";
import type { Decision, HttpRequest } from "../../policy/decide";
import type {
  Backend,
  Grant,
  HttpRule,
  InboundPort,
  Leaf,
  OutboundCatchAllLeaf,
  OutboundListenerLeaf,
  RouteTableLeaf,
} from "../../policy/types";
import type { Destination } from "./destinations";
import type { End, Step } from "./request";
import { clientTerms, serverTerms, termSteps } from "./terms";
import { askedText, clusterText, grantName, grantText, leafOf, listText, refText } from "./words";

/** What is known of a call that was decided. */
export interface ChainFacts {
  /** The caller in words, like `web/buyer-1`. */
  readonly caller: string;
  /** Leaves of the caller's sidecar; undefined: no sidecar has a part in it. */
  readonly client: readonly Leaf[] | undefined;
  /** Why no sidecar of the caller has a part. */
  readonly without: string | undefined;
  readonly identity: string;
  readonly to: Destination;
  readonly address: string;
  readonly http: HttpRequest | undefined;
  readonly decision: Decision;
  readonly end: End;
  /** The pod that is called, where there is one with a sidecar. */
  readonly server: { readonly group: NodeGroup; readonly leaves: readonly Leaf[] } | undefined;
  /** `namespace/name` of the pod that is called. */
  readonly pod: string | undefined;
  /** A pod's own address is called at a port that Services lead to, none of them headless. */
  readonly unpicked: boolean;
  /** What the end comes from, like `MeshConfig …, spec.…`. */
  readonly decided: string;
}

/** The way of a call. */
export function chainOf(facts: ChainFacts): readonly Step[] {
  const { client } = facts;
  const first: Step = {
    at: "sidecar",
    text:
      client === undefined
        ? `${facts.caller} calls without a sidecar: ${facts.without ?? "it has none"}`
        : `${facts.caller} has a sidecar and is known as ${facts.identity}`,
  };
  if (client === undefined) return [first, ...arrival(facts)];
  const listener = leafOf(
    client,
    "outbound-listener",
    ({ port, addresses }) => port === facts.to.port && addresses.includes(facts.address),
  );
  if (listener === undefined) {
    const past = facts.decision.outcome === "passthrough" ? [] : beyond(facts);
    return [first, { at: "egress", text: egressText(facts, leafOf(client, "outbound-catch-all")) }, ...past];
  }
  return [first, ...outbound(facts, listener), ...arrival(facts), ...termsOf(facts, listener)];
}

/** What else meets it at both ends, as far as it comes. */
function termsOf(facts: ChainFacts, listener: OutboundListenerLeaf): readonly Step[] {
  const { client = [], server, end, http } = facts;
  const { handling } = listener;
  const rule = handling.kind === "http" ? ruleOf(facts, handling.routeTable) : undefined;
  const cluster = leafOf(client, "upstream-cluster", ({ name }) => name === end.cluster);
  const port = end.outcome === "delivered" ? inboundPort(facts) : undefined;
  const table =
    port?.handling.kind === "http" ? tableOf(server?.leaves ?? [], port.handling.routeTable) : undefined;
  const there = port === undefined ? [] : serverTerms(port, table, http);
  const origins = [rule, cluster, table].flatMap(leaf => leaf?.origins ?? []);
  return termSteps([...clientTerms(rule, cluster), ...there], origins);
}

const tableOf = (leaves: readonly Leaf[], table: string): RouteTableLeaf | undefined =>
  leafOf(leaves, "route-table", ({ name }) => name === table);

/** What passes the mesh by can still arrive at a pod with a sidecar. */
function beyond(facts: ChainFacts): readonly Step[] {
  return facts.server === undefined ? [] : arrival(facts);
}

function egressText(
  { address, to, end, unpicked, decided }: ChainFacts,
  leaf: OutboundCatchAllLeaf | undefined,
): string {
  const why = unpicked ? "the own address of a pod that no headless Service picks there, so " : "";
  const what = `${address}:${to.port} is ${why}no destination of the mesh`;
  if (leaf?.passthroughCluster !== undefined) return `${what}; it is let out as it is, because egress is on`;
  if (end.outcome === "passthrough") return `${what}; it is let out by ${decided}`;
  if (end.outcome === "no-rule") return `${what}; an Egress opens the port, but not for this host or request`;
  return `${what}, egress is off, and no Egress opens it`;
}

function outbound(facts: ChainFacts, listener: OutboundListenerLeaf): readonly Step[] {
  const { handling } = listener;
  const { to, address, end } = facts;
  const isHttp = handling.kind === "http";
  const how = isHttp ? "carried as HTTP, request by request" : "carried as bytes";
  const first: Step = { at: "outbound", text: `${address}:${to.port} is ${to.what}, ${how}` };
  if (end.outcome === "malformed" && end.cluster === undefined)
    return [first, { at: "route", text: MALFORMED }];
  const rule = isHttp ? ruleOf(facts, handling.routeTable) : undefined;
  if (isHttp && rule === undefined)
    return [first, { at: "route", text: "no route rule matches: the caller's sidecar answers itself" }];
  const frontend = isHttp ? rule : { origins: listener.origins, backends: handling.backends };
  return [first, ...splitSteps(frontend), backendStep(facts), ...identityStep(facts)];
}

const MALFORMED = "the path is written in a way that no proxy judges (an escaped slash)";

function splitSteps(rule: Pick<HttpRule, "origins" | "backends"> | undefined): readonly Step[] {
  const { origins, backends } = rule ?? { origins: [], backends: [] };
  const splits = origins.filter(({ kind }) => kind === "TrafficSplit");
  const force = { at: "route" as const, text: `${listText(splits.map(refText))} is in force here` };
  return [
    ...(splits.length > 0 ? [force] : []),
    ...(splits.length > 0 || backends.length > 1
      ? [{ at: "split" as const, text: splitText(backends) }]
      : []),
  ];
}

function ruleOf({ client = [], decision }: ChainFacts, table: string): HttpRule | undefined {
  const mark = `rule ${table}/`;
  const name = decision.steps.find(step => step.startsWith(mark))?.slice(mark.length);
  const routes = leafOf(client, "route-table", leaf => leaf.name === table);
  return routes?.rules.find(rule => rule.name === name);
}

function splitText(backends: readonly Backend[]): string {
  const all = backends.reduce((sum, { weight }) => sum + weight, 0);
  const share = ({ cluster, weight }: Backend): string => {
    const percent = all === 0 ? 0 : Math.round((weight / all) * 1000) / 10;
    return `${percent} % to ${clusterText(cluster)}`;
  };
  return backends.map(share).join(", ");
}

function backendStep({ end, pod, client = [] }: ChainFacts): Step {
  const cluster = end.cluster ?? "";
  if (end.outcome === "no-backend")
    return {
      at: "backend",
      text: cluster === "" ? "there is nowhere to send it" : `its share goes to ${clusterText(cluster)}`,
    };
  const count = leafOf(client, "endpoint-set", ({ name }) => name === cluster)?.endpoints.length;
  if (end.destination === undefined)
    return { at: "backend", text: `${clusterText(cluster)} has no pod that is ready and has a sidecar` };
  const where = `${end.destination.address}:${end.destination.port}`;
  const of = count === undefined || count < 2 ? "" : `, one of ${count}`;
  return { at: "backend", text: `${clusterText(cluster)}: pod ${pod ?? "(unknown)"} at ${where}${of}` };
}

function identityStep(facts: ChainFacts): readonly Step[] {
  const { end, server, client = [] } = facts;
  if (end.destination === undefined || server === undefined) return [];
  const cluster = leafOf(client, "upstream-cluster", ({ name }) => name === end.cluster);
  const expected = (cluster?.serverIdentities ?? []).map(identityKey);
  const shows = identityKey(server.group.identity);
  const text =
    end.outcome === "wrong-server"
      ? `the pod proves to be ${shows}, and only ${listText(expected, "or")} may answer here: the handshake fails`
      : `mutual TLS: the pod proves to be ${shows}, the caller to be ${facts.identity}`;
  return [{ at: "identity", text }];
}

/** At the pod that is called. */
function arrival(facts: ChainFacts): readonly Step[] {
  const { server, end, pod, client } = facts;
  const step = (text: string): readonly Step[] => [{ at: "inbound", text }];
  if (client !== undefined && end.destination === undefined) return [];
  if (server === undefined) return client === undefined ? step(bareText(facts)) : [];
  const port = inboundPort(facts);
  if (port === undefined)
    return step(`no Service leads to that port of ${pod ?? "the pod"}: its sidecar refuses it`);
  if (end.outcome === "wrong-server") return [];
  const plain = plainText(facts, port);
  return [...(plain === undefined ? [] : step(plain)), ...accessSteps(facts, port)];
}

function bareText({ end, pod, address }: ChainFacts): string {
  if (end.outcome === "unavailable") return "no pod is ready behind it";
  return `no sidecar stands before ${pod ?? address}`;
}

function inboundPort({ server, end, address, to }: ChainFacts): InboundPort | undefined {
  const listener = leafOf(server?.leaves ?? [], "inbound-listener");
  const number = end.destination?.port ?? (address === "" ? 0 : to.port);
  return listener?.ports.find(({ port }) => port === number);
}

function plainText({ client, end, pod }: ChainFacts, port: InboundPort): string | undefined {
  if (client !== undefined && end.outcome !== "refused") return undefined;
  if (end.outcome === "refused") return `${pod ?? "the pod"} takes only mutual TLS at port ${port.port}`;
  const ingress = end.by.filter(({ kind }) => kind === "IngressBackend");
  if (ingress.length > 0) return `${listText(ingress.map(refText))} lets this caller in without the mesh`;
  return `${pod ?? "the pod"} takes plaintext at port ${port.port} (its namespace migrates)`;
}

function accessSteps(facts: ChainFacts, port: InboundPort): readonly Step[] {
  const text = accessText(facts, port);
  return text === undefined ? [] : [{ at: "access", text }];
}

function accessText(facts: ChainFacts, port: InboundPort): string | undefined {
  const { end, server, identity, decided } = facts;
  if (end.outcome === "malformed") return MALFORMED;
  if (end.outcome === "no-rule") return "no route rule matches";
  if (end.outcome === "delivered") {
    if (end.rule === undefined) return `nothing in particular is asked for: ${decided}`;
    return `${allowsText(end.rule, grantsAt(facts, port))} for ${identity}`;
  }
  if (end.outcome !== "forbidden") return undefined;
  if (end.nearest !== undefined) return `nothing allows it; nearest: ${nearestText(facts, port)}`;
  const destination = server === undefined ? "" : identityKey(server.group.identity);
  return `permissive mode is off, and no TrafficTarget lets anybody in to ${destination} at port ${port.port}`;
}

/** Every grant that counts at a port. */
export function grantsAt({ server }: Pick<ChainFacts, "server">, port: InboundPort): readonly Grant[] {
  const { handling } = port;
  if (handling.kind === "tcp") return port.grants ?? [];
  const table = leafOf(server?.leaves ?? [], "route-table", ({ name }) => name === handling.routeTable);
  return (table?.rules ?? []).flatMap(({ permission }) =>
    permission.kind === "grants" ? permission.grants : [],
  );
}

/** The grants at the port where a call ends; none where it does not come so far. */
export function grantsOf(facts: ChainFacts): readonly Grant[] {
  const port = inboundPort(facts);
  return port === undefined ? [] : grantsAt(facts, port);
}

function allowsText(name: string, grants: readonly Grant[]): string {
  const parts = grantName(name);
  const grant = grants.find(each => each.name === name);
  const match = parts?.match === undefined ? "" : `, match “${parts.match}”`;
  const what = grant === undefined ? "" : ` allows ${grantText(grant)}`;
  return `TrafficTarget ${parts?.target ?? name}, rule ${parts?.rule ?? 0}${match},${what}`;
}

/** The nearest miss in a sentence; of an end that has one. */
export function nearestText(facts: ChainFacts, port: InboundPort | undefined = inboundPort(facts)): string {
  const { end, identity, http } = facts;
  if (end.nearest === undefined) return "";
  const { grant: name, differs } = end.nearest;
  const grants = port === undefined ? [] : grantsAt(facts, port);
  const whom = grants.find(grant => grant.name === name)?.identities.map(identityKey) ?? [];
  const callers = differs.includes("identity") ? ` of ${listText(whom, "or")}` : "";
  return `${allowsText(name, grants)}${callers}; ${askedText(differs, identity, http)}`;
}
