/** Pods of workloads that are only written down: what a controller would create. */
import { asArray, asObject, asText, asTextMap, metaOf, type Json } from "../../ingest/fields";
import { ingestPod } from "../../ingest/pod";
import type { KubeDocument } from "./documents";

/** More replicas than these differ in nothing that is asked here. */
const MOST_REPLICAS = 5;

/** Where a workload's pod template stands; undefined: it is no workload. */
function templateOf({ kind, ...object }: KubeDocument): Json | undefined {
  const spec = asObject(object["spec"]);
  switch (kind) {
    case "Deployment":
    case "StatefulSet":
    case "DaemonSet":
    case "ReplicaSet":
    case "ReplicationController":
    case "Job":
      return asObject(spec["template"]);
    case "CronJob":
      return asObject(asObject(asObject(spec["jobTemplate"])["spec"])["template"]);
    default:
      return undefined;
  }
}

/** Whether an object makes pods. */
export function isWorkload(object: KubeDocument): boolean {
  return templateOf(object) !== undefined;
}

function replicasOf(object: KubeDocument): number {
  const written = asObject(object["spec"])["replicas"];
  const replicas = typeof written === "number" && Number.isInteger(written) ? written : 1;
  return Math.max(0, Math.min(replicas, MOST_REPLICAS));
}

/** The pods that a workload asks for, without addresses: at most five, however many it wants. */
export function plannedPods(workload: KubeDocument): readonly KubeDocument[] {
  const template = templateOf(workload);
  if (template === undefined) return [];
  const { kind, metadata } = workload;
  const first = kind === "StatefulSet" ? 0 : 1;
  const own = asObject(template["metadata"]);
  return Array.from({ length: replicasOf(workload) }, (_, index): KubeDocument => {
    const name = `${metadata.name}-${first + index}`;
    const { namespace } = metadata;
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...own,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        uid: `planned:${namespace ?? ""}/${name}`,
        ownerReferences: [{ kind, name: metadata.name, controller: true }],
      },
      spec: asObject(template["spec"]),
    };
  });
}

/** `Kind/namespace/name` of what runs a pod: its Deployment rather than the ReplicaSet. */
export function workloadKey(pod: KubeDocument): string {
  const { workload, namespace } = ingestPod(pod).value;
  return `${workload.kind}/${namespace}/${workload.name}`;
}

/** Whether pods that are there are what their workload asks for, as far as the mesh can tell. */
export function standsFor(workload: KubeDocument, pods: readonly KubeDocument[]): boolean {
  const planned = plannedPods(workload);
  const [like] = planned;
  if (like === undefined) return pods.length === 0;
  const wanted = metaOf(like);
  const account = accountOf(like);
  const fits = (pod: KubeDocument): boolean => {
    const { labels, annotations } = metaOf(pod);
    return (
      includes(labels, wanted.labels) &&
      includes(annotations, wanted.annotations) &&
      accountOf(pod) === account &&
      portsOf(pod) === portsOf(like)
    );
  };
  const replicas = asObject(workload["spec"])["replicas"];
  const enough = typeof replicas !== "number" || replicas === pods.length;
  return enough && pods.length > 0 && pods.every(fits);
}

function includes(has: Readonly<Record<string, string>>, wants: Readonly<Record<string, string>>): boolean {
  return Object.entries(wants).every(([name, value]) => has[name] === value);
}

function accountOf(pod: KubeDocument): string {
  return asText(asObject(pod["spec"])["serviceAccountName"]) ?? "default";
}

function portsOf(pod: KubeDocument): string {
  const containers = asArray(asObject(pod["spec"])["containers"]).map(asObject);
  const own = containers.filter(({ name }) => name !== "envoy");
  return JSON.stringify(own.flatMap(({ ports }) => asArray(ports).map(port => asTextMap(port))));
}
