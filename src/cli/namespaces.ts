import {
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
  PEPR_NAMESPACE,
  SIDECAR_CONTAINER,
} from "../model/mesh-words";
import { neverMeshed } from "../install/names";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { isForbidden, isNotFound } from "../runtime/kube/errors";
import { CommandError } from "./failure";
import { findMeshesIfAllowed, type ListOf } from "./mesh-found";

/** Which mesh is meant, and how its cluster is reached. */
export interface MeshCommand {
  readonly kube: KubeClient;
  readonly meshName: string;
  readonly osmNamespace: string;
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
}

const path = (name: string): string => `/api/v1/namespaces/${name}`;

/** A Namespace. Throws {@link CommandError} when there is none of that name. */
export async function readNamespace(kube: KubeClient, name: string): Promise<KubeObject> {
  try {
    return await kube.get<KubeObject>(path(name));
  } catch (error) {
    if (isNotFound(error)) throw new CommandError(`there is no namespace ${name}`);
    throw error;
  }
}

interface Pod extends KubeObject {
  readonly spec: {
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status?: { readonly phase?: string };
}

/** Whether a pod has our sidecar, in either layout. */
export function hasSidecar({ spec }: Pick<Pod, "spec">): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === SIDECAR_CONTAINER);
}

/** Counts running pods with a sidecar or without; 0 for whoever may not look. */
async function running(kube: KubeClient, namespace: string, sidecar: boolean): Promise<number> {
  try {
    const { items } = await kube.get<ListOf<Pod>>(`${path(namespace)}/pods`);
    const alive = items.filter(({ status }) => status?.phase === "Running" || status?.phase === "Pending");
    return alive.filter(pod => hasSidecar(pod) === sidecar).length;
  } catch (error) {
    if (isForbidden(error)) return 0;
    throw error;
  }
}

async function sayRestart(command: MeshCommand, namespace: string, sidecar: boolean): Promise<void> {
  const count = await running(command.kube, namespace, sidecar);
  if (count === 0) return;
  const what = sidecar ? "still have their sidecar" : "have no sidecar yet";
  command.say(`  ${count} of its pods ${what}: kubectl -n ${namespace} rollout restart deployment`);
}

/** Warns of a mesh that does not run, and refuses one that others run under another name. */
async function checkMesh({ kube, meshName, warn }: MeshCommand): Promise<void> {
  const meshes = await findMeshesIfAllowed(kube);
  if (meshes === undefined || meshes.some(({ name }) => name === meshName)) return;
  if (meshes.length === 0) {
    warn(`no mesh runs in this cluster yet; ${meshName} will take the namespace in when it is installed`);
    return;
  }
  const names = meshes.map(({ name }) => name).join(", ");
  throw new CommandError(
    `mesh ${meshName} does not run in this cluster (${names} does); --mesh-name says which`,
  );
}

function checkAddable({ metadata }: KubeObject, { meshName, osmNamespace }: MeshCommand): void {
  const { name, labels = {} } = metadata;
  if (neverMeshed({ meshName, osmNamespace }).includes(name))
    throw new CommandError(`namespace ${name} cannot be added: it belongs to a control plane`);
  if (LABEL_IGNORE in labels)
    throw new CommandError(`namespace ${name} cannot be added: its label ${LABEL_IGNORE} keeps it out`);
  const other = labels[LABEL_MONITORED_BY];
  if (other !== undefined && other !== meshName)
    throw new CommandError(
      `namespace ${name} cannot be added to mesh ${meshName}: it belongs to mesh ${other}`,
    );
}

/** Puts namespaces into the mesh; either all of them or, when one cannot be, none. */
export async function addNamespaces(
  command: MeshCommand,
  names: readonly string[],
  injection: boolean,
): Promise<void> {
  await checkMesh(command);
  for (const name of names) checkAddable(await readNamespace(command.kube, name), command);
  for (const name of names) {
    const labels = { [LABEL_MONITORED_BY]: command.meshName };
    const annotations = { [ANNOTATION_INJECTION]: injection ? "enabled" : "disabled" };
    await command.kube.mergePatch(path(name), { metadata: { labels, annotations } });
    command.say(`Namespace [${name}] successfully added to mesh [${command.meshName}]`);
    if (injection) await sayRestart(command, name, false);
  }
}

/** Takes a namespace out of the mesh. Throws {@link CommandError} when it is of another one, or of none. */
export async function removeNamespace(command: MeshCommand, name: string): Promise<void> {
  const { metadata } = await readNamespace(command.kube, name);
  const owner = metadata.labels?.[LABEL_MONITORED_BY];
  const marked = metadata.annotations?.[ANNOTATION_INJECTION] !== undefined;
  if (owner === undefined && !marked) throw new CommandError(`namespace ${name} belongs to no mesh`);
  if (owner !== undefined && owner !== command.meshName)
    throw new CommandError(`namespace ${name} belongs to mesh ${owner}, not to ${command.meshName}`);
  await command.kube.mergePatch(path(name), {
    metadata: {
      labels: { [LABEL_MONITORED_BY]: null },
      annotations: { [ANNOTATION_INJECTION]: null, [ANNOTATION_METRICS]: null },
    },
  });
  command.say(`Namespace [${name}] successfully removed from mesh [${command.meshName}]`);
  await sayRestart(command, name, true);
}

/** Keeps namespaces out of the mesh, whatever their other labels say. */
export async function ignoreNamespaces(command: MeshCommand, names: readonly string[]): Promise<void> {
  for (const name of names) await readNamespace(command.kube, name);
  for (const name of names) {
    await command.kube.mergePatch(path(name), { metadata: { labels: { [LABEL_IGNORE]: "true" } } });
    command.say(`Namespace [${name}] successfully ignored`);
    await sayRestart(command, name, true);
  }
}

/** A namespace of a mesh as it is listed. */
export interface ListedNamespace {
  readonly namespace: string;
  readonly mesh: string;
  /** enabled, disabled, or "-" where the namespace does not say. */
  readonly sidecarInjection: string;
  readonly ignored: boolean;
  readonly metrics: boolean;
}

/** Namespaces of a mesh; undefined: of all. Control planes' own are left out. */
export async function listNamespaces(
  kube: KubeClient,
  meshName: string | undefined,
): Promise<readonly ListedNamespace[]> {
  const selector = meshName === undefined ? LABEL_MONITORED_BY : `${LABEL_MONITORED_BY}=${meshName}`;
  const list = await kube.get<ListOf<KubeObject>>(
    `/api/v1/namespaces?labelSelector=${encodeURIComponent(selector)}`,
  );
  return list.items
    .filter(({ metadata }) => metadata.name !== PEPR_NAMESPACE)
    .map(({ metadata: { name, labels = {}, annotations = {} } }) => ({
      namespace: name,
      mesh: labels[LABEL_MONITORED_BY] ?? "",
      sidecarInjection: annotations[ANNOTATION_INJECTION] ?? "-",
      ignored: LABEL_IGNORE in labels,
      metrics: annotations[ANNOTATION_METRICS] === "enabled",
    }));
}

/** Switches OSM's request metrics of namespaces on or off; all must be of a mesh. */
export async function setMetrics(
  command: MeshCommand,
  names: readonly string[],
  enabled: boolean,
): Promise<void> {
  for (const name of names) {
    const { metadata } = await readNamespace(command.kube, name);
    if (metadata.labels?.[LABEL_MONITORED_BY] === undefined)
      throw new CommandError(`namespace ${name} belongs to no mesh: osm namespace add ${name}`);
  }
  for (const name of names) {
    const value = enabled ? "enabled" : null;
    await command.kube.mergePatch(path(name), { metadata: { annotations: { [ANNOTATION_METRICS]: value } } });
    command.say(`Metrics successfully ${enabled ? "enabled" : "disabled"} in namespace [${name}]`);
    const count = await running(command.kube, name, true);
    if (count > 0)
      command.say(
        `  for pods made from now on; for the ${count} it has: kubectl -n ${name} rollout restart deployment`,
      );
  }
}
