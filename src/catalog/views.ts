import type { Family } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { Inputs } from "./inputs";
import type { View } from "./node-groups";

/** One object, so that all who are told the same share it. */
export const MESH: View = { kind: "mesh" };

/** What an identity is told of the mesh. */
export function createViews({ graph }: Inputs): Family<ServiceIdentity, View> {
  return graph.family<ServiceIdentity, View>({
    label: "view",
    keyOf: identityKey,
    compute: () => MESH,
  });
}
