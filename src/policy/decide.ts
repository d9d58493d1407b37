/**
 * The evaluator: what happens to a connection or request, and which objects decide, computed from the leaves alone.
 * It says what a proxy with these leaves does; it neither asks a proxy nor the cluster.
 */
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import { matches } from "./matching";
import type {
  Backend,
  Handling,
  HttpRule,
  InboundListenerLeaf,
  Leaf,
  Permission,
  UpstreamClusterLeaf,
} from "./types";

/** An HTTP request as the application sends it. Header names in any case. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A call of one workload. */
export interface Call {
  readonly from: ServiceIdentity;
  /** Where the application dials. */
  readonly address: string;
  readonly port: number;
  /** undefined: a connection of which only bytes matter. */
  readonly http?: HttpRequest;
}

/** The leaves that take part. */
export interface CallWorld {
  readonly client: readonly Leaf[];
  /** Leaves of the proxy at a pod address; undefined when there is no proxy. */
  readonly server: (address: string) => readonly Leaf[] | undefined;
}

/** How a call ends. Only `delivered` and `passthrough` reach an application. */
export type Outcome =
  | "delivered"
  | "passthrough"
  /** Egress is off and the destination is not of the mesh. */
  | "refused"
  /** Nobody is ready, or the destination has nothing to send to (503, connection closed). */
  | "unavailable"
  /** No rule matches (404). */
  | "no-rule"
  /** A permission excludes the caller (403, connection closed). */
  | "forbidden"
  /** Who answers is not who the destination may be. */
  | "wrong-server";

/** What happens to a call. */
export interface Decision {
  readonly allowed: boolean;
  readonly outcome: Outcome;
  /** Objects that the deciding part comes from. */
  readonly by: readonly ObjectRef[];
  /** What was looked at, in order, one sentence part each. */
  readonly steps: readonly string[];
  /** The pod that is called, where one was chosen (the first of several). */
  readonly destination?: { readonly address: string; readonly port: number };
}

type Verdict = Omit<Decision, "steps" | "allowed">;

/** Decides a call. Of weighted backends the heaviest is followed, of endpoints the first. */
export function decide(world: CallWorld, call: Call): Decision {
  const steps: string[] = [];
  const verdict = decideClient(world, call, steps);
  const allowed = verdict.outcome === "delivered" || verdict.outcome === "passthrough";
  return { allowed, ...verdict, steps };
}

function find<K extends Leaf["kind"]>(
  leaves: readonly Leaf[],
  kind: K,
  test: (leaf: Extract<Leaf, { kind: K }>) => boolean,
): Extract<Leaf, { kind: K }> | undefined {
  return leaves.find((leaf): leaf is Extract<Leaf, { kind: K }> => leaf.kind === kind && test(leaf as never));
}

function decideClient(world: CallWorld, call: Call, steps: string[]): Verdict {
  const listener = find(
    world.client,
    "outbound-listener",
    leaf => leaf.port === call.port && leaf.addresses.includes(call.address),
  );
  if (listener === undefined) return decideUnknown(world.client, steps);
  steps.push(`listener ${listener.name}`);
  const chosen = choose(world.client, listener, { call, steps });
  if (!("backends" in chosen)) return chosen;
  const backend = heaviest(chosen.backends);
  if (backend === undefined) return { outcome: "unavailable", by: chosen.by };
  steps.push(`cluster ${backend.cluster}`);
  const cluster = find(world.client, "upstream-cluster", leaf => leaf.name === backend.cluster);
  if (cluster === undefined) return { outcome: "unavailable", by: chosen.by };
  const destination = destinationOf(world.client, cluster, call);
  if (destination === undefined) return { outcome: "unavailable", by: cluster.origins };
  steps.push(`endpoint ${destination.address}:${destination.port}`);
  return { ...decideServer(world, cluster, { call, steps, ...destination }), destination };
}

/** A destination that is not of the mesh. */
function decideUnknown(client: readonly Leaf[], steps: string[]): Verdict {
  const catchAll = find(client, "outbound-catch-all", () => true);
  steps.push(`listener ${catchAll?.name ?? "(none)"}`);
  const open = catchAll?.passthroughCluster !== undefined;
  return { outcome: open ? "passthrough" : "refused", by: catchAll?.origins ?? [] };
}

interface Chosen {
  readonly backends: readonly Backend[];
  readonly by: readonly ObjectRef[];
}

/** Backends of a frontend: of the matching rule for HTTP. */
function choose(
  leaves: readonly Leaf[],
  frontend: { readonly handling: Handling; readonly origins: readonly ObjectRef[] },
  { call, steps }: { readonly call: Call; readonly steps: string[] },
): Chosen | Verdict {
  const { handling } = frontend;
  if (handling.kind === "tcp") return { backends: handling.backends, by: frontend.origins };
  const rule = ruleOf(leaves, handling.routeTable, call);
  if (rule === undefined) return { outcome: "no-rule", by: frontend.origins };
  steps.push(`rule ${handling.routeTable}/${rule.name}`);
  return { backends: rule.backends, by: rule.origins };
}

function ruleOf(leaves: readonly Leaf[], table: string, { http }: Call): HttpRule | undefined {
  const routes = find(leaves, "route-table", leaf => leaf.name === table);
  // Bytes that are no HTTP request match no rule.
  return http === undefined
    ? undefined
    : routes?.rules.find(rule => rule.matches.some(match => matches(match, http)));
}

function heaviest(backends: readonly Backend[]): Backend | undefined {
  const [first] = [...backends].sort((a, b) => b.weight - a.weight);
  return first !== undefined && first.weight > 0 ? first : undefined;
}

function destinationOf(
  client: readonly Leaf[],
  cluster: UpstreamClusterLeaf,
  call: Call,
): { readonly address: string; readonly port: number } | undefined {
  if (cluster.discovery.kind === "original-destination") return { address: call.address, port: call.port };
  const [first] = find(client, "endpoint-set", leaf => leaf.name === cluster.name)?.endpoints ?? [];
  return first && { address: first.address, port: first.port };
}

interface Arrival {
  readonly call: Call;
  readonly steps: string[];
  readonly address: string;
  readonly port: number;
}

function decideServer(world: CallWorld, cluster: UpstreamClusterLeaf, arrival: Arrival): Verdict {
  const { steps } = arrival;
  const leaves = world.server(arrival.address) ?? [];
  const listener = find(leaves, "inbound-listener", () => true);
  if (listener === undefined) return { outcome: "unavailable", by: cluster.origins };
  steps.push(`server ${identityKey(listener.identity)}`);
  const expected = cluster.serverIdentities.some(id => identityKey(id) === identityKey(listener.identity));
  if (!expected) return { outcome: "wrong-server", by: cluster.origins };
  return decideInbound(leaves, listener, arrival);
}

function decideInbound(leaves: readonly Leaf[], listener: InboundListenerLeaf, arrival: Arrival): Verdict {
  const { call, steps } = arrival;
  const port = listener.ports.find(candidate => candidate.port === arrival.port);
  if (port === undefined) return { outcome: "unavailable", by: listener.origins };
  steps.push(`inbound port ${port.port}`);
  if (port.handling.kind === "tcp") {
    return { outcome: permits(port.permission, call.from) ? "delivered" : "forbidden", by: listener.origins };
  }
  const rule = ruleOf(leaves, port.handling.routeTable, call);
  if (rule === undefined) return { outcome: "no-rule", by: listener.origins };
  steps.push(`rule ${port.handling.routeTable}/${rule.name}`);
  return { outcome: permits(rule.permission, call.from) ? "delivered" : "forbidden", by: rule.origins };
}

function permits(permission: Permission, from: ServiceIdentity): boolean {
  switch (permission.kind) {
    case "any-mesh-identity":
    case "anyone":
      return true;
    // Without their evaluation nothing is allowed.
    case "grants":
    case "principals":
      return false;
    case "allow":
      return permission.identities.some(identity => identityKey(identity) === identityKey(from));
  }
}
