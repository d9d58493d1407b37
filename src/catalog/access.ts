import { sameElements, structurallyEqual } from "../graph/equality";
import type { Family, Read } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { SubjectSelector } from "../model/traffic";
import type { MeshPod } from "../model/workload";
import type { Inputs } from "./inputs";

/** Whom a selector means. */
export interface Subjects {
  /** Sorted. */
  readonly identities: readonly ServiceIdentity[];
  /**
   * Some identity is also that of pods that the labels do not select. A caller proves its service account and not its
   * labels, so those pods are meant as well.
   */
  readonly wider: boolean;
  /** Keys of IdentityBindings that are not there. */
  readonly missing: readonly string[];
}

/** Who is spoken of by policies, and how open a namespace is. */
export interface Access {
  /** Keys of the TrafficTargets whose destination a pod is, sorted; by pod key. */
  readonly targets: Family<string, readonly string[]>;
  /** Whom a list of selectors means as callers. */
  readonly subjects: Family<readonly SubjectSelector[], Subjects>;
  /** Keys of the live pods with our sidecar that a selector means, sorted. */
  readonly pods: Family<SubjectSelector, readonly string[]>;
  /** Every identity of the mesh may call the pods of a namespace: its annotation, else MeshConfig. */
  readonly permissive: Family<string, boolean>;
  /** Pods of a namespace take plaintext as well. */
  readonly plaintext: Family<string, boolean>;
}

function hasLabels(pod: MeshPod, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([label, value]) => pod.labels[label] === value);
}

/** Whether a pod is what a selector means. An IdentityBinding that is not there means nobody. */
function selects(read: Read, inputs: Inputs, selector: SubjectSelector, pod: MeshPod): boolean {
  switch (selector.kind) {
    case "identity":
      return identityKey(selector.identity) === identityKey(pod.identity);
    case "pods":
      return selector.namespace === pod.namespace && hasLabels(pod, selector.labels);
    case "binding": {
      const binding = read(inputs.identityBindings.row(selector.binding));
      return binding?.subjects.some(subject => selects(read, inputs, subject, pod)) === true;
    }
  }
}

function targetsOf(read: Read, inputs: Inputs, pod: MeshPod): readonly string[] {
  const { trafficTargets } = inputs;
  const candidates = [
    ...read(trafficTargets.by("destination", identityKey(pod.identity))),
    ...read(trafficTargets.by("selected", pod.namespace)),
  ];
  return [...new Set(candidates)].sort().filter(key => {
    const target = read(trafficTargets.row(key));
    return target !== undefined && selects(read, inputs, target.destination, pod);
  });
}

function podsOf(read: Read, inputs: Inputs, selector: SubjectSelector): readonly string[] {
  const { pods, identityBindings } = inputs;
  switch (selector.kind) {
    case "identity":
      return read(pods.by("account", identityKey(selector.identity)));
    case "pods":
      return read(pods.by("meshedIn", selector.namespace)).filter(key => {
        const pod = read(pods.row(key));
        return pod !== undefined && hasLabels(pod, selector.labels);
      });
    case "binding": {
      const subjects = read(identityBindings.row(selector.binding))?.subjects ?? [];
      return [...new Set(subjects.flatMap(subject => podsOf(read, inputs, subject)))].sort();
    }
  }
}

/** Identities by {@link identityKey}, and what there is to say about them. */
interface Gathered {
  readonly identities: Map<string, ServiceIdentity>;
  wider: boolean;
  readonly missing: string[];
}

function gather(read: Read, inputs: Inputs, selector: SubjectSelector, into: Gathered): void {
  switch (selector.kind) {
    case "identity":
      into.identities.set(identityKey(selector.identity), selector.identity);
      return;
    case "binding": {
      const binding = read(inputs.identityBindings.row(selector.binding));
      if (binding === undefined) into.missing.push(selector.binding);
      for (const subject of binding?.subjects ?? []) gather(read, inputs, subject, into);
      return;
    }
    case "pods":
      gatherPods(read, inputs, podsOf(read, inputs, selector), into);
  }
}

function gatherPods(read: Read, inputs: Inputs, keys: readonly string[], into: Gathered): void {
  for (const { identity } of keys.flatMap(key => read(inputs.pods.row(key)) ?? [])) {
    const account = identityKey(identity);
    if (into.identities.has(account)) continue;
    into.identities.set(account, identity);
    into.wider ||= read(inputs.pods.by("account", account)).some(key => !keys.includes(key));
  }
}

function subjectsOf(read: Read, inputs: Inputs, selectors: readonly SubjectSelector[]): Subjects {
  const found: Gathered = { identities: new Map(), wider: false, missing: [] };
  // Identities that are named come first, so that nobody is told that labels are wider than what is said anyway.
  const named = selectors.filter(selector => selector.kind === "identity");
  const others = selectors.filter(selector => selector.kind !== "identity");
  for (const selector of [...named, ...others]) gather(read, inputs, selector, found);
  const { identities, wider, missing } = found;
  return {
    identities: [...identities.keys()].sort().flatMap(key => identities.get(key) ?? []),
    wider,
    missing,
  };
}

/** Access as cells. */
export function createAccess(inputs: Inputs): Access {
  const { graph, pods, namespaces, meshConfig } = inputs;
  const byDefault = graph.derive(
    "permissive",
    read => read(meshConfig).traffic.enablePermissiveTrafficPolicyMode,
  );
  const byKey = (key: string): string => key;
  return {
    targets: graph.family<string, readonly string[]>({
      label: "targets",
      keyOf: byKey,
      compute: (read, key) => {
        const pod = read(pods.row(key));
        return pod?.meshed === true ? targetsOf(read, inputs, pod) : [];
      },
      equals: sameElements,
    }),
    subjects: graph.family({
      label: "subjects",
      keyOf: selectors => JSON.stringify(selectors),
      compute: (read, selectors: readonly SubjectSelector[]) => subjectsOf(read, inputs, selectors),
      equals: structurallyEqual,
    }),
    pods: graph.family({
      label: "selectedPods",
      keyOf: selector => JSON.stringify(selector),
      compute: (read, selector: SubjectSelector) => podsOf(read, inputs, selector),
      equals: sameElements,
    }),
    permissive: graph.family({
      label: "permissiveIn",
      keyOf: byKey,
      compute: (read, namespace) => read(namespaces.row(namespace))?.permissive ?? read(byDefault),
    }),
    plaintext: graph.family({
      label: "plaintextIn",
      keyOf: byKey,
      compute: (read, namespace) => read(namespaces.row(namespace))?.plaintext === true,
    }),
  };
}
