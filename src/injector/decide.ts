import { ANNOTATION_INJECTION, LABEL_IGNORE, LABEL_MONITORED_BY, PEPR_NAMESPACE } from "../model/mesh-words";
import type { Read } from "./annotations";
import { readSwitch } from "./annotations";
import type { PodJson, StringMap } from "./pod";

/** What the decision needs to know of a pod's namespace. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: StringMap;
  readonly annotations: StringMap;
}

/** Which mesh this is. */
export interface MeshFacts {
  readonly meshName: string;
  readonly osmNamespace: string;
}

/** Why a pod is left as it is. */
export type SkipReason =
  | "NamespaceNotMeshed"
  | "NamespaceIgnored"
  | "ControlPlaneNamespace"
  | "MirrorPod"
  | "HostNetwork"
  | "Windows"
  | "NotRequested"
  | "OptedOut";

/** Event for the owner of a pod that asked for a sidecar and cannot have one. */
export interface SkipEvent {
  readonly reason: "SidecarNotInjected";
  readonly message: string;
}

/** Whether a pod gets a sidecar. */
export type Decision =
  | { readonly kind: "inject" }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly event?: SkipEvent }
  | { readonly kind: "refuse"; readonly field: string; readonly message: string };

const KUBERNETES_NAMESPACES = ["kube-system", "kube-public", "kube-node-lease"];

/**
 * Decides as OSM does: not with the host's network; not outside the mesh's namespaces; then the pod's annotation, then
 * the namespace's; an annotation that is not understood refuses the pod. Windows pods are left alone (OSM's Windows
 * support needs a node set up for it, which this mesh does not have).
 */
export function decide(pod: PodJson, namespace: NamespaceFacts, mesh: MeshFacts): Decision {
  const outside = outsideReason(pod, namespace, mesh);
  if (outside !== undefined) return { kind: "skip", reason: outside };
  const wanted = isWanted(pod, namespace);
  const impossible = impossibleReason(pod);
  if (impossible !== undefined) {
    return wanted.ok && wanted.value.inject
      ? skipWithEvent(impossible)
      : { kind: "skip", reason: impossible };
  }
  if (!wanted.ok) return { kind: "refuse", field: wanted.field, message: wanted.message };
  return wanted.value.inject ? { kind: "inject" } : { kind: "skip", reason: wanted.value.reason };
}

function outsideReason(pod: PodJson, namespace: NamespaceFacts, mesh: MeshFacts): SkipReason | undefined {
  const controlPlane = [...KUBERNETES_NAMESPACES, PEPR_NAMESPACE, mesh.osmNamespace];
  if (controlPlane.includes(namespace.name)) return "ControlPlaneNamespace";
  if (Object.hasOwn(namespace.labels, LABEL_IGNORE)) return "NamespaceIgnored";
  if (namespace.labels[LABEL_MONITORED_BY] !== mesh.meshName) return "NamespaceNotMeshed";
  // The kubelet's own copy of a static pod: what runs is not what is stored here.
  if (pod.metadata?.annotations?.["kubernetes.io/config.mirror"] !== undefined) return "MirrorPod";
  return undefined;
}

function impossibleReason(pod: PodJson): "HostNetwork" | "Windows" | undefined {
  if (pod.spec?.hostNetwork === true) return "HostNetwork";
  const windows =
    pod.spec?.os?.name === "windows" || pod.spec?.nodeSelector?.["kubernetes.io/os"] === "windows";
  return windows ? "Windows" : undefined;
}

const EVENT_TEXT = {
  HostNetwork:
    "the pod uses the host's network, whose traffic cannot be redirected; it runs without a sidecar",
  Windows: "the pod runs on Windows; it runs without a sidecar",
};

function skipWithEvent(reason: "HostNetwork" | "Windows"): Decision {
  return { kind: "skip", reason, event: { reason: "SidecarNotInjected", message: EVENT_TEXT[reason] } };
}

type Wish =
  | { readonly inject: true }
  | { readonly inject: false; readonly reason: "OptedOut" | "NotRequested" };

/** The pod's own annotation decides; without one, the namespace's. */
function isWanted(pod: PodJson, namespace: NamespaceFacts): Read<Wish> {
  const own = readSwitch(pod.metadata?.annotations ?? {}, ANNOTATION_INJECTION, "pod");
  if (!own.ok) return own;
  if (own.value === true) return { ok: true, value: { inject: true } };
  if (own.value === false) return { ok: true, value: { inject: false, reason: "OptedOut" } };
  const general = readSwitch(namespace.annotations, ANNOTATION_INJECTION, `namespace ${namespace.name}`);
  if (!general.ok) return general;
  return {
    ok: true,
    value: general.value === true ? { inject: true } : { inject: false, reason: "NotRequested" },
  };
}
