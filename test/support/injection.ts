import { expect } from "chai";
import { DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../src/api/mesh-config";
import { inject, type InjectionRequest, type InjectorSettings } from "../../src/injector/inject";
import type { BootstrapPaths } from "../../src/injector/bootstrap";
import { IDENTITY_DIRECTORY, RUN_DIRECTORY, unescapeExpansion } from "../../src/injector/names";
import { type Container, containersOf, type PodJson, type PodSpec } from "../../src/injector/pod";
import {
  ANNOTATION_INJECTION,
  INIT_CONTAINER,
  LABEL_MONITORED_BY,
  SIDECAR_CONTAINER,
} from "../../src/model/mesh-words";

/** Settings as the control plane of a current cluster has them. */
export const SETTINGS: InjectorSettings = {
  meshName: "osm",
  osmNamespace: "osm-system",
  trustDomain: "cluster.local",
  images: { envoy: "envoy:test", init: "init:test" },
  adsAddress: "osm-controller.pepr-system.svc:15128",
  nativeSidecar: true,
  ipv6: false,
};

/** A namespace of the mesh that asks for injection. */
export const NAMESPACE = {
  name: "shop",
  labels: { [LABEL_MONITORED_BY]: "osm" },
  annotations: { [ANNOTATION_INJECTION]: "enabled" },
};

/** A pod with one container. */
export function podOf(container: Partial<Container> = {}, spec: Partial<PodSpec> = {}): PodJson {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "app-1", namespace: "shop" },
    spec: {
      serviceAccountName: "seller",
      containers: [{ name: "app", image: "app:1", ...container }],
      ...spec,
    },
  };
}

/** A request for a pod in {@link NAMESPACE}. */
export function requestFor(pod: PodJson, change: Partial<InjectionRequest> = {}): InjectionRequest {
  return {
    pod,
    uid: "5f0c7a52-6f0d-4b8e-9a53-0d2f4f3a9d11",
    namespace: NAMESPACE,
    meshConfig: DEFAULT_MESH_CONFIG,
    settings: SETTINGS,
    ...change,
  };
}

/** MeshConfig with some sidecar and traffic fields changed. */
export function meshConfigWith(change: {
  sidecar?: Partial<MeshConfigSpec["sidecar"]>;
  traffic?: Partial<MeshConfigSpec["traffic"]>;
}): MeshConfigSpec {
  return {
    ...DEFAULT_MESH_CONFIG,
    sidecar: { ...DEFAULT_MESH_CONFIG.sidecar, ...change.sidecar },
    traffic: { ...DEFAULT_MESH_CONFIG.traffic, ...change.traffic },
  };
}

/** The injected pod; fails the test when the pod is not injected. */
export function injected(request: InjectionRequest): PodJson {
  const result = inject(request);
  if (result.kind !== "inject") throw new Error(`not injected: ${JSON.stringify(result)}`);
  return result.pod;
}

/** The container of either list with a name. */
export function containerNamed(pod: PodJson, name: string): Container {
  const all = [...containersOf(pod, "initContainers"), ...containersOf(pod, "containers")];
  const found = all.find(container => container.name === name);
  if (found === undefined) throw new Error(`no container ${name}`);
  return found;
}

/** What Envoy is told on its command line, as the kubelet would pass it, with the folders exchanged. */
export function bootstrapOf(pod: PodJson, paths?: BootstrapPaths): Record<string, unknown> {
  const args = containerNamed(pod, SIDECAR_CONTAINER).args ?? [];
  const text = unescapeExpansion(args[args.indexOf("--config-yaml") + 1] ?? "");
  return JSON.parse(paths === undefined ? text : relocate(text, paths)) as Record<string, unknown>;
}

/** A text of the pod with the folders of the sidecar exchanged for others. */
export function relocate(text: string, paths: BootstrapPaths): string {
  return text.replaceAll(IDENTITY_DIRECTORY, paths.identity).replaceAll(RUN_DIRECTORY, paths.run);
}

/** The script that osm-init runs, as the kubelet would pass it. */
export function initScriptOf(pod: PodJson): string {
  return unescapeExpansion(containerNamed(pod, INIT_CONTAINER).command?.[2] ?? "");
}

/** Injects again and expects no difference. */
export function expectIdempotent(request: InjectionRequest): PodJson {
  const first = injected(request);
  const second = injected({ ...request, pod: first, uid: "another-admission-request" });
  expect(second).to.deep.equal(first);
  return first;
}
