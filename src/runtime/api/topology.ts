import { identityKey } from "../../model/identity";
import type { MeshPod } from "../../model/workload";
import type { Engine } from "../engine";
import type { ServiceLine, TopologyPage, WorkloadLine } from "./pages";

/** The name of what runs a pod, by which all pages know it. */
export function workloadOf({ namespace, workload }: Pick<MeshPod, "namespace" | "workload">): string {
  return `${namespace}/${workload.kind}/${workload.name}`;
}

/** Pods of the mesh's namespaces that are not over, by key. */
export function livePods(engine: Engine): readonly (readonly [string, MeshPod])[] {
  const meshed = engine.namespaces();
  return [...engine.inventory.pods].filter(
    ([, { terminated, namespace }]) => !terminated && meshed.get(namespace)?.meshed === true,
  );
}

/** Who is in the mesh, who may call whom, and which Services lead where. */
export function topologyPage(engine: Engine, now: number): TopologyPage {
  const byWorkload = new Map<string, (readonly [string, MeshPod])[]>();
  for (const entry of livePods(engine)) {
    const workload = workloadOf(entry[1]);
    byWorkload.set(workload, [...(byWorkload.get(workload) ?? []), entry]);
  }
  const behind = new Map<string, Set<string>>();
  const workloads = [...byWorkload].map(([workload, pods]) => {
    const [first] = pods.filter(([, { meshed }]) => meshed);
    const group = first && engine.inventory.group(first[0]);
    for (const { frontends } of group?.served ?? [])
      for (const { service } of frontends)
        behind.set(service, (behind.get(service) ?? new Set()).add(workload));
    return workloadLine(engine, { workload, pods, group });
  });
  return { at: now, workloads, services: serviceLines(engine, behind) };
}

interface Running {
  readonly workload: string;
  readonly pods: readonly (readonly [string, MeshPod])[];
  readonly group: ReturnType<Engine["inventory"]["group"]>;
}

function workloadLine({ inventory }: Engine, { workload, pods, group }: Running): WorkloadLine {
  const targets = group?.permissive === false ? group.targets : [];
  return {
    workload,
    pods: pods.length,
    proxies: pods.filter(([, { meshed }]) => meshed).length,
    identities: [...new Set(pods.map(([, { identity }]) => identityKey(identity)))],
    ...(pods.some(([, { external }]) => external !== undefined) ? { external: true as const } : {}),
    open: group?.permissive ?? true,
    plaintext: group?.plaintext ?? true,
    allows: targets.flatMap(by => {
      const target = inventory.targets.get(by);
      return target === undefined ? [] : [{ by, sources: inventory.sourcesOf(target).map(identityKey) }];
    }),
  };
}

function serviceLines(
  { inventory }: Engine,
  behind: ReadonlyMap<string, ReadonlySet<string>>,
): readonly ServiceLine[] {
  const splits = [...inventory.splits].sort(([, a], [, b]) => a.createdAt - b.createdAt);
  const named = new Set([
    ...behind.keys(),
    ...splits.flatMap(([, { root, backends }]) => [root, ...backends.map(({ service }) => service)]),
  ]);
  return [...named].sort().map(service => ({
    service,
    ports: inventory.services.get(service)?.ports.map(({ port }) => port) ?? [],
    workloads: [...(behind.get(service) ?? [])],
    splits: splits
      .filter(([, { root }]) => root === service)
      .map(([by, { matches, backends }]) => ({ by, matches, backends })),
  }));
}
