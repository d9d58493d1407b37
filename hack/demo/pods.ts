import { SIDECAR_CONTAINER } from "../../src/model/mesh-words";
import { until } from "../cluster/progress";
import type { Kubectl } from "./kubectl";
import { DEMO_LABEL, DEMO_NAME, OUTSIDE } from "./manifests";

/** A pod of the demo, as the API server shows it. */
export interface DemoPod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string; readonly restartPolicy?: string }[];
  };
  readonly status: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Whether a pod is ready and stays. */
export function isReady(pod: DemoPod): boolean {
  const ready = pod.status.conditions?.some(each => each.type === "Ready" && each.status === "True") === true;
  return ready && pod.metadata.deletionTimestamp === undefined && pod.status.podIP !== undefined;
}

/** Whether a pod has a sidecar, of either layout. */
export function hasSidecar(pod: DemoPod): boolean {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return all.some(container => container.name === SIDECAR_CONTAINER);
}

/** Pods that lack the sidecar they should have, or have one they should not. Named as namespace/name. */
export function wronglyInjected(pods: readonly DemoPod[]): string[] {
  return pods
    .filter(pod => hasSidecar(pod) === (pod.metadata.namespace === OUTSIDE))
    .map(pod => `${pod.metadata.namespace}/${pod.metadata.name}`);
}

/** All pods of the demo. */
export async function demoPods(kubectl: Kubectl): Promise<readonly DemoPod[]> {
  const selector = `${DEMO_LABEL}=${DEMO_NAME}`;
  return (await kubectl.json<{ items: DemoPod[] }>(["get", "pods", "-A", "-l", selector])).items;
}

/** Waits until there are this many pods, all of them ready. `note` is told how far they are. */
export function untilReady(
  kubectl: Kubectl,
  count: number,
  note: (line: string) => void,
): Promise<readonly DemoPod[]> {
  return until(
    "readiness of all pods",
    420_000,
    async () => {
      const pods = await demoPods(kubectl);
      const ready = pods.filter(isReady);
      note(`${ready.length} of ${count} pods ready`);
      return ready.length === count && pods.length === count ? pods : undefined;
    },
    1_000,
  );
}

/** A ready pod of a program. Throws when there is none. */
export function podOf(pods: readonly DemoPod[], program: string): DemoPod & { status: { podIP: string } } {
  const found = pods.find(pod => pod.spec.serviceAccountName === program && isReady(pod));
  if (found?.status.podIP === undefined) throw new Error(`no pod of ${program} is ready`);
  return { ...found, status: { ...found.status, podIP: found.status.podIP } };
}
