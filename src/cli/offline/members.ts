/** Pods of a world: those that are there, and those that workloads would have. */
import { asObject, asTextMap, metaOf } from "../../ingest/fields";
import { ingestPod } from "../../ingest/pod";
import { LABEL_PROXY_UUID } from "../../model/mesh-words";
import type { Addresses } from "./addresses";
import { documentKey, type KubeDocument } from "./documents";
import { injected, type MeshOfPods } from "./sidecar";
import { isWorkload, plannedPods, standsFor, workloadKey } from "./workloads";

/** What pods are made of. */
export interface PodSources {
  readonly mesh: MeshOfPods;
  readonly addresses: Addresses;
  readonly documents: readonly KubeDocument[];
  /** Whether something is only written down, so that what a cluster adds to it is made up. */
  readonly isPlan: (document: KubeDocument) => boolean;
}

/** The pods, and what was made up. */
export interface Members {
  readonly pods: readonly KubeDocument[];
  /** Keys of those that are made up, in whole or in part. */
  readonly planned: ReadonlySet<string>;
  /** Why a planned pod has no sidecar, by key. */
  readonly without: ReadonlyMap<string, string>;
  /** Uids of pods that their workload would not have any more. */
  readonly gone: ReadonlySet<string>;
  readonly notes: readonly string[];
}

/** The pods of a world. */
export function membersOf(sources: PodSources): Members {
  const { documents, isPlan } = sources;
  const found = documents.filter(({ kind }) => kind === "Pod");
  const written = found.filter(pod => isPlan(pod) && ingestPod(pod).value.ips.length === 0);
  const running = found.filter(pod => !written.includes(pod));
  const gone = new Set<string>();
  const made = [...written];
  const notes: string[] = [];
  const assumed: string[] = [];
  for (const workload of documents.filter(object => isWorkload(object) && isPlan(object))) {
    const key = documentKey(workload);
    const own = running.filter(pod => workloadKey(pod) === key);
    if (own.length > 0 && standsFor(workload, own)) continue;
    for (const pod of own) gone.add(metaOf(pod).uid);
    const planned = plannedPods(workload);
    made.push(...planned);
    if (own.length === 0 && planned.length > 0)
      assumed.push(planned.length === 1 ? key : `${key} (${planned.length})`);
    else notes.push(planText(key, planned.length));
  }
  const without = new Map<string, string>();
  const ready = made.map(pod => completed(pod, sources, without));
  return {
    pods: [...running.filter(pod => !gone.has(metaOf(pod).uid)), ...ready],
    planned: new Set(ready.map(documentKey)),
    without,
    gone,
    notes: [
      ...(assumed.length === 0
        ? []
        : [`pods are assumed, ready, with invented addresses, of ${assumed.join(", ")}`]),
      ...notes,
    ],
  };
}

function planText(workload: string, planned: number): string {
  if (planned === 0) return `${workload} asks for no pods`;
  const pods = planned === 1 ? "one pod of it as it would be" : `${planned} pods of it as they would be`;
  return `${workload} changes: ${pods}, ready, taken for those that run`;
}

/** A pod as it would be after admission and scheduling. */
function completed(
  pod: KubeDocument,
  { mesh, addresses }: PodSources,
  without: Map<string, string>,
): KubeDocument {
  const key = documentKey(pod);
  const carries = asTextMap(asObject(pod.metadata["labels"]))[LABEL_PROXY_UUID] !== undefined;
  const result = carries ? { pod } : injected(pod, mesh);
  if (result.without !== undefined) without.set(key, result.without);
  const { namespace = "", name } = pod.metadata;
  const ip = addresses.pod(`${namespace}/${name}`);
  const { uid } = metaOf(pod);
  return {
    ...result.pod,
    metadata: { ...result.pod.metadata, uid: uid === "" ? `planned:${namespace}/${name}` : uid },
    status: { ...asObject(pod["status"]), phase: "Running", podIP: ip, podIPs: [{ ip }] },
  };
}

/** ServiceAccounts that pods run as: none could have been created without. */
export function accountsOf(pods: readonly KubeDocument[]): readonly KubeDocument[] {
  return pods.map(pod => {
    const { namespace, serviceAccount } = ingestPod(pod).value.identity;
    return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: serviceAccount, namespace } };
  });
}

/** Whether EndpointSlices were taken out of a cluster with the rest. */
export function hasSlices(documents: readonly KubeDocument[]): boolean {
  return documents.some(({ kind }) => kind === "EndpointSlice");
}
