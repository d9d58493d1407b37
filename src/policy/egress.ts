/**
 * Egresses: what workloads may reach outside of the mesh while the mesh lets nothing else out. They add up. Of HTTP the host
 * decides where a request goes, so that a forged Host leads nowhere else; of TLS the server name does, unless a `*.` stands
 * for many names, which only the caller knows the addresses of.
 */
import { covers, prefixLength } from "../model/cidr";
import type { Diagnostic } from "../model/diagnostic";
import type { TrustDomain } from "../model/identity";
import { PORT_OUTBOUND } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import { objectRefKey } from "../model/object-ref";
import type { Egress, UpstreamTrafficSetting } from "../model/traffic";
import { ANY_REQUEST } from "./matching";
import { egressClusterName, egressRouteTableName, PASSTHROUGH_CLUSTER } from "./names";
import type { RouteGroup } from "./route-group";
import { clusterTerms } from "./upstream";
import type {
  EgressPort,
  EscapedSlashes,
  ExternalClusterLeaf,
  HttpMatch,
  HttpRule,
  Leaf,
  RouteTableLeaf,
} from "./types";

/** What Egresses refer to. */
export interface EgressFacts {
  /** HTTPRouteGroup by key. */
  readonly group: (key: string) => RouteGroup | undefined;
  /** UpstreamTrafficSetting by key. */
  readonly setting: (key: string) => UpstreamTrafficSetting | undefined;
  readonly trustDomain: TrustDomain;
  /** Absent: paths with an escaped slash are refused. */
  readonly escapedSlashes?: EscapedSlashes | undefined;
}

/** What Egresses open. */
export interface EgressParts {
  readonly ports: readonly EgressPort[];
  /** Route tables and clusters that the ports name. */
  readonly leaves: readonly Leaf[];
}

/** What the Egresses of one identity open, as given by `oldestFirst`. */
export function egressParts(egresses: readonly Egress[], facts: EgressFacts): EgressParts {
  const web = egresses.flatMap(egress => httpSides(egress, facts));
  const others = egresses.flatMap(egress => [...tlsPorts(egress), ...tcpPorts(egress)]);
  const tables = httpTables(web, facts.trustDomain).filter(({ port }) => !isTakenByBytes(port, others));
  const { escapedSlashes } = facts;
  const reading = escapedSlashes === undefined ? {} : { escapedSlashes };
  const ports = unique([...tables.map(({ port }) => ({ ...port, ...reading })), ...others]);
  const dialled = [
    ...ports.flatMap(({ cluster, origins }) => (cluster === PASSTHROUGH_CLUSTER ? origins : [])),
    ...web.flatMap(side => (side.hosts.some(isWildcard) ? side.origins : [])),
  ];
  const passthrough: Leaf = {
    kind: "passthrough-cluster",
    name: PASSTHROUGH_CLUSTER,
    origins: uniqueRefs(dialled),
  };
  return {
    ports,
    leaves: [
      ...(dialled.length === 0 ? [] : [passthrough]),
      ...externalClusters(egresses, facts),
      ...tables.map(({ table }) => table),
    ],
  };
}

/**
 * Where some server may speak first, no connection to that port is looked at: whatever TCP may dial there is bytes, and a route
 * table would be asked for by nobody.
 */
function isTakenByBytes({ port, cidrs: [range] }: EgressPort, others: readonly EgressPort[]): boolean {
  const bytes = others.filter(other => other.port === port && other.kind === "tcp");
  if (!bytes.some(({ serverFirst }) => serverFirst === true)) return false;
  return bytes.some(
    ({ cidrs }) => cidrs.length === 0 || (range !== undefined && cidrs.some(wider => covers(wider, range))),
  );
}

function isWildcard(host: string): boolean {
  return host.startsWith("*.");
}

function uniqueRefs(refs: readonly ObjectRef[]): readonly ObjectRef[] {
  return [...new Map(refs.map(ref => [objectRefKey(ref), ref] as const)).values()];
}

function unique(ports: readonly EgressPort[]): readonly EgressPort[] {
  return ports.filter(({ name }, i) => ports.findIndex(other => other.name === name) === i);
}

/** What one Egress says of HTTP on one port. */
interface HttpSide {
  readonly port: number;
  readonly hosts: readonly string[];
  readonly cidrs: readonly string[];
  readonly rule: Omit<HttpRule, "backends">;
  readonly origins: readonly ObjectRef[];
}

function httpSides(egress: Egress, { group }: EgressFacts): readonly HttpSide[] {
  const { ref, hosts, ports, ipAddresses, routeGroups } = egress;
  const groups = routeGroups.flatMap(key => group(key) ?? []);
  // Without the groups it names, it must not become an Egress of every request.
  const matches: readonly HttpMatch[] =
    routeGroups.length === 0
      ? [ANY_REQUEST]
      : groups.flatMap(({ matches: own }) => own.map(({ match }) => match));
  if (matches.length === 0 || hosts.length === 0) return [];
  const origins = [ref, ...groups.map(found => found.ref)];
  const rule: HttpSide["rule"] = {
    name: `${ref.namespace}/${ref.name}`,
    matches,
    permission: { kind: "any-mesh-identity" },
    origins,
  };
  // The sidecar refuses what is dialled to the port that it takes connections at itself.
  const numbers = ports.flatMap(({ protocol, number }) =>
    protocol === "http" && number !== PORT_OUTBOUND ? [number] : [],
  );
  return [...new Set(numbers)].map(port => ({ port, hosts, cidrs: ipAddresses, rule, origins }));
}

interface Table {
  readonly port: EgressPort;
  readonly table: RouteTableLeaf;
}

/** A table per port and range of addresses, the narrowest first: the first that holds an address decides there. */
function httpTables(sides: readonly HttpSide[], trustDomain: TrustDomain): readonly Table[] {
  const ports = [...new Set(sides.map(({ port }) => port))].sort((a, b) => a - b);
  return ports.flatMap(port => {
    const own = sides.filter(side => side.port === port);
    const ranges = [...new Set(own.flatMap(({ cidrs }) => cidrs))].sort();
    const narrowFirst = ranges.sort((a, b) => prefixLength(b) - prefixLength(a));
    const everywhere = own.filter(({ cidrs }) => cidrs.length === 0);
    return [
      ...narrowFirst.map(range => {
        const inside = own.filter(
          ({ cidrs }) => cidrs.length === 0 || cidrs.some(wider => covers(wider, range)),
        );
        return httpTable(port, range, { sides: inside, trustDomain });
      }),
      ...(everywhere.length === 0 ? [] : [httpTable(port, undefined, { sides: everywhere, trustDomain })]),
    ];
  });
}

function httpTable(
  port: number,
  range: string | undefined,
  { sides, trustDomain }: { readonly sides: readonly HttpSide[]; readonly trustDomain: TrustDomain },
): Table {
  const name = egressRouteTableName(port, range);
  const origins = uniqueRefs(sides.flatMap(side => side.origins));
  const hosts = [...new Set(sides.flatMap(side => side.hosts))].sort();
  return {
    port: {
      name: `http|${name}`,
      port,
      kind: "http",
      routeTable: name,
      cidrs: range === undefined ? [] : [range],
      origins,
    },
    table: {
      kind: "route-table",
      name,
      direction: "egress",
      origins,
      trustDomain,
      rules: [],
      hosts: hosts.map(host => {
        const cluster = isWildcard(host) ? PASSTHROUGH_CLUSTER : egressClusterName(host, port);
        return {
          name: host,
          domains: [host, `${host}:${port}`],
          rules: sides
            .filter(side => side.hosts.includes(host))
            .map(({ rule }) => ({ ...rule, backends: [{ cluster, weight: 1 }] })),
        };
      }),
    },
  };
}

/** A name goes where it leads; names behind a `*.`, and connections without any, go where the caller dialled. */
function tlsPorts({ ref, hosts, ports, ipAddresses }: Egress): readonly EgressPort[] {
  const numbers = ports.filter(({ protocol }) => protocol === "https").map(({ number }) => number);
  return numbers.flatMap((port): EgressPort[] => {
    const at = `tls|${port}|${ref.namespace}/${ref.name}`;
    const base = { port, kind: "tls" as const, cidrs: ipAddresses, origins: [ref] };
    const wild = hosts.filter(isWildcard);
    const many = { ...base, name: at, cluster: PASSTHROUGH_CLUSTER, serverNames: wild };
    return [
      ...hosts
        .filter(host => !isWildcard(host))
        .map(host => ({
          ...base,
          name: `${at}|${host}`,
          cluster: egressClusterName(host, port),
          serverNames: [host],
        })),
      ...(wild.length > 0 || hosts.length === 0 ? [many] : []),
    ];
  });
}

function tcpPorts({ ref, ports, ipAddresses }: Egress): readonly EgressPort[] {
  return ports.flatMap(({ number, protocol }): EgressPort[] => {
    if (protocol !== "tcp" && protocol !== "tcp-server-first") return [];
    return [
      {
        name: `${protocol}|${number}|${ref.namespace}/${ref.name}`,
        port: number,
        kind: "tcp",
        ...(protocol === "tcp" ? {} : { serverFirst: true }),
        cidrs: ipAddresses,
        cluster: PASSTHROUGH_CLUSTER,
        origins: [ref],
      },
    ];
  });
}

/** Clusters of the hosts by name; of several Egresses with one the oldest says how it is connected to. */
function externalClusters(egresses: readonly Egress[], { setting }: EgressFacts): readonly Leaf[] {
  const found = new Map<string, ExternalClusterLeaf>();
  for (const egress of egresses) {
    const said = egress.setting === undefined ? undefined : setting(egress.setting);
    const { connection, by } = clusterTerms(said, { balanced: false });
    for (const { host, port } of namedHosts(egress)) {
      const name = egressClusterName(host, port);
      const known = found.get(name);
      const origins = uniqueRefs([...(known?.origins ?? []), egress.ref, ...(known === undefined ? by : [])]);
      const own: ExternalClusterLeaf = {
        kind: "external-cluster",
        name,
        origins,
        address: host,
        port,
        ...(connection === undefined ? {} : { connection }),
      };
      found.set(name, known === undefined ? own : { ...known, origins });
    }
  }
  return [...found.values()];
}

/** Every host that stands for one name, at every port where hosts are told apart. */
function namedHosts({ hosts, ports }: Egress): readonly { readonly host: string; readonly port: number }[] {
  const names = hosts.filter(host => !isWildcard(host));
  return ports
    .filter(({ protocol }) => protocol === "http" || protocol === "https")
    .flatMap(({ number }) => names.map(host => ({ host, port: number })));
}

/** What the owner of an Egress should know. */
export function egressFindings(
  egress: Egress,
  facts: Omit<EgressFacts, "trustDomain"> & {
    /** Everything is let out anyway. */
    readonly open: boolean;
    /** Live pods that run as its sources. */
    readonly pods: number;
  },
): readonly Diagnostic[] {
  const { ref, hosts, ports, routeGroups, setting } = egress;
  const speaks = (...protocols: readonly string[]): boolean =>
    ports.some(({ protocol }) => protocols.includes(protocol));
  const ofHttp = speaks("http");
  const idle: readonly (readonly [boolean, string, string])[] = [
    [facts.open, "spec", "traffic.enableEgress of MeshConfig is on: everything is let out anyway"],
    [facts.pods === 0, "spec.sources", "no pod of the mesh is one of the sources"],
    [ofHttp && hosts.length === 0, "spec.hosts", "ports of http are opened to hosts, and none is given"],
    [routeGroups.length > 0 && !ofHttp, "spec.matches", "only requests of http can be told apart"],
    [
      hosts.length > 0 && !speaks("http", "https"),
      "spec.hosts",
      "bytes say nothing of a host; spec.ipAddresses bound where they go",
    ],
  ];
  const missing = [
    ...routeGroups
      .filter(key => facts.group(key) === undefined)
      .map(key => `HTTPRouteGroup ${key}; nothing is let out for it`),
    ...[setting ?? []]
      .flat()
      .filter(key => facts.setting(key) === undefined)
      .map(key => `UpstreamTrafficSetting ${key}`),
  ];
  return [
    ...idle
      .filter(([is]) => is)
      .map(
        ([, field, message]): Diagnostic => ({
          severity: "warning",
          code: "NoEffect",
          subject: ref,
          field,
          message,
        }),
      ),
    ...missing.map(
      (what): Diagnostic => ({
        severity: "error",
        code: "UnresolvedReference",
        subject: ref,
        field: "spec.matches",
        message: `there is no ${what}`,
      }),
    ),
  ];
}
