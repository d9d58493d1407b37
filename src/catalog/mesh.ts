import { sameElements } from "../graph/equality";
import type { Cell, Family } from "../graph/graph";
import type { Inputs } from "./inputs";

/** Who is in the mesh. */
export interface Membership {
  /** Names of the namespaces that belong to the mesh, sorted. */
  readonly namespaces: Cell<readonly string[]>;
  readonly isMeshed: Family<string, boolean>;
  /** Keys of the Services whose pods the mesh may serve (they have a selector), in meshed namespaces, sorted. */
  readonly services: Cell<readonly string[]>;
  /** Keys of the live pods that carry our sidecar, in meshed namespaces, sorted. */
  readonly pods: Cell<readonly string[]>;
}

/** Membership as cells. */
export function createMembership({ graph, namespaces, services, pods }: Inputs): Membership {
  const isMeshed = graph.family<string, boolean>({
    label: "isMeshed",
    keyOf: name => name,
    compute: (read, name) => read(namespaces.row(name))?.meshed === true,
  });
  const meshed = graph.derive(
    "meshedNamespaces",
    read => read(namespaces.keys).filter(name => read(isMeshed(name))),
    sameElements,
  );
  const inMesh = (
    label: string,
    keysIn: (namespace: string) => Cell<readonly string[]>,
  ): Cell<readonly string[]> =>
    graph.derive(label, read => read(meshed).flatMap(name => read(keysIn(name))), sameElements);
  return {
    namespaces: meshed,
    isMeshed,
    services: inMesh("meshedServices", name => services.by("candidate", name)),
    pods: inMesh("meshedPods", name => pods.by("meshedIn", name)),
  };
}
