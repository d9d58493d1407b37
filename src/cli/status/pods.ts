/** What the user may see of pods, beside what the control plane tells: where they run, and what they are made of. */
import { ANNOTATION_INJECTION, LABEL_PROXY_UUID, SIDECAR_CONTAINER } from "../../model/mesh-words";
import type { StatusPage } from "../../runtime/api/pages";
import type { KubeClient, KubeObject } from "../../runtime/kube";

/** A pod as far as the status says something of it. */
export interface PodFacts {
  readonly node: string | undefined;
  /** Image of its sidecar. */
  readonly image: string | undefined;
  /** Its sidecar is ready; undefined: not told. */
  readonly ready: boolean | undefined;
  /** Why it has no sidecar, where that is meant so. */
  readonly outside: string | undefined;
}

/** By `namespace/name`; empty where the user may not list pods. */
export type PodsSeen = ReadonlyMap<string, PodFacts>;

interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
}

interface PodView extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers?: readonly { readonly name: string; readonly image?: string }[];
    readonly initContainers?: readonly { readonly name: string; readonly image?: string }[];
  };
  readonly status?: {
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

const isSidecar = ({ name }: { readonly name: string }): boolean => name === SIDECAR_CONTAINER;

/** Why a pod has no sidecar, where its owner wants it so. */
function outsideOf({ metadata, spec }: PodView): string | undefined {
  if (spec?.hostNetwork === true) return "host network";
  const wish = metadata.annotations?.[ANNOTATION_INJECTION]?.toLowerCase() ?? "";
  return ["disabled", "no", "false"].includes(wish) ? "opted out" : undefined;
}

function sidecarOf({ spec = {}, status = {} }: PodView): Pick<PodFacts, "image" | "ready"> {
  const { initContainers = [], containers = [] } = spec;
  const { initContainerStatuses = [], containerStatuses = [] } = status;
  return {
    image: [...initContainers, ...containers].find(isSidecar)?.image,
    ready: [...initContainerStatuses, ...containerStatuses].find(isSidecar)?.ready,
  };
}

/** The facts of a pod as the API server gives it. */
function podFacts(pod: PodView): PodFacts {
  return { node: pod.spec?.nodeName, ...sidecarOf(pod), outside: outsideOf(pod) };
}

async function listed(kube: Pick<KubeClient, "get">, path: string): Promise<readonly PodView[]> {
  try {
    return (await kube.get<{ readonly items: readonly PodView[] }>(path)).items;
  } catch {
    // Whoever may ask the control plane need not be allowed to list pods; the status then says less.
    return [];
  }
}

/** The pods that the status speaks of, as far as the user may list them. */
export async function seePods(kube: Pick<KubeClient, "get">, page: StatusPage): Promise<PodsSeen> {
  const bare = [...new Set(page.uninjected.map(({ pod }) => pod.split("/")[0] ?? ""))];
  const without = encodeURIComponent(`!${LABEL_PROXY_UUID}`);
  const lists = await Promise.all([
    listed(kube, `/api/v1/pods?labelSelector=${LABEL_PROXY_UUID}`),
    ...bare.map(namespace => listed(kube, `/api/v1/namespaces/${namespace}/pods?labelSelector=${without}`)),
  ]);
  return new Map(
    lists.flat().map(pod => [`${pod.metadata.namespace ?? ""}/${pod.metadata.name}`, podFacts(pod)]),
  );
}
