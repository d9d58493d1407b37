/** What the dashboard draws, from topology and traffic; pure. */
import type {
  CallLine,
  Rates,
  ServiceLine,
  TopologyPage,
  TrafficPage,
  WorkloadLine,
} from "../../runtime/api/pages";

/** A thing that is drawn. */
export interface GraphNode {
  /** `namespace/Kind/name` of a workload, `namespace/name` of a Service that shares calls out, or `outside`. */
  readonly id: string;
  readonly kind: "workload" | "service" | "outside";
  readonly name: string;
  readonly namespace: string;
  /** All its pods are reached by mutual TLS alone. */
  readonly mtls: boolean;
  readonly workload?: WorkloadLine;
  readonly service?: ServiceLine;
}

/** How calls along an edge fare. `idle`: allowed, and nobody calls. */
export type EdgeState = "well" | "failing" | "refused" | "idle";

/** Calls of one thing to another. */
export interface GraphEdge extends Rates {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly state: EdgeState;
  /** What is asked about when it is explained: a Service and port; absent: nothing can be. */
  readonly dialled?: { readonly from: string; readonly to: string };
  readonly p50?: number;
  readonly p99?: number;
  /** Share that a TrafficSplit gives, 0 to 1. */
  readonly weight?: number;
  /** Share that was measured. */
  readonly measured?: number;
  /** TrafficTargets that allow it; empty: everybody may, or a split. */
  readonly by: readonly string[];
}

/** The whole picture. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Share of calls from which on an edge counts as failing, or refused. */
const FAILING = 0.02;
const REFUSED = 0.5;

const NOTHING: Rates = { rate: 0, failed: 0, refused: 0 };

function stateOf({ rate, failed, refused }: Rates): EdgeState {
  if (rate <= 0) return "idle";
  if (failed / rate > FAILING) return "failing";
  return refused / rate > REFUSED ? "refused" : "well";
}

function isShared({ splits, workloads }: ServiceLine): boolean {
  return splits.length > 0 || workloads.length > 1;
}

/** Where a call of a Service is drawn to: the Service itself, or the one workload behind it. */
function targetsOf(services: readonly ServiceLine[]): ReadonlyMap<string, string> {
  return new Map(
    services.flatMap(line => {
      const target = isShared(line) ? line.service : line.workloads[0];
      return target === undefined ? [] : [[line.service, target] as const];
    }),
  );
}

function nodesOf({ workloads, services }: TopologyPage): readonly GraphNode[] {
  const split = (id: string): { readonly namespace: string; readonly name: string } => {
    const parts = id.split("/");
    return { namespace: parts[0] ?? "", name: parts.at(-1) ?? "" };
  };
  return [
    ...workloads.map((workload): GraphNode => {
      const mtls = workload.proxies === workload.pods && !workload.plaintext;
      return { id: workload.workload, kind: "workload", ...split(workload.workload), mtls, workload };
    }),
    ...services.filter(isShared).map((service): GraphNode => {
      return { id: service.service, kind: "service", ...split(service.service), mtls: true, service };
    }),
  ];
}

function callEdges(calls: readonly CallLine[], targets: ReadonlyMap<string, string>): readonly GraphEdge[] {
  return calls.flatMap(({ from, service, port, ...call }): readonly GraphEdge[] => {
    const to = targets.get(service);
    if (to === undefined || to === from) return [];
    const dialled = { from, to: `${service}:${port}` };
    return [{ id: `${from}>${service}:${port}`, from, to, state: stateOf(call), by: [], dialled, ...call }];
  });
}

/** From Services that share out to those who answer. */
function shareEdges(
  { services }: TopologyPage,
  { pairs }: Pick<TrafficPage, "pairs">,
  targets: ReadonlyMap<string, string>,
): readonly GraphEdge[] {
  const reached = (to: string): number =>
    pairs.filter(pair => pair.to === to).reduce((sum, { rate }) => sum + rate, 0);
  return services.filter(isShared).flatMap(line => {
    const backends = line.splits[0]?.backends ?? [];
    const sum = backends.reduce((all, { weight }) => all + weight, 0);
    const ends =
      line.splits.length > 0
        ? backends.map(({ service, weight }) => ({
            to: targets.get(service),
            weight: sum === 0 ? 0 : weight / sum,
          }))
        : line.workloads.map(to => ({ to, weight: undefined }));
    const all = ends.reduce((total, { to }) => total + reached(to ?? ""), 0);
    return ends.flatMap(({ to, weight }): readonly GraphEdge[] => {
      if (to === undefined || to === line.service) return [];
      const rate = reached(to);
      const state = rate > 0 ? "well" : "idle";
      const measured = all > 0 ? { measured: rate / all } : {};
      const id = `${line.service}=${to}`;
      const given = weight === undefined ? {} : { weight };
      return [{ id, from: line.service, to, ...NOTHING, rate, state, by: [], ...given, ...measured }];
    });
  });
}

/** Who may call and does not. */
function allowedEdges(
  { workloads, services }: TopologyPage,
  drawn: readonly GraphEdge[],
): readonly GraphEdge[] {
  const reachable = (from: string, to: string): boolean =>
    drawn.some(
      edge => edge.from === from && (edge.to === to || drawn.some(on => on.from === edge.to && on.to === to)),
    );
  return workloads.flatMap(({ workload: to, allows }) =>
    allows.flatMap(({ by, sources }) =>
      workloads
        .filter(
          ({ identities, workload }) => workload !== to && identities.some(one => sources.includes(one)),
        )
        .filter(({ workload: from }) => !reachable(from, to))
        .map(({ workload: from }): GraphEdge => {
          const service = services.find(line => line.workloads.includes(to) && line.ports[0] !== undefined);
          const dialled = service && { from, to: `${service.service}:${service.ports[0] ?? 0}` };
          const asked = dialled === undefined ? {} : { dialled };
          return { id: `${from}~${to}`, from, to, ...NOTHING, state: "idle", by: [by], ...asked };
        }),
    ),
  );
}

/** From outside of the mesh. */
function outsideEdges({ pairs }: TrafficPage): readonly GraphEdge[] {
  return pairs
    .filter(({ from, to, rate }) => from === "unknown" && to !== "unknown" && rate > 0)
    .map(({ to, ...rates }) => ({
      id: `outside>${to}`,
      to,
      ...rates,
      from: "outside",
      state: stateOf(rates),
      by: [],
    }));
}

/** The picture of a mesh. Two edges of the same ends that differ in port stay two. */
export function graphOf(topology: TopologyPage, traffic: TrafficPage): Graph {
  const targets = targetsOf(topology.services);
  const calls = callEdges(traffic.calls, targets);
  const shares = shareEdges(topology, traffic, targets);
  const outside = outsideEdges(traffic);
  const drawn = [...calls, ...shares];
  const nodes = nodesOf(topology);
  const known = new Set([...nodes.map(({ id }) => id), "outside"]);
  const edges = [...drawn, ...allowedEdges(topology, drawn), ...outside].filter(
    ({ from, to }) => known.has(from) && known.has(to),
  );
  const door: readonly GraphNode[] =
    outside.length === 0
      ? []
      : [{ id: "outside", kind: "outside", name: "outside", namespace: "", mtls: false }];
  return { nodes: [...door, ...nodes], edges: [...new Map(edges.map(edge => [edge.id, edge])).values()] };
}
