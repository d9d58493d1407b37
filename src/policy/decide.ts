/**
 * The evaluator: what happens to a connection or request, and which objects decide, computed from the leaves alone.
 * It says what a proxy with these leaves does; it neither asks a proxy nor the cluster.
 */
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import { decideEgress, ingressChainOf } from "./decide-edge";
import { matches } from "./matching";
import type { Answer, NearMiss } from "./permits";
import { ask } from "./permits";
import { requestPath } from "./request-path";
import type {
  Backend,
  Handling,
  HttpRule,
  InboundListenerLeaf,
  InboundPort,
  Leaf,
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
  /** undefined: a caller without a sidecar, whose connection reaches the pod as it is. */
  readonly from: ServiceIdentity | undefined;
  /** Where the application dials; of a caller without sidecar, the address and port of a pod. */
  readonly address: string;
  readonly port: number;
  /** The caller's own address, where ingress is decided by it. */
  readonly source?: string;
  /** The server name of the application's own TLS. */
  readonly serverName?: string;
  /** undefined: a connection of which only bytes matter. */
  readonly http?: HttpRequest;
}

/** The leaves that take part. */
export interface CallWorld {
  /** Of no meaning for a caller without a sidecar. */
  readonly client: readonly Leaf[];
  /** Leaves of the proxy at a pod address; undefined when there is no proxy. */
  readonly server: (address: string) => readonly Leaf[] | undefined;
}

/** How a call ends. Only `delivered` and `passthrough` reach an application. */
export type Outcome =
  | "delivered"
  | "passthrough"
  /** Egress is off and the destination is not of the mesh; or a caller without mutual TLS where none is taken. */
  | "refused"
  /** Nobody is ready (503, connection closed). */
  | "unavailable"
  /** The rule has no destination for it: no backend, all of weight 0, or one that does not exist (500, connection closed). */
  | "no-backend"
  /** The path is written in a way that no proxy judges (400). */
  | "malformed"
  /** No rule matches (404). */
  | "no-rule"
  /** A permission excludes the caller or the request (403, connection closed). */
  | "forbidden"
  /** Who answers is not who the destination may be. */
  | "wrong-server";

/** What can happen to a call when backends are weighted or pods differ. */
export interface Possibility {
  readonly outcome: Outcome;
  /** Share of the backend in all calls, over 0, at most 1. */
  readonly share: number;
  readonly cluster: string;
  /** The first of the backend's pods at which this happens. */
  readonly destination?: { readonly address: string; readonly port: number };
  /** What a caller that is not let through is answered by HTTP; absent: its connection ends. */
  readonly status?: number;
  /** Objects that the deciding part comes from. */
  readonly by: readonly ObjectRef[];
  /** The grant or rule that lets it through, by name. */
  readonly rule?: string;
  /** What came nearest to letting it through, where something could. */
  readonly nearest?: NearMiss;
}

/** What happens to a call. */
export interface Decision extends Omit<Possibility, "share" | "cluster"> {
  readonly allowed: boolean;
  /** What was looked at, in order, one sentence part each. */
  readonly steps: readonly string[];
  /** All that can happen, the most likely first; empty where it is decided before a backend is chosen. */
  readonly possible: readonly Possibility[];
}

type Verdict = Pick<Possibility, "outcome" | "status" | "by" | "destination" | "rule" | "nearest">;
interface Judged extends Verdict {
  readonly steps: readonly string[];
}

/** What a proxy that speaks HTTP answers. */
const STATUS = {
  malformed: 400,
  forbidden: 403,
  "no-rule": 404,
  "no-backend": 500,
  unavailable: 503,
} as const;

/** What a client's proxy makes of an end that the server gave no answer to. */
function atClient<V extends Verdict>(verdict: V, { kind }: Handling): V {
  if (kind === "tcp" || verdict.outcome === "delivered" || verdict.status !== undefined) return verdict;
  return { ...verdict, status: verdict.outcome === "no-backend" ? STATUS["no-backend"] : STATUS.unavailable };
}

/** Decides a call. Of weighted backends the heaviest is followed, of endpoints the first; the others are `possible`. */
export function decide(world: CallWorld, call: Call): Decision {
  const [{ steps, ...verdict }, possible] =
    call.from === undefined ? [decidePlain(world, call), []] : decideClient(world, call);
  const allowed = verdict.outcome === "delivered" || verdict.outcome === "passthrough";
  return { allowed, ...verdict, steps, possible };
}

function find<K extends Leaf["kind"]>(
  leaves: readonly Leaf[],
  kind: K,
  test: (leaf: Extract<Leaf, { kind: K }>) => boolean,
): Extract<Leaf, { kind: K }> | undefined {
  return leaves.find((leaf): leaf is Extract<Leaf, { kind: K }> => leaf.kind === kind && test(leaf as never));
}

function decideClient(world: CallWorld, call: Call): readonly [Judged, readonly Possibility[]] {
  const listener = find(
    world.client,
    "outbound-listener",
    leaf => leaf.port === call.port && leaf.addresses.includes(call.address),
  );
  if (listener === undefined) return [decideUnknown(world.client, call), []];
  const steps = [`listener ${listener.name}`];
  const chosen = choose(world.client, listener, { call, steps });
  if (!("backends" in chosen)) return [{ ...chosen, steps }, []];
  const weighted = chosen.backends
    .filter(backend => backend.weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(backend => ({
      backend,
      judged: decideBackend(world, chosen.call, { backend, by: chosen.by }).map(end =>
        atClient(end, listener.handling),
      ),
    }));
  const all = weighted.reduce((sum, { backend }) => sum + backend.weight, 0);
  const possible = weighted.flatMap(({ backend, judged }) =>
    judged.map(verdict => ({
      ...withoutSteps(verdict),
      cluster: backend.cluster,
      share: backend.weight / all,
    })),
  );
  const nowhere: Judged = { outcome: "no-backend", by: chosen.by, steps: [] };
  const first = weighted[0]?.judged[0] ?? atClient(nowhere, listener.handling);
  return [{ ...first, steps: [...steps, ...first.steps] }, possible];
}

function withoutSteps(judged: Judged): Verdict {
  const verdict: Verdict & { steps?: readonly string[] } = { ...judged };
  delete verdict.steps;
  return verdict;
}

/** A destination that is not of the mesh. */
function decideUnknown(client: readonly Leaf[], call: Call): Judged {
  const catchAll = find(client, "outbound-catch-all", () => true);
  const steps = [`listener ${catchAll?.name ?? "(none)"}`];
  if (catchAll === undefined) return { outcome: "refused", by: [], steps };
  if (catchAll.passthroughCluster === undefined) return { ...decideEgress(client, catchAll, call), steps };
  return { outcome: "passthrough", by: catchAll.origins, steps };
}

interface Chosen {
  /** The call with the path as it is handed on. */
  readonly call: Call;
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
  if (handling.kind === "tcp") return { call, backends: handling.backends, by: frontend.origins };
  const found = ruleOf(leaves, handling, call);
  if (typeof found === "string") return { outcome: found, status: STATUS[found], by: frontend.origins };
  const { rule } = found;
  steps.push(`rule ${handling.routeTable}/${rule.name}`);
  return { call: found.call, backends: rule.backends, by: rule.origins };
}

/** Where a proxy reads HTTP. */
type Reader = Pick<Extract<Handling, { kind: "http" }>, "routeTable" | "escapedSlashes">;

/** The first rule that matches with the call as it is read, or why there is none. Bytes that are no HTTP request match none. */
function ruleOf(
  leaves: readonly Leaf[],
  { routeTable, escapedSlashes }: Reader,
  call: Call,
): { readonly rule: HttpRule; readonly call: Call } | "no-rule" | "malformed" {
  if (call.http === undefined) return "no-rule";
  const path = requestPath(call.http.path, escapedSlashes);
  if (path === undefined) return "malformed";
  const http = { ...call.http, path };
  const routes = find(leaves, "route-table", leaf => leaf.name === routeTable);
  const rule = routes?.rules.find(candidate => candidate.matches.some(match => matches(match, http)));
  return rule === undefined ? "no-rule" : { rule, call: { ...call, http } };
}

/** What happens at each of a backend's pods, each different end once. */
function decideBackend(
  world: CallWorld,
  call: Call,
  { backend, by }: { readonly backend: Backend; readonly by: readonly ObjectRef[] },
): readonly [Judged, ...Judged[]] {
  const steps = [`cluster ${backend.cluster}`];
  if (backend.unresolved === true) return [{ outcome: "no-backend", by, steps }];
  const cluster = find(world.client, "upstream-cluster", leaf => leaf.name === backend.cluster);
  if (cluster === undefined) return [{ outcome: "unavailable", by, steps }];
  const judged = new Map<string, Judged>();
  for (const destination of destinationsOf(world.client, cluster, call)) {
    const here = [...steps, `endpoint ${destination.address}:${destination.port}`];
    const verdict = decideServer(world, cluster, { call, steps: here, ...destination });
    const end = JSON.stringify(verdict);
    if (!judged.has(end)) judged.set(end, { ...verdict, destination, steps: here });
  }
  const [first, ...others] = judged.values();
  return first === undefined ? [{ outcome: "unavailable", by: cluster.origins, steps }] : [first, ...others];
}

interface Destination {
  readonly address: string;
  readonly port: number;
}

function destinationsOf(
  client: readonly Leaf[],
  cluster: UpstreamClusterLeaf,
  { address, port }: Call,
): readonly Destination[] {
  if (cluster.discovery.kind === "original-destination") return [{ address, port }];
  const endpoints = find(client, "endpoint-set", leaf => leaf.name === cluster.name)?.endpoints ?? [];
  return endpoints.map(endpoint => ({ address: endpoint.address, port: endpoint.port }));
}

interface Arrival extends Destination {
  readonly call: Call;
  readonly steps: string[];
}

function decideServer(world: CallWorld, cluster: UpstreamClusterLeaf, arrival: Arrival): Verdict {
  const { steps } = arrival;
  const leaves = world.server(arrival.address) ?? [];
  const listener = find(leaves, "inbound-listener", () => true);
  if (listener === undefined) return { outcome: "unavailable", by: cluster.origins };
  steps.push(`server ${identityKey(listener.identity)}`);
  const expected = cluster.serverIdentities.some(id => identityKey(id) === identityKey(listener.identity));
  if (!expected) return { outcome: "wrong-server", by: cluster.origins };
  const port = listener.ports.find(candidate => candidate.port === arrival.port);
  if (port === undefined) return { outcome: "unavailable", by: listener.origins };
  steps.push(`inbound port ${port.port}`);
  const table = port.handling.kind === "http" ? port.handling.routeTable : undefined;
  return decideInbound(leaves, { listener, port, table }, arrival);
}

/** A caller without a sidecar, at a pod's own address. */
function decidePlain(world: CallWorld, call: Call): Judged {
  const { address, port } = call;
  const leaves = world.server(address);
  if (leaves === undefined) return { outcome: "passthrough", by: [], steps: ["no proxy"] };
  const steps = [`inbound port ${port}`];
  const listener = find(leaves, "inbound-listener", () => true);
  const door = listener && plainDoor(listener, call);
  if (door === undefined) {
    return { outcome: "refused", by: listener?.origins ?? [], steps: [...steps, "takes no plaintext"] };
  }
  const verdict = decideInbound(leaves, door, { call, steps, address, port });
  return { ...verdict, steps, destination: { address, port } };
}

/** Where a caller without mutual TLS comes in: ingress that is for its address, or plaintext of a namespace that migrates. */
function plainDoor(listener: InboundListenerLeaf, call: Call): Door | undefined {
  const port = listener.ports.find(candidate => candidate.port === call.port);
  const ingress = ingressChainOf(port, call);
  if (port === undefined || (ingress ?? port.plaintext) === undefined) return undefined;
  const table = (ingress ?? port.plaintext)?.routeTable;
  return { listener, port: { ...port, permission: { kind: "anyone" } }, table };
}

interface Door {
  readonly listener: InboundListenerLeaf;
  readonly port: InboundPort;
  /** undefined: bytes. */
  readonly table: string | undefined;
}

function decideInbound(leaves: readonly Leaf[], { listener, port, table }: Door, arrival: Arrival): Verdict {
  const { call, steps } = arrival;
  if (table === undefined) {
    return verdictOf(ask(port.permission, { from: call.from }, port.grants), listener.origins, steps);
  }
  const { handling } = port;
  const found = ruleOf(leaves, { ...handling, routeTable: table }, call);
  if (typeof found === "string") return { outcome: found, status: STATUS[found], by: listener.origins };
  const { rule } = found;
  steps.push(`rule ${table}/${rule.name}`);
  const verdict = verdictOf(ask(rule.permission, found.call), rule.origins, steps);
  return verdict.outcome === "forbidden" ? { ...verdict, status: STATUS.forbidden } : verdict;
}

/** The grant decides where there is one, or the one that came nearest; else whatever the rule comes from. */
function verdictOf(answer: Answer, origins: readonly ObjectRef[], steps: string[]): Verdict {
  if (answer.allowed) {
    const { grant } = answer;
    if (grant === undefined) return { outcome: "delivered", by: origins };
    steps.push(`grant ${grant.name}`);
    return { outcome: "delivered", by: grant.origins, rule: grant.name };
  }
  const { nearest } = answer;
  if (nearest === undefined) return { outcome: "forbidden", by: origins };
  steps.push(`nearest ${nearest.grant}: ${nearest.text}`);
  return { outcome: "forbidden", by: nearest.by, nearest };
}
