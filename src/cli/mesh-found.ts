import { DEFAULT_MESH_NAME, DEFAULT_OSM_NAMESPACE } from "../model/mesh-words";
import { MODULE } from "../install/names";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { isForbidden } from "../runtime/kube/errors";

/** Objects as the API lists them. */
export interface ListOf<T> {
  readonly items: readonly T[];
}

/** A mesh that runs in the cluster. */
export interface FoundMesh {
  readonly name: string;
  /** Namespace of its MeshConfig. */
  readonly namespace: string;
  /** Namespace of its control plane's pods. */
  readonly controlNamespace: string;
  /** This product, or Open Service Mesh itself. */
  readonly product: "osm-pepr" | "osm";
  /** Version as its pods tell, or as its image's tag says; "unknown" when neither does. */
  readonly version: string;
  /** Control-plane pods that are ready, of those wanted. */
  readonly ready: number;
  readonly wanted: number;
}

interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly image?: string;
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
  readonly status?: { readonly readyReplicas?: number };
}

interface Pod extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Port of health and version of every control-plane pod. */
export const HEALTH = 9091;

/** Path of a page of a pod, asked for through the API server; needs `get` of `pods/proxy`. */
export function podPagePath(namespace: string, pod: string, page: string): string {
  return `/api/v1/namespaces/${namespace}/pods/${pod}:${HEALTH}/proxy${page}`;
}

async function versionTold(kube: KubeClient, namespace: string): Promise<string | undefined> {
  try {
    const selector = encodeURIComponent(`app=${MODULE}`);
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`;
    const { items } = await kube.get<ListOf<Pod>>(path);
    const ready = items.find(({ status }) =>
      status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"),
    );
    if (ready === undefined) return undefined;
    const page = podPagePath(namespace, ready.metadata.name, "/version");
    return (await kube.get<{ version?: string }>(page)).version;
  } catch {
    // Not everybody may ask the pods; the list is of use without it.
    return undefined;
  }
}

function variable(deployment: Deployment, name: string): string | undefined {
  const containers = deployment.spec.template.spec.containers;
  const found = containers.flatMap(({ env = [] }) => env).find(entry => entry.name === name);
  return found?.value === "" ? undefined : found?.value;
}

const counts = (deployment: Deployment): { ready: number; wanted: number } => ({
  ready: deployment.status?.readyReplicas ?? 0,
  wanted: deployment.spec.replicas ?? 1,
});

async function ours(kube: KubeClient, deployment: Deployment): Promise<FoundMesh> {
  const controlNamespace = deployment.metadata.namespace ?? "";
  return {
    name: variable(deployment, "OSM_MESH_NAME") ?? DEFAULT_MESH_NAME,
    namespace: variable(deployment, "OSM_NAMESPACE") ?? DEFAULT_OSM_NAMESPACE,
    controlNamespace,
    product: "osm-pepr",
    version: (await versionTold(kube, controlNamespace)) ?? "unknown",
    ...counts(deployment),
  };
}

function theirs(deployment: Deployment): FoundMesh {
  const { namespace = "", labels = {} } = deployment.metadata;
  const [, tag = "unknown"] =
    /:([^:/@]+)(@.*)?$/.exec(deployment.spec.template.spec.containers[0]?.image ?? "") ?? [];
  return {
    name: labels["meshName"] ?? DEFAULT_MESH_NAME,
    namespace,
    controlNamespace: namespace,
    product: "osm",
    version: tag,
    ...counts(deployment),
  };
}

function deployments(kube: KubeClient, app: string): Promise<ListOf<Deployment>> {
  const selector = encodeURIComponent(`app=${app}`);
  return kube.get(`/apis/apps/v1/deployments?labelSelector=${selector}`);
}

/** All meshes of the cluster, Open Service Mesh's own among them. Needs `list` of deployments. */
export async function findMeshes(kube: KubeClient): Promise<readonly FoundMesh[]> {
  const [mine, old] = await Promise.all([deployments(kube, MODULE), deployments(kube, "osm-controller")]);
  const found = await Promise.all(
    mine.items.filter(({ metadata }) => metadata.name === MODULE).map(one => ours(kube, one)),
  );
  return [...found, ...old.items.map(theirs)];
}

/** Like {@link findMeshes}; undefined for whoever may not look. */
export async function findMeshesIfAllowed(kube: KubeClient): Promise<readonly FoundMesh[] | undefined> {
  try {
    return await findMeshes(kube);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
