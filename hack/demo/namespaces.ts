import { until } from "../cluster/progress";
import type { Kubectl } from "./kubectl";
import { asList, DEMO_LABEL, DEMO_NAME, namespaceManifests, NAMESPACES } from "./manifests";

interface NamespaceList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  }[];
}

/** Namespaces that have a name of the demo but not its label: somebody else's. */
export function foreign(list: NamespaceList): string[] {
  return list.items
    .filter(({ metadata }) => NAMESPACES.includes(metadata.name))
    .filter(({ metadata }) => metadata.labels?.[DEMO_LABEL] !== DEMO_NAME)
    .map(({ metadata }) => metadata.name);
}

async function demoNamespaces(kubectl: Kubectl): Promise<string[]> {
  const list = await kubectl.json<NamespaceList>(["get", "namespaces", "-l", `${DEMO_LABEL}=${DEMO_NAME}`]);
  return list.items.map(item => item.metadata.name).filter(name => NAMESPACES.includes(name));
}

/** Deletes the demo's namespaces, recognised by name and label both, and waits until they are gone. */
export async function deleteNamespaces(kubectl: Kubectl): Promise<void> {
  const names = await demoNamespaces(kubectl);
  if (names.length === 0) return;
  await kubectl.must(["delete", "namespace", "--wait=false", ...names]);
  await until("the end of the demo's namespaces", 180_000, async () => {
    return (await demoNamespaces(kubectl)).length === 0 ? true : undefined;
  });
}

/** Throws when a namespace with a name of the demo is somebody else's. To be asked before anything is changed. */
export async function assertOwnNamespaces(kubectl: Kubectl): Promise<void> {
  const taken = foreign(await kubectl.json<NamespaceList>(["get", "namespaces"]));
  if (taken.length === 0) return;
  throw new Error(
    `namespace ${taken.join(", ")} exists and has no label ${DEMO_LABEL}=${DEMO_NAME}: it is not the demo's, so it is ` +
      "left alone and the demo does not start",
  );
}

/** Makes the demo's namespaces anew. Throws when one of that name is somebody else's. */
export async function createNamespaces(kubectl: Kubectl): Promise<void> {
  await assertOwnNamespaces(kubectl);
  await deleteNamespaces(kubectl);
  await kubectl.must(["apply", "-f", "-"], asList(namespaceManifests()));
}
