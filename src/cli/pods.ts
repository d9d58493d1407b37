import type { KubeClient, KubeObject } from "../runtime/kube";
import { isNotFound } from "../runtime/kube/errors";
import { CommandError } from "./failure";
import type { ListOf } from "./mesh-found";

/** A pod as commands read it. */
export interface PodView extends KubeObject {
  readonly spec: {
    readonly containers: readonly { readonly name: string; readonly image?: string }[];
    readonly initContainers?: readonly { readonly name: string; readonly image?: string }[];
    readonly serviceAccountName?: string;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Pods of a namespace; all namespaces for undefined. */
export async function podsOf(
  kube: KubeClient,
  namespace: string | undefined,
  selector?: string,
): Promise<readonly PodView[]> {
  const place = namespace === undefined ? "" : `/namespaces/${namespace}`;
  const query = selector === undefined ? "" : `?labelSelector=${encodeURIComponent(selector)}`;
  return (await kube.get<ListOf<PodView>>(`/api/v1${place}/pods${query}`)).items;
}

/** `NAMESPACE/NAME` or a name in the namespace given. Throws {@link CommandError} naming the option. */
export function placeOf(
  text: string,
  otherwise: string,
  option: string,
): { readonly namespace: string; readonly name: string } {
  const parts = text.split("/");
  const [first = "", second] = parts;
  if (parts.length > 2 || first === "" || second === "")
    throw new CommandError(`--${option}: ${text} is not NAMESPACE/NAME`, 2);
  return second === undefined ? { namespace: otherwise, name: first } : { namespace: first, name: second };
}

/** A pod. Throws {@link CommandError} when there is none of that name. */
export async function readPod(kube: KubeClient, namespace: string, name: string): Promise<PodView> {
  try {
    return await kube.get<PodView>(`/api/v1/namespaces/${namespace}/pods/${name}`);
  } catch (error) {
    if (isNotFound(error)) throw new CommandError(`there is no pod ${namespace}/${name}`);
    throw error;
  }
}

/** Whether a pod is ready. */
export function isReady({ status }: PodView): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
}
