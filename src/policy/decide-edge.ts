/** The evaluator at the edges of the mesh: what Egresses let out, and what IngressBackends let in. */
import { covers, prefixLength } from "../model/cidr";
import type { ObjectRef } from "../model/object-ref";
import type { Call, HttpRequest } from "./decide";
import { matches } from "./matching";
import { requestPath } from "./request-path";
import type {
  EgressPort,
  EscapedSlashes,
  InboundPort,
  IngressChain,
  Leaf,
  OutboundCatchAllLeaf,
  VirtualHost,
} from "./types";

/** How a connection to where the mesh is not ends. */
export interface EdgeVerdict {
  readonly outcome: "passthrough" | "refused" | "no-rule" | "malformed";
  readonly by: readonly ObjectRef[];
  /** For HTTP without a rule, or malformed. */
  readonly status?: number;
}

/** What the Egresses of a proxy say of a connection that is of no frontend. */
export function decideEgress(leaves: readonly Leaf[], leaf: OutboundCatchAllLeaf, call: Call): EdgeVerdict {
  const entries = (leaf.egress ?? []).filter(
    ({ port, cidrs }) =>
      port === call.port && (cidrs.length === 0 || cidrs.some(cidr => covers(cidr, call.address))),
  );
  const tls = call.serverName === undefined ? undefined : entries.find(takesName(call.serverName));
  if (tls !== undefined) return { outcome: "passthrough", by: tls.origins };
  const web = call.http === undefined ? undefined : entries.find(({ kind }) => kind === "http");
  if (web !== undefined) return decideHttp(leaves, web, call);
  const tcp = entries.find(({ kind }) => kind === "tcp");
  if (tcp !== undefined) return { outcome: "passthrough", by: tcp.origins };
  return { outcome: "refused", by: leaf.origins };
}

function takesName(serverName: string): (entry: EgressPort) => boolean {
  return ({ kind, serverNames = [] }) =>
    kind === "tls" && (serverNames.length === 0 || serverNames.some(name => isName(name, serverName)));
}

function isName(pattern: string, name: string): boolean {
  const lower = name.toLowerCase();
  return pattern.startsWith("*.") ? lower.endsWith(pattern.slice(1)) : lower === pattern;
}

function readAs(http: HttpRequest, escapedSlashes: EscapedSlashes | undefined): HttpRequest | "malformed" {
  const path = requestPath(http.path, escapedSlashes);
  return path === undefined ? "malformed" : { ...http, path };
}

function decideHttp(
  leaves: readonly Leaf[],
  { routeTable, escapedSlashes, origins }: EgressPort,
  call: Call,
): EdgeVerdict {
  const http = call.http && readAs(call.http, escapedSlashes);
  if (http === "malformed") return { outcome: "malformed", by: origins, status: 400 };
  const table = leaves.find(leaf => leaf.kind === "route-table" && leaf.name === routeTable);
  const hosts = table?.kind === "route-table" ? (table.hosts ?? []) : [];
  const rule =
    http &&
    hostOf(hosts, hostHeader(http.headers))?.rules.find(({ matches: any }) =>
      any.some(match => matches(match, http)),
    );
  if (rule === undefined) return { outcome: "no-rule", by: origins, status: 404 };
  return { outcome: "passthrough", by: rule.origins };
}

function hostHeader(headers: Readonly<Record<string, string>>): string {
  const found = Object.entries(headers).find(([name]) => name.toLowerCase() === "host");
  return found?.[1].toLowerCase() ?? "";
}

/** Whole names come before those behind a `*.`, of which the longest counts. */
function hostOf(hosts: readonly VirtualHost[], host: string): VirtualHost | undefined {
  const domains = hosts.flatMap(own => own.domains.map(domain => ({ own, domain })));
  const whole = domains.find(({ domain }) => domain === host);
  const [longest] = domains
    .filter(({ domain }) => domain.startsWith("*.") && host.endsWith(domain.slice(1)))
    .sort((a, b) => b.domain.length - a.domain.length);
  return (whole ?? longest)?.own;
}

/** The chain of an IngressBackend that a plaintext caller comes in by; undefined: none is for it. */
export function ingressChainOf(port: InboundPort | undefined, call: Call): IngressChain | undefined {
  const { source } = call;
  if (source === undefined || call.http === undefined) return undefined;
  const open = (port?.ingress ?? [])
    .filter(({ tls }) => tls === undefined)
    .flatMap(chain => chain.cidrs.filter(cidr => covers(cidr, source)).map(cidr => ({ chain, cidr })));
  const [narrowest] = open.sort((a, b) => prefixLength(b.cidr) - prefixLength(a.cidr));
  return narrowest?.chain;
}
