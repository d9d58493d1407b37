import { apiKind } from "../../api/kinds";
import type { ObjectName } from "./actions";
import type { RootKeeper } from "./root-keeper";
import type { World } from "./world";

/**
 * Where there is no Pepr nobody calls for a look at an object. This calls for one at every object of the mesh's own kinds that
 * the informers show, those that are there already first, and at every root that their keeper sees.
 */
export function triggerByInformers(
  { informers, onEvent }: Pick<World, "informers" | "onEvent">,
  reporting: { reconcile(object: ObjectName): void },
  roots: { readonly keeper: Pick<RootKeeper, "onView">; readonly namespace: string },
): void {
  const look = (kind: string, key: string): void => {
    if (apiKind(kind) === undefined) return;
    const [namespace = "", name = ""] = key.split("/");
    reporting.reconcile({ kind, namespace, name });
  };
  for (const [kind, informer] of informers.byKind)
    for (const key of informer.values().keys()) look(kind, key);
  onEvent(event => {
    if (event.type !== "reset") look(event.kind, event.key);
    else for (const key of event.items.keys()) look(event.kind, key);
  });
  roots.keeper.onView(({ objects }) => {
    for (const { name } of objects) look("MeshRootCertificate", `${roots.namespace}/${name}`);
  });
}
