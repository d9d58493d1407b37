import type { Family, Read } from "../graph/graph";
import { oldestFirst } from "../model/age";
import type { Telemetry } from "../model/traffic";
import type { MeshPod } from "../model/workload";
import type { Inputs } from "./inputs";

/** How near a Telemetry is to the pods that it speaks of. */
export type Nearness = "labels" | "namespace" | "mesh";

/** How near a Telemetry is; a selector never reaches beyond its own namespace, wherever that is. */
export function nearness({ selector, ref }: Telemetry, osmNamespace: string): Nearness {
  if (Object.keys(selector).length > 0) return "labels";
  return ref.namespace === osmNamespace ? "mesh" : "namespace";
}

/** Whether a Telemetry says anything that pods could follow. */
export function saysSomething({ accessLog, samplingPercentage }: Telemetry): boolean {
  return accessLog !== undefined || samplingPercentage !== undefined;
}

/** Whether a Telemetry speaks of a pod. */
export function speaksOfPod(telemetry: Telemetry, pod: MeshPod, osmNamespace: string): boolean {
  const near = nearness(telemetry, osmNamespace);
  if (near === "mesh") return true;
  if (telemetry.ref.namespace !== pod.namespace) return false;
  return Object.entries(telemetry.selector).every(([label, value]) => pod.labels[label] === value);
}

function telemetryOf(read: Read, { telemetries, meshConfigRef }: Inputs, pod: MeshPod): string | undefined {
  const osmNamespace = meshConfigRef.namespace;
  const rows = [...new Set([pod.namespace, osmNamespace])]
    .flatMap(namespace => read(telemetries.by("namespace", namespace)))
    .flatMap(key => read(telemetries.row(key)) ?? [])
    .filter(row => saysSomething(row) && speaksOfPod(row, pod, osmNamespace));
  const oldest = oldestFirst(rows);
  const nearest = (["labels", "namespace", "mesh"] as const)
    .map(near => oldest.find(row => nearness(row, osmNamespace) === near))
    .find(row => row !== undefined);
  return nearest === undefined ? undefined : `${nearest.ref.namespace}/${nearest.ref.name}`;
}

/** Key of the Telemetry that says how a pod's proxy logs and traces, by pod key; undefined: none does. */
export function createTelemetryOf(inputs: Inputs): Family<string, string | undefined> {
  return inputs.graph.family<string, string | undefined>({
    label: "telemetryOf",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(inputs.pods.row(key));
      return pod === undefined ? undefined : telemetryOf(read, inputs, pod);
    },
  });
}
