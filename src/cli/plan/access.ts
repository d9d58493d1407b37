/** Who may call what: every identity, every Service port, every route, as the leaves of a world have it. */
import { nodeGroupKey, viewKey } from "../../catalog/node-groups";
import { identityKey, type ServiceIdentity } from "../../model/identity";
import type { Backend, HttpRule, Leaf, Permission } from "../../policy/types";
import type { PolicyDescription } from "../../runtime/engine/compiler";
import { leafOf, matchText } from "../explain/words";
import type { MeshWorld } from "../offline/world";

/** One thing that somebody may do. */
export interface Access {
  /** `namespace/account`. */
  readonly from: string;
  /** `namespace/service:port`. */
  readonly to: string;
  /** What may be sent, like `GET /books-bought`. */
  readonly route: string;
  /** Backends that take it, `namespace/service:port`; absent: the Service itself. */
  readonly via?: readonly string[];
}

/** Where calls of a Service port are sent. */
export interface Shares {
  readonly to: string;
  /** Requests that this is about; absent: all. */
  readonly route?: string;
  /** Percent by backend (`namespace/service:port`), of those with a weight. */
  readonly shares: Readonly<Record<string, number>>;
}

/** Access and shares of a world, by keys that two worlds can be compared with. */
export interface AccessMap {
  readonly access: ReadonlyMap<string, Access>;
  readonly shares: ReadonlyMap<string, Shares>;
}

/** What a server says at a port. */
interface Gate {
  readonly routes: readonly { readonly text: string; readonly permission: Permission }[];
}

/** A way to a Service port: requests, and the gates behind each backend. */
interface Way {
  readonly to: string;
  readonly route: string | undefined;
  readonly bytes: boolean;
  readonly backends: readonly {
    readonly name: string;
    readonly share: number;
    readonly gates: readonly Gate[];
  }[];
}

/** Everybody's access in a world. */
export function accessIn({ compiler }: MeshWorld): AccessMap {
  const { graph, pods } = compiler.inputs;
  return graph.batch(() => {
    const found = [...pods.rows.values()].flatMap(pod => graph.peek(compiler.description(pod.uid)) ?? []);
    const groups = new Map(found.map(each => [nodeGroupKey(each.group), each]));
    const ways = new Map<string, readonly Way[]>();
    const gatesAt = gateFinder(compiler);
    const access = new Map<string, Access>();
    const shares = new Map<string, Shares>();
    const told = new Set<string>();
    for (const description of groups.values()) {
      const { identity, view } = description.group;
      const key = viewKey(view);
      const known = ways.get(key) ?? waysOf(description, gatesAt);
      ways.set(key, known);
      for (const { key: name, value } of known.flatMap(sharesOf)) shares.set(name, value);
      if (told.has(`${identityKey(identity)}|${key}`)) continue;
      told.add(`${identityKey(identity)}|${key}`);
      for (const one of known.flatMap(way => accessOf(way, identity))) {
        access.set(JSON.stringify([one.from, one.to, one.route, one.via]), one);
      }
    }
    return { access, shares };
  });
}

type GateFinder = (address: string, port: number) => Gate | undefined;

/** What the sidecar at an address says at a port; looked up once for all pods of a group. */
function gateFinder({ inputs, descriptionAt }: MeshWorld["compiler"]): GateFinder {
  const known = new Map<string, Gate | undefined>();
  const groups = new Map<string, PolicyDescription | undefined>();
  return (address, port) => {
    if (!groups.has(address)) groups.set(address, inputs.graph.peek(descriptionAt(address)));
    const description = groups.get(address);
    if (description === undefined) return undefined;
    const key = `${port}|${nodeGroupKey(description.group)}`;
    if (!known.has(key)) known.set(key, gateOf(description.leaves, port));
    return known.get(key);
  };
}

function gateOf(leaves: readonly Leaf[], number: number): Gate | undefined {
  const port = leafOf(leaves, "inbound-listener")?.ports.find(each => each.port === number);
  if (port === undefined) return undefined;
  const { handling } = port;
  if (handling.kind === "tcp") return { routes: [{ text: "connections", permission: port.permission }] };
  const table = leafOf(leaves, "route-table", ({ name }) => name === handling.routeTable);
  return {
    routes: (table?.rules ?? []).map(({ matches, permission }) => ({
      text: matches.map(matchText).join(" or "),
      permission,
    })),
  };
}

/** All Service ports that a client is led to. */
function waysOf({ leaves }: PolicyDescription, gatesAt: GateFinder): readonly Way[] {
  return leaves.flatMap((leaf): readonly Way[] => {
    if (leaf.kind !== "outbound-listener") return [];
    const { handling } = leaf;
    // A headless Service has a listener for each pod, which leads to what is called like the Service.
    const leads = handling.kind === "http" ? handling.routeTable : (handling.backends[0]?.cluster ?? "");
    const to = serviceOf(leaf.name) ?? serviceOf(leads);
    if (to === undefined) return [];
    const way = (backends: readonly Backend[], route: string | undefined): Way => ({
      to,
      route,
      bytes: handling.kind === "tcp",
      backends: weighed(leaves, backends, { gatesAt, dialled: leaf.addresses, port: leaf.port }),
    });
    if (handling.kind === "tcp") return [way(handling.backends, undefined)];
    const table = leafOf(leaves, "route-table", ({ name }) => name === handling.routeTable);
    return (table?.rules ?? []).map(rule => way(rule.backends, routeOf(rule)));
  });
}

function routeOf({ matches }: HttpRule): string | undefined {
  const text = matches.map(matchText).join(" or ");
  return text === "every request" ? undefined : text;
}

/** `namespace/service:port` of a cluster or listener of a Service; undefined: it is a pod's. */
function serviceOf(name: string): string | undefined {
  const [, service, port] = /^(?:outbound|unresolved)\|([^|/]+\/[^|]+)\|(\d+)$/.exec(name) ?? [];
  return service === undefined ? undefined : `${service}:${port ?? ""}`;
}

function weighed(
  leaves: readonly Leaf[],
  backends: readonly Backend[],
  {
    gatesAt,
    dialled,
    port,
  }: { readonly gatesAt: GateFinder; readonly dialled: readonly string[]; readonly port: number },
): Way["backends"] {
  const all = backends.reduce((sum, { weight }) => sum + weight, 0);
  return backends
    .filter(({ weight }) => weight > 0)
    .map(({ cluster, weight, unresolved }) => {
      const upstream = leafOf(leaves, "upstream-cluster", ({ name }) => name === cluster);
      const set = leafOf(leaves, "endpoint-set", ({ name }) => name === cluster);
      const targets =
        upstream?.discovery.kind === "original-destination"
          ? dialled.map(address => ({ address, port }))
          : (set?.endpoints ?? []);
      const gates = targets.flatMap(target => gatesAt(target.address, target.port) ?? []);
      return {
        name: serviceOf(cluster) ?? cluster,
        share: weight / all,
        gates: unresolved === true ? [] : [...new Set(gates)],
      };
    });
}

function sharesOf({ to, route, backends }: Way): readonly { readonly key: string; readonly value: Shares }[] {
  const shares = Object.fromEntries(
    backends.map(({ name, share }) => [name, Math.round(share * 1000) / 10] as const),
  );
  const value = { to, ...(route === undefined ? {} : { route }), shares };
  return [{ key: `${to}|${route ?? ""}`, value }];
}

/** What an identity may send along a way, each thing once, with the backends that take it. */
function accessOf({ to, route, bytes, backends }: Way, identity: ServiceIdentity): readonly Access[] {
  const routes = new Map<string, Set<string>>();
  for (const { name, gates } of backends) {
    for (const text of gates.flatMap(gate => allowedBy(gate, identity))) {
      routes.set(text, (routes.get(text) ?? new Set<string>()).add(name));
    }
  }
  return [...routes].map(([allowed, names]) => {
    const own = names.size === 1 && names.has(to);
    const within = route === undefined ? "" : `, of those that are ${route}`;
    return {
      from: identityKey(identity),
      to,
      route: bytes ? "connections" : `${allowed}${within}`,
      ...(own ? {} : { via: [...names].sort() }),
    };
  });
}

function allowedBy({ routes }: Gate, identity: ServiceIdentity): readonly string[] {
  return routes.flatMap(({ text, permission }) => {
    switch (permission.kind) {
      case "anyone":
      case "any-mesh-identity":
        return [text];
      case "allow":
        return permission.identities.some(each => isSame(each, identity)) ? [text] : [];
      case "grants":
        return permission.grants
          .filter(grant => grant.identities.some(each => isSame(each, identity)))
          .map(grant => grant.matches.map(matchText).join(" or "));
      case "principals":
        return [];
    }
  });
}

function isSame(a: ServiceIdentity, b: ServiceIdentity): boolean {
  return a.namespace === b.namespace && a.serviceAccount === b.serviceAccount;
}
