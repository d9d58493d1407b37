import { covers } from "../../model/cidr";
import { PORT_OUTBOUND } from "../../model/mesh-words";
import type { EgressPort, OutboundCatchAllLeaf } from "../../policy/types";
import { cidrRange } from "../address";
import { pack } from "../any";
import type { Any } from "../api/generated/google/protobuf/any";
import type { Listener } from "../api/generated/envoy/config/listener/v3/listener";
import type {
  Filter,
  FilterChain,
  FilterChainMatch,
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from "../api/generated/envoy/config/listener/v3/listener_components";
import { HttpInspector } from "../api/generated/envoy/extensions/filters/listener/http_inspector/v3/http_inspector";
import { TlsInspector } from "../api/generated/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { milliseconds } from "../duration";
import { httpConnectionManager } from "../http-connection-manager";
import { refuse, tcpProxy } from "../tcp-filters";
import { ORIGINAL_DESTINATION } from "./original-destination";

/** What may be dialled on one port at one range of addresses; `cidr` undefined: any address that no range holds. */
interface Cell {
  readonly port: number;
  readonly cidr: string | undefined;
  /** Of `cidr`; empty: any. */
  readonly prefixes: readonly string[];
  readonly entries: readonly EgressPort[];
}

/** Every address of IPv4, and of IPv6. */
const WHOLE = ["0.0.0.0/0", "::/0"];

/**
 * Envoy takes the chains of the narrowest range that holds the dialled address and does not look back at wider ones. What a
 * wider range allows is therefore repeated in each narrower one, so that one Egress never takes away what another gives.
 */
function cells(port: number, entries: readonly EgressPort[]): Cell[] {
  const ranges = [...new Set(entries.flatMap(({ cidrs }) => cidrs))];
  // To Envoy "any address" and the whole of a family are the same, and which of two such chains it takes is chance.
  const rest = WHOLE.filter(whole => !ranges.includes(whole));
  const at = (cidr: string | undefined): Cell => ({
    port,
    cidr,
    prefixes: cidr === undefined ? (rest.length === WHOLE.length ? [] : rest) : [cidr],
    entries: entries.filter(
      ({ cidrs }) => cidrs.length === 0 || (cidr !== undefined && cidrs.some(wider => covers(wider, cidr))),
    ),
  });
  return [...(rest.length === 0 ? [] : [undefined]), ...ranges]
    .map(at)
    .filter(cell => cell.entries.length > 0);
}

/** What the proxy has to know of a connection on a port before it can choose a chain. */
interface Inspection {
  readonly tls: boolean;
  readonly http: boolean;
}

/** Nothing is waited for where the server speaks first, or where there is only one choice anyway. */
function inspection(entries: readonly EgressPort[]): Inspection {
  const kinds = new Set(entries.map(({ kind }) => kind));
  if (entries.some(({ serverFirst }) => serverFirst === true)) return { tls: false, http: false };
  return { tls: kinds.has("tls"), http: kinds.has("http") && kinds.has("tcp") };
}

const PLAIN = { transportProtocol: "raw_buffer" };

/** Application protocols that Envoy's inspector tells apart. */
const HTTP_PROTOCOLS = ["http/1.0", "http/1.1", "h2c"];

function match(cell: Cell, part: FilterChainMatch): FilterChainMatch {
  return {
    destinationPort: cell.port,
    ...(cell.prefixes.length === 0 ? {} : { prefixRanges: cell.prefixes.map(cidrRange) }),
    ...part,
  };
}

function bytes(leaf: OutboundCatchAllLeaf, { name, cluster }: EgressPort): Filter {
  if (cluster === undefined) return refuse();
  const backends = [{ cluster, weight: 1 }];
  return tcpProxy({
    direction: "outbound",
    statPrefix: `egress|${name}`,
    backends,
    accessLog: leaf.accessLog,
  });
}

function httpFilter(leaf: OutboundCatchAllLeaf, { routeTable, escapedSlashes }: EgressPort): Filter {
  if (routeTable === undefined) return refuse();
  return httpConnectionManager({
    direction: "outbound",
    routeTable,
    tracing: undefined,
    escapedSlashes,
    externalAuthorization: undefined,
    accessLog: leaf.accessLog,
  });
}

/** Server names of an entry that no earlier entry of the cell has taken: Envoy refuses a listener that says one twice. */
function ownServerNames(entries: readonly EgressPort[], index: number): readonly string[] | undefined {
  const names = (entry: EgressPort | undefined): readonly string[] => {
    const list = entry?.serverNames ?? [];
    return list.length === 0 ? ["*"] : list;
  };
  const taken = new Set(entries.slice(0, index).flatMap(names));
  const own = names(entries[index]).filter(name => !taken.has(name));
  if (own.length === 0) return undefined;
  return own.includes("*") ? [] : own;
}

function tlsChains(
  leaf: OutboundCatchAllLeaf,
  cell: Cell,
  chainName: (entry: EgressPort) => string,
): FilterChain[] {
  const entries = cell.entries.filter(({ kind }) => kind === "tls");
  return entries.flatMap((entry, index): FilterChain[] => {
    const serverNames = ownServerNames(entries, index);
    if (serverNames === undefined) return [];
    const filterChainMatch = match(cell, { transportProtocol: "tls", serverNames: [...serverNames] });
    return [{ name: chainName(entry), filterChainMatch, filters: [bytes(leaf, entry)] }];
  });
}

/** The chains of a cell: at most one for HTTP and one for any bytes; the first entry of each kind decides. */
function chains(leaf: OutboundCatchAllLeaf, cell: Cell, look: Inspection): FilterChain[] {
  const chainName = (entry: EgressPort): string =>
    `egress|${entry.name}${cell.cidr === undefined ? "" : `|${cell.cidr}`}`;
  const tcp = cell.entries.find(({ kind }) => kind === "tcp");
  const http = cell.entries.find(({ kind }) => kind === "http");
  const bytesChain = (entry: EgressPort, part: FilterChainMatch): FilterChain => ({
    name: `${chainName(entry)}${part.transportProtocol === undefined ? "" : "|plain"}`,
    filterChainMatch: match(cell, part),
    filters: [bytes(leaf, entry)],
  });
  if (tcp !== undefined && !look.tls && !look.http) return [bytesChain(tcp, {})];
  const httpMatch = { ...PLAIN, ...(look.http ? { applicationProtocols: HTTP_PROTOCOLS } : {}) };
  const httpChain = (entry: EgressPort): FilterChain => ({
    name: chainName(entry),
    filterChainMatch: match(cell, httpMatch),
    filters: [httpFilter(leaf, entry)],
  });
  return [
    ...(look.tls ? tlsChains(leaf, cell, chainName) : []),
    ...(http === undefined ? [] : [httpChain(http)]),
    // Plain bytes need a chain beside that of HTTP: Envoy does not look back from "plain" to "any".
    ...(tcp === undefined
      ? []
      : [...(http === undefined ? [] : [bytesChain(tcp, PLAIN)]), bytesChain(tcp, {})]),
  ];
}

/** True on every port but these: the filter is not used there. */
function exceptOn(ports: readonly number[]): ListenerFilterChainMatchPredicate {
  const on = ports.map(
    (port): ListenerFilterChainMatchPredicate => ({
      rule: { $case: "destinationPortRange", value: { start: port, end: port + 1 } },
    }),
  );
  const [only] = on;
  const any: ListenerFilterChainMatchPredicate =
    only !== undefined && on.length === 1 ? only : { rule: { $case: "orMatch", value: { rules: on } } };
  return { rule: { $case: "notMatch", value: any } };
}

function inspector(name: string, config: Any, ports: readonly number[]): ListenerFilter[] {
  if (ports.length === 0) return [];
  const configType = { $case: "typedConfig" as const, value: config };
  return [{ name, configType, filterDisabled: exceptOn(ports) }];
}

/** What Egress policies open, as parts of the catch-all listener. */
export function egress(leaf: OutboundCatchAllLeaf): Pick<
  Listener,
  "listenerFilters" | "listenerFiltersTimeout" | "continueOnListenerFiltersTimeout"
> & {
  readonly filterChains: FilterChain[];
} {
  const entries = (leaf.egress ?? []).filter(({ port }) => port !== PORT_OUTBOUND);
  const ports = [...new Set(entries.map(({ port }) => port))].sort((a, b) => a - b);
  const byPort = ports.map(port => {
    const own = entries.filter(entry => entry.port === port);
    return { port, look: inspection(own), cells: cells(port, own) };
  });
  const listenerFilters = [
    ...inspector(
      "envoy.filters.listener.tls_inspector",
      pack(TlsInspector, {}),
      byPort.filter(({ look }) => look.tls).map(({ port }) => port),
    ),
    ...inspector(
      "envoy.filters.listener.http_inspector",
      pack(HttpInspector, {}),
      byPort.filter(({ look }) => look.http).map(({ port }) => port),
    ),
  ];
  return {
    filterChains: byPort.flatMap(({ cells: own, look }) => own.flatMap(cell => chains(leaf, cell, look))),
    // A client that says nothing gets what any bytes get, in case the server is the one to speak.
    ...(listenerFilters.length === 0
      ? {}
      : {
          listenerFilters: [ORIGINAL_DESTINATION, ...listenerFilters],
          listenerFiltersTimeout: milliseconds(5000),
          continueOnListenerFiltersTimeout: true,
        }),
  };
}
