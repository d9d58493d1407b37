import type { Family } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { Inputs } from "./inputs";
import type { View } from "./node-groups";

/** The two views there are: one object each, so that who sees the same shares it. */
export const EVERYTHING: View = { kind: "everything" };
/** See {@link EVERYTHING}. */
export const NOTHING: View = { kind: "nothing" };

/** What an identity may see. In permissive mode everybody sees every Service of the mesh; without it, nothing yet. */
export function createViews({ graph, meshConfig }: Inputs): Family<ServiceIdentity, View> {
  const permissive = graph.derive(
    "permissive",
    read => read(meshConfig).traffic.enablePermissiveTrafficPolicyMode,
  );
  return graph.family<ServiceIdentity, View>({
    label: "view",
    keyOf: identityKey,
    compute: read => (read(permissive) ? EVERYTHING : NOTHING),
  });
}
