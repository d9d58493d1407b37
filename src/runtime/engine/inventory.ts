import type { NodeGroup } from "../../catalog/node-groups";
import type { ServiceIdentity } from "../../model/identity";
import type { TrafficSplit, TrafficTarget } from "../../model/traffic";
import type { MeshPod, MeshService } from "../../model/workload";
import type { Compiler } from "./compiler";

/** What there is in the world as of the last event, for those who show it; by `namespace/name`. */
export interface Inventory {
  readonly pods: ReadonlyMap<string, MeshPod>;
  readonly services: ReadonlyMap<string, MeshService>;
  readonly splits: ReadonlyMap<string, TrafficSplit>;
  readonly targets: ReadonlyMap<string, TrafficTarget>;
  /** undefined: no proxy of the mesh. */
  group(podKey: string): NodeGroup | undefined;
  /** Who may call by a TrafficTarget. */
  sourcesOf(target: TrafficTarget): readonly ServiceIdentity[];
}

/** The inventory of a compiler. */
export function createInventory({ inputs, catalog }: Compiler): Inventory {
  const { graph, pods, services, trafficSplits, trafficTargets } = inputs;
  return {
    pods: pods.rows,
    services: services.rows,
    splits: trafficSplits.rows,
    targets: trafficTargets.rows,
    group: podKey => graph.peek(catalog.nodeGroups.group(podKey)),
    sourcesOf: ({ sources }) => graph.peek(catalog.access.subjects(sources)).identities,
  };
}
