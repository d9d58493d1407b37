/**
 * IngressBackends: callers from outside the mesh that are let in to HTTP ports, by address, by client certificate, or both.
 * Of several about the same callers of a port the oldest counts: Envoy would take the one with the narrowest range, so ranges
 * that an older one covers are not opened again.
 */
import { canonicalCidrs, RangeMap } from "../model/canonical-cidr";
import type { Diagnostic } from "../model/diagnostic";
import type { TrustDomain } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import type { IngressBackend } from "../model/traffic";
import { ANY_REQUEST } from "./matching";
import { ingressRouteTableName, localClusterName } from "./names";
import type { RouteGroup } from "./route-group";
import type { IngressChain, Permission, RouteTableLeaf } from "./types";

/** What IngressBackends refer to. */
export interface IngressFacts {
  /** Addresses behind a Service, with or without a sidecar, by its key. */
  readonly addresses: (service: string) => readonly string[];
  /** HTTPRouteGroup by key. */
  readonly group: (key: string) => RouteGroup | undefined;
}

/** What IngressBackends open of one port. */
export interface IngressParts {
  readonly chains: readonly IngressChain[];
  readonly tables: readonly RouteTableLeaf[];
  /** About those that came too late. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Of which port. */
export interface IngressPort {
  /** Container port. */
  readonly port: number;
  /** Keys of the Services that lead to it. */
  readonly services: readonly string[];
  readonly trustDomain: TrustDomain;
}

type BackendItem = IngressBackend["backends"][number];

const ANYWHERE = ["0.0.0.0/0", "::/0"];

/** The ways in that some IngressBackends, as given by `oldestFirst`, open of a port. */
export function ingressParts(
  policies: readonly IngressBackend[],
  at: IngressPort,
  facts: IngressFacts,
): IngressParts {
  const chains: IngressChain[] = [];
  const tables: RouteTableLeaf[] = [];
  const diagnostics: Diagnostic[] = [];
  const taken: Taken = new Map();
  for (const policy of policies) {
    for (const item of policy.backends.filter(spokenOf(at))) {
      const wanted = cidrsOf(policy, item, facts);
      const { free, winner } = claim(policy.ref, { item, wanted, taken });
      if (winner !== undefined)
        diagnostics.push(conflict(policy.ref, winner, { item, all: free.length === 0 }));
      const name = `${policy.ref.namespace}/${policy.ref.name}${item.tls === undefined ? "" : "|tls"}`;
      if (free.length === 0 || chains.some(chain => chain.name === name)) continue;
      const table = tableOf(name, policy, { item, at, facts });
      tables.push(table);
      const tls = item.tls && { verifyClient: item.tls.verifyClient, serverNames: item.tls.sniHosts };
      chains.push({ name, cidrs: free, tls, routeTable: table.name, origins: table.origins });
    }
  }
  return { chains, tables, diagnostics };
}

function spokenOf({ port, services }: IngressPort): (item: BackendItem) => boolean {
  return item => item.port === port && services.includes(item.service);
}

/** Who was first to let callers in, by protocol and server name, and by range. Envoy takes each combination once. */
type Taken = Map<string, RangeMap<ObjectRef>>;

/**
 * Takes what is left of the callers, and says who was there before, if that is somebody else. A range within one of an older
 * object is gone; within a range around it the older keeps its own, since Envoy takes the narrowest.
 */
function claim(
  ref: ObjectRef,
  {
    item,
    wanted,
    taken,
  }: {
    readonly item: BackendItem;
    readonly wanted: readonly string[];
    readonly taken: Taken;
  },
): { readonly free: readonly string[]; readonly winner: ObjectRef | undefined } {
  const known = keysOf(item).map(key => taken.get(key) ?? new RangeMap<ObjectRef>());
  const older = (cidr: string): ObjectRef | undefined =>
    known.flatMap(ranges => ranges.around(cidr)).find(other => other !== ref);
  const winner = wanted.map(older).find(other => other !== undefined) ?? ownerWithin(ref, wanted, known);
  // Ranges of the object itself may lie in each other: one chain has them all.
  const free = wanted.filter(
    cidr => older(cidr) === undefined && known.every(ranges => ranges.get(cidr) === undefined),
  );
  keysOf(item).forEach((key, index) => {
    const ranges = known[index] ?? new RangeMap();
    for (const cidr of free) ranges.set(cidr, ref);
    taken.set(key, ranges);
  });
  return { free, winner };
}

/** Whose callers are among those wanted. */
function ownerWithin(
  ref: ObjectRef,
  wanted: readonly string[],
  known: readonly RangeMap<ObjectRef>[],
): ObjectRef | undefined {
  const all = new RangeMap<true>();
  for (const cidr of wanted) all.set(cidr, true);
  const inside = known
    .flatMap(ranges => [...ranges.entries()])
    .find(([cidr, other]) => other !== ref && all.around(cidr).length > 0);
  return inside?.[1];
}

function keysOf({ tls }: BackendItem): readonly string[] {
  if (tls === undefined) return ["plain"];
  return (tls.sniHosts.length === 0 ? ["*"] : tls.sniHosts).map(name => `tls|${name}`);
}

function conflict(
  subject: ObjectRef,
  winner: ObjectRef,
  { item, all }: { readonly item: BackendItem; readonly all: boolean },
): Diagnostic {
  const end = all ? "this one lets nobody in there" : "it decides about those";
  return {
    severity: all ? "error" : "warning",
    code: "Conflicted",
    subject,
    field: "spec.sources",
    message: `IngressBackend ${winner.namespace}/${winner.name} is older and speaks of the same callers of container port ${item.port}; ${end}`,
  };
}

/** Whether the names in certificates of callers can be known. */
function asksForNames({ tls }: BackendItem): boolean {
  return tls?.verifyClient === true;
}

/** Addresses that may call: those of the sources, or any where names in certificates are what counts. */
function cidrsOf(policy: IngressBackend, item: BackendItem, { addresses }: IngressFacts): readonly string[] {
  const { services, ipRanges, principals } = policy;
  if (services.length === 0 && ipRanges.length === 0) {
    return principals.length > 0 && asksForNames(item) ? ANYWHERE : [];
  }
  const pods = services.flatMap(key => addresses(key)).map(ip => `${ip}/${ip.includes(":") ? 128 : 32}`);
  return [...canonicalCidrs([...pods, ...ipRanges])].sort();
}

function permissionOf({ principals }: IngressBackend, item: BackendItem): Permission {
  return asksForNames(item) && principals.length > 0
    ? { kind: "principals", names: principals }
    : { kind: "anyone" };
}

function tableOf(
  chain: string,
  policy: IngressBackend,
  { item, at, facts }: { readonly item: BackendItem; readonly at: IngressPort; readonly facts: IngressFacts },
): RouteTableLeaf {
  const groups = policy.routeGroups.flatMap(key => facts.group(key) ?? []);
  const origins = [policy.ref, ...groups.map(({ ref }) => ref)];
  const matches =
    policy.routeGroups.length === 0
      ? [ANY_REQUEST]
      : groups.flatMap(group => group.matches.map(({ match }) => match));
  const rule = {
    name: `${policy.ref.namespace}/${policy.ref.name}`,
    matches,
    permission: permissionOf(policy, item),
    backends: [{ cluster: localClusterName(at.port), weight: 1 }],
    origins,
  };
  return {
    kind: "route-table",
    name: ingressRouteTableName(at.port, chain),
    direction: "ingress",
    origins,
    trustDomain: at.trustDomain,
    rules: matches.length === 0 ? [] : [rule],
  };
}

/** What the owner of an IngressBackend should know, besides conflicts. */
export function ingressFindings(
  policy: IngressBackend,
  facts: IngressFacts & {
    /** How a container port of a Service is carried; `absent`: it has none; undefined: the Service is not of the mesh. */
    readonly carried: (service: string, port: number) => "http" | "bytes" | "absent" | undefined;
  },
): readonly Diagnostic[] {
  const tell = (code: string, field: string, message: string, warning = false): Diagnostic => ({
    severity: warning ? "warning" : "error",
    code,
    subject: policy.ref,
    field,
    message,
  });
  const { backends, services, ipRanges, principals, routeGroups } = policy;
  const found: Diagnostic[] = [];
  for (const item of backends) {
    const problem = backendProblem(item, facts.carried(item.service, item.port));
    if (problem !== undefined) found.push(tell(problem.code, "spec.backends", problem.message));
  }
  for (const key of services.filter(service => facts.addresses(service).length === 0)) {
    const message = `Service ${key} has no endpoints, so nobody of it can call`;
    found.push(tell("UnresolvedReference", "spec.sources", message));
  }
  for (const key of routeGroups.filter(group => facts.group(group) === undefined)) {
    const message = `there is no HTTPRouteGroup ${key}; no request is let in for it`;
    found.push(tell("UnresolvedReference", "spec.matches", message));
  }
  const anonymous = backends.filter(item => !asksForNames(item));
  if (principals.length > 0 && anonymous.length > 0) {
    const ports = anonymous.map(({ port }) => port).join(", ");
    const bounded = services.length > 0 || ipRanges.length > 0;
    const end = bounded ? "the other sources alone decide there" : "nobody can call there";
    const message = `callers of port ${ports} present no certificate, so an AuthenticatedPrincipal cannot be known; ${end}`;
    found.push(tell("NoEffect", "spec.sources", message, bounded));
  }
  return found;
}

function backendProblem(
  { service, port }: BackendItem,
  carried: "http" | "bytes" | "absent" | undefined,
): Pick<Diagnostic, "code" | "message"> | undefined {
  switch (carried) {
    case undefined:
      return { code: "UnresolvedReference", message: `Service ${service} is not of the mesh` };
    case "absent":
      return {
        code: "UnresolvedReference",
        message: `no port of Service ${service} leads to container port ${port}`,
      };
    case "bytes":
      return {
        code: "NoEffect",
        message: `container port ${port} of Service ${service} is carried as tcp; ingress is HTTP`,
      };
    case "http":
      return undefined;
  }
}
