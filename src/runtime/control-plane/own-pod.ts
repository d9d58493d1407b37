import { PEPR_NAMESPACE } from "../../model/mesh-words";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";

/**
 * Calls `onLeaving` once when the pod we run in is being deleted. It is how we learn of our end: Pepr's first process has
 * no handler for the kubelet's signal and passes nothing on.
 */
export function watchOwnPod(name: string, options: KeeperOptions, onLeaving: () => void): { stop(): void } {
  let told = false;
  const tell = (leaving: boolean): void => {
    if (!leaving || told) return;
    told = true;
    onLeaving();
  };
  return startInformer<boolean>({
    ...options,
    source: {
      kind: "Pod",
      path: `/api/v1/namespaces/${PEPR_NAMESPACE}/pods`,
      fieldSelector: `metadata.name=${name}`,
      project: pod => pod.metadata.deletionTimestamp !== undefined,
    },
    onChange: change => {
      if (change.type === "upsert") tell(change.value);
      if (change.type === "reset") change.entries.forEach(tell);
    },
  });
}
