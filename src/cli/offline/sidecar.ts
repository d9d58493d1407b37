/** Whether a pod has a sidecar, or would get one; and if not, why. The injector itself decides. */
import type { MeshConfigSpec } from "../../api/mesh-config";
import { asObject, asTextMap, metaOf } from "../../ingest/fields";
import { decide, type NamespaceFacts, type SkipReason } from "../../injector/decide";
import { inject } from "../../injector/inject";
import type { PodJson } from "../../injector/pod";
import {
  ANNOTATION_INJECTION,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
  LABEL_PROXY_UUID,
} from "../../model/mesh-words";
import type { KubeDocument } from "./documents";

/** The mesh that injects. */
export interface MeshOfPods {
  readonly meshName: string;
  readonly osmNamespace: string;
  readonly meshConfig: MeshConfigSpec;
  /** By name; absent: it is not among the objects. */
  readonly namespaces: ReadonlyMap<string, KubeDocument>;
}

/** What became of a pod at its creation, or would. */
export interface Injected {
  readonly pod: KubeDocument;
  /** Why it has no sidecar, as the end of a sentence; absent: it has one. */
  readonly without?: string;
}

const NOWHERE = "localhost";
const NO_PORT = "localhost:1";

function factsOf(namespace: string, { namespaces }: MeshOfPods): NamespaceFacts {
  const { labels, annotations } = metaOf(namespaces.get(namespace));
  return { name: namespace, labels, annotations };
}

/** A pod that is still to be created, as the injector makes it. */
export function injected(pod: KubeDocument, mesh: MeshOfPods): Injected {
  const namespace = pod.metadata.namespace ?? "";
  const { meshName, osmNamespace, meshConfig } = mesh;
  const result = inject({
    pod: pod as PodJson,
    uid: "planned",
    namespace: factsOf(namespace, mesh),
    meshConfig,
    settings: {
      meshName,
      osmNamespace,
      trustDomain: NOWHERE,
      images: { envoy: NOWHERE, init: NOWHERE },
      adsAddress: NO_PORT,
      nativeSidecar: true,
      ipv6: false,
    },
  });
  switch (result.kind) {
    case "inject":
      return {
        pod: {
          ...pod,
          ...result.pod,
          metadata: { ...pod.metadata, ...result.pod.metadata, name: pod.metadata.name },
        },
      };
    case "skip":
      return { pod, without: skipText(result.reason, namespace, meshName) };
    case "refuse":
      return { pod, without: `the injector refuses the pod: ${result.message}` };
  }
}

/** Why a pod that is there has no sidecar; undefined when it has one that counts. */
export function whyNoSidecar(pod: KubeDocument, mesh: MeshOfPods): string | undefined {
  const namespace = pod.metadata.namespace ?? "";
  const decision = decide(pod as PodJson, factsOf(namespace, mesh), mesh);
  const carries = asTextMap(asObject(pod.metadata["labels"]))[LABEL_PROXY_UUID] !== undefined;
  switch (decision.kind) {
    case "skip":
      return skipText(decision.reason, namespace, mesh.meshName);
    case "refuse":
      return `the injector refuses the pod: ${decision.message}`;
    case "inject":
      if (carries) return undefined;
      return `it was created before injection was switched on for it; it gets one when it is created anew`;
  }
}

function skipText(reason: SkipReason, namespace: string, meshName: string): string {
  switch (reason) {
    case "NamespaceNotMeshed":
      return `namespace ${namespace} does not belong to the mesh (label ${LABEL_MONITORED_BY}=${meshName} is missing)`;
    case "NamespaceIgnored":
      return `namespace ${namespace} is ignored (label ${LABEL_IGNORE})`;
    case "ControlPlaneNamespace":
      return `namespace ${namespace} is the cluster's or the control plane's own, where nothing is injected`;
    case "MirrorPod":
      return "it is a static pod, which the kubelet runs from a file";
    case "HostNetwork":
      return "it uses the host's network (spec.hostNetwork), whose traffic cannot be redirected";
    case "Windows":
      return "it runs on Windows";
    case "NotRequested":
      return `neither it nor namespace ${namespace} has the annotation ${ANNOTATION_INJECTION}: enabled`;
    case "OptedOut":
      return `its annotation ${ANNOTATION_INJECTION} says no`;
  }
}
