import {
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
} from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { neverMeshed } from "./names";

/** A namespace with its labels and annotations that mean something to the mesh; all others are dropped. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** It is being deleted: nothing can be created in it. */
  readonly terminating: boolean;
}

const LABELS = [LABEL_MONITORED_BY, LABEL_IGNORE];
const ANNOTATIONS = [ANNOTATION_INJECTION, ANNOTATION_METRICS];

function pick(
  from: Readonly<Record<string, unknown>> | undefined,
  keys: readonly string[],
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const key of keys) {
    const value = from?.[key];
    if (typeof value === "string") found[key] = value;
  }
  return found;
}

/** What the mesh reads of a Namespace object. */
export function namespaceFacts(object: {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, unknown>>;
    readonly annotations?: Readonly<Record<string, unknown>>;
    readonly deletionTimestamp?: string;
  };
}): NamespaceFacts {
  const { name, labels, annotations, deletionTimestamp } = object.metadata;
  return {
    name,
    labels: pick(labels, LABELS),
    annotations: pick(annotations, ANNOTATIONS),
    terminating: deletionTimestamp !== undefined,
  };
}

/** What becomes of the label that puts a namespace into the mesh. */
export type Mirroring = "add" | "withdraw" | "keep";

const OFF: readonly string[] = ["disabled", "no", "false"];

/**
 * The annotation alone is a way into the mesh, so it is mirrored to the label that selectors can see; when it is gone,
 * so is the label, unless somebody else set it as well. "disabled" keeps a namespace in the mesh (its pods may still have
 * sidecars that need configuration), it only stops injection. A label of another mesh is left alone.
 */
export function mirroring(facts: NamespaceFacts, settings: InstallSettings): Mirroring {
  if (neverMeshed(settings).includes(facts.name) || facts.terminating) return "keep";
  const mark = facts.annotations[ANNOTATION_INJECTION]?.toLowerCase();
  const mesh = facts.labels[LABEL_MONITORED_BY];
  if (mark === undefined) return mesh === settings.meshName ? "withdraw" : "keep";
  return mesh === undefined && !OFF.includes(mark) ? "add" : "keep";
}

/** Whether pods of the namespace can be in the mesh, so that they need the root of the control plane. */
export function isMeshNamespace(facts: NamespaceFacts, settings: InstallSettings): boolean {
  return (
    facts.labels[LABEL_MONITORED_BY] === settings.meshName &&
    !(LABEL_IGNORE in facts.labels) &&
    !neverMeshed(settings).includes(facts.name)
  );
}
