import type { InstallSettings } from "../../install/names";
import { decide } from "../../injector/decide";
import type { PodJson } from "../../injector/pod";
import { ANNOTATION_INJECTION } from "../../model/mesh-words";
import type { KubeObject } from "../kube";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { EventWriter } from "../status/events";
import type { Namespaces } from "./namespaces";

interface SkippedPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | undefined;
  /** What the decision reads, and nothing else. */
  readonly pod: PodJson;
}

type PodSpec = NonNullable<PodJson["spec"]>;

/** The part of a spec that makes a sidecar impossible; undefined when nothing does. */
function obstacle({ hostNetwork, os, nodeSelector }: PodSpec): PodSpec | undefined {
  if (hostNetwork === true) return { containers: [], hostNetwork };
  const windows = os?.name === "windows" || nodeSelector?.["kubernetes.io/os"] === "windows";
  return windows ? { containers: [], os: { name: "windows" } } : undefined;
}

/** Keeps pods that cannot have a sidecar; all others are dropped at the door. */
function cannotBeMeshed(object: KubeObject): SkippedPod | undefined {
  const { metadata, spec } = object as KubeObject & { readonly spec?: PodSpec };
  const reduced = spec === undefined ? undefined : obstacle(spec);
  if (reduced === undefined) return undefined;
  const { namespace = "", name, uid, annotations } = metadata;
  const mark = annotations?.[ANNOTATION_INJECTION];
  const kept = mark === undefined ? {} : { annotations: { [ANNOTATION_INJECTION]: mark } };
  return { namespace, name, uid, pod: { metadata: kept, spec: reduced } };
}

/** What {@link reportSkippedPods} works with. */
export interface SkippedPodOptions extends KeeperOptions {
  readonly settings: InstallSettings;
  readonly namespaces: Namespaces;
  readonly events: EventWriter;
}

/**
 * Duty of the watcher: an event on every pod that its namespace wants in the mesh and that cannot be in it (host network,
 * Windows). Admission itself calls no API, and is not asked about such pods at all.
 */
export function reportSkippedPods(options: SkippedPodOptions): { stop(): void } {
  const { settings, namespaces, events } = options;
  const report = ({ namespace, name, uid, pod }: SkippedPod): void => {
    const facts = namespaces.get(namespace);
    if (facts === undefined) return;
    const decision = decide(pod, facts, settings);
    if (decision.kind !== "skip" || decision.event === undefined) return;
    const { reason, message } = decision.event;
    const place = { group: "", apiVersion: "v1", kind: "Pod", namespace, name };
    const regarding = uid === undefined ? place : { ...place, uid };
    events.emit({ regarding, type: "Warning", reason, note: message });
  };
  return startInformer<SkippedPod>({
    ...options,
    source: { kind: "Pod", path: "/api/v1/pods", project: cannotBeMeshed },
    onChange: change => {
      if (change.type === "upsert") report(change.value);
      if (change.type === "reset") change.entries.forEach(report);
    },
  });
}
