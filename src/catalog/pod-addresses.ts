import { sameElements } from "../graph/equality";
import type { Cell, Family } from "../graph/graph";
import type { Inputs } from "./inputs";
import { selectorKey } from "./inputs";
import type { Membership } from "./mesh";
import type { NodeGroups } from "./node-groups";

/** Which pods are called by their own addresses. */
export interface PodAddresses {
  /** Whether a headless Service picks a pod, by its key: its clients have no other address to call. */
  readonly isPicked: Family<string, boolean>;
  /** Keys of all such pods of the mesh, sorted. */
  readonly picked: Cell<readonly string[]>;
}

/** Who is picked, as cells; found from the headless Services, so that what happens to all other pods does not matter. */
export function createPodAddresses(
  { graph, services, pods }: Inputs,
  membership: Membership,
  nodeGroups: NodeGroups,
): PodAddresses {
  const isHeadless = graph.family<string, boolean>({
    label: "headless",
    keyOf: key => key,
    compute: (read, key) => read(services.row(key))?.kind === "headless",
  });
  const isPicked = graph.family<string, boolean>({
    label: "pickedPod",
    keyOf: key => key,
    compute: (read, key) =>
      read(nodeGroups.served(key)).some(({ frontends }) =>
        frontends.some(({ service }) => read(isHeadless(service))),
      ),
  });
  const picked = graph.derive(
    "pickedPods",
    read => {
      const headless = read(membership.services).filter(key => read(isHeadless(key)));
      const labels = headless.flatMap(key => {
        const service = read(services.row(key));
        return service === undefined ? [] : selectorKey(service);
      });
      const candidates = [...new Set(labels)].flatMap(label => read(pods.by("label", label)));
      return [...new Set(candidates)].filter(key => read(isPicked(key))).sort();
    },
    sameElements,
  );
  return { isPicked, picked };
}
