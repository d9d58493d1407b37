import { structurallyEqual } from "../graph/equality";
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

/** What a Telemetry may speak of; each is decided for itself. */
export const TELEMETRY_PARTS = ["logs", "traces"] as const;

/** One of {@link TELEMETRY_PARTS}: access logs, or the share of traces. */
export type TelemetryPart = (typeof TELEMETRY_PARTS)[number];

/** Keys of the Telemetries that count for a pod, by part; a part that nobody speaks of is absent. */
export type TelemetryKeys = Readonly<Partial<Record<TelemetryPart, string>>>;

/** Whether a Telemetry says anything of a part. */
export function speaksOfPart({ accessLog, samplingPercentage }: Telemetry, part: TelemetryPart): boolean {
  return (part === "logs" ? accessLog : samplingPercentage) !== undefined;
}

/** Whether a Telemetry says anything that pods could follow. */
export function saysSomething(telemetry: Telemetry): boolean {
  return TELEMETRY_PARTS.some(part => speaksOfPart(telemetry, part));
}

/** Whether a Telemetry speaks of a pod. */
export function speaksOfPod(telemetry: Telemetry, pod: MeshPod, osmNamespace: string): boolean {
  const near = nearness(telemetry, osmNamespace);
  if (near === "mesh") return true;
  if (telemetry.ref.namespace !== pod.namespace) return false;
  return Object.entries(telemetry.selector).every(([label, value]) => pod.labels[label] === value);
}

function telemetryOf(
  read: Read,
  { telemetries, meshConfigRef }: Inputs,
  pod: MeshPod,
): TelemetryKeys | undefined {
  const osmNamespace = meshConfigRef.namespace;
  const oldest = oldestFirst(
    [...new Set([pod.namespace, osmNamespace])]
      .flatMap(namespace => read(telemetries.by("namespace", namespace)))
      .flatMap(key => read(telemetries.row(key)) ?? [])
      .filter(row => saysSomething(row) && speaksOfPod(row, pod, osmNamespace)),
  );
  if (oldest.length === 0) return undefined;
  const nearest = (part: TelemetryPart): Telemetry | undefined =>
    (["labels", "namespace", "mesh"] as const)
      .map(near => oldest.find(row => speaksOfPart(row, part) && nearness(row, osmNamespace) === near))
      .find(row => row !== undefined);
  return Object.fromEntries(
    TELEMETRY_PARTS.flatMap(part => {
      const found = nearest(part);
      return found === undefined ? [] : [[part, `${found.ref.namespace}/${found.ref.name}`] as const];
    }),
  );
}

/** Which Telemetries say how a pod's proxy logs and traces, by pod key; undefined: none does. */
export function createTelemetryOf(inputs: Inputs): Family<string, TelemetryKeys | undefined> {
  return inputs.graph.family<string, TelemetryKeys | undefined>({
    label: "telemetryOf",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(inputs.pods.row(key));
      return pod === undefined ? undefined : telemetryOf(read, inputs, pod);
    },
    equals: structurallyEqual,
  });
}
