import type { MeshConfigSpec } from "../api/mesh-config";
import { DEFAULT_MESH_CONFIG } from "../api/mesh-config";
import { structurallyEqual } from "../graph/equality";
import type { Cell, GraphInternals, Input } from "../graph/graph";
import type { Table } from "../graph/table";
import { createTable } from "../graph/table";
import type { ServiceIdentity } from "../model/identity";
import { DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN, MESH_CONFIG_NAME } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import type { MeshEndpointSlice, MeshNamespace, MeshPod, MeshService } from "../model/workload";

/** Everything the mesh is computed from, as cells; one table per watched kind, keyed like the API's objects. */
export interface Inputs {
  readonly graph: GraphInternals;
  readonly namespaces: Table<MeshNamespace, never>;
  readonly services: Table<MeshService, "candidate" | "selector" | "address">;
  readonly slices: Table<MeshEndpointSlice, "service">;
  readonly pods: Table<MeshPod, "uid" | "meshedIn" | "ip">;
  readonly serviceAccounts: Table<ServiceIdentity, never>;
  readonly meshConfig: Input<MeshConfigSpec>;
  /** The object that settings of the whole mesh come from. */
  readonly meshConfigRef: ObjectRef;
  readonly trustDomain: Cell<string>;
}

/** What is fixed for the life of a process. */
export interface InputSettings {
  readonly osmNamespace?: string;
  readonly trustDomain?: string;
}

/** Index key of one label. */
export function labelKey(namespace: string, label: string, value: string): string {
  return `${namespace}/${label}=${value}`;
}

/** Index key of the one label by which a Service is found from its pods: the first of its selector. */
function selectorKey(service: MeshService): readonly string[] {
  const [first] = Object.entries(service.selector ?? {});
  return isCandidate(service) && first !== undefined ? [labelKey(service.namespace, ...first)] : [];
}

/** ExternalName and selector-less Services are their owner's affair and are left alone. */
function isCandidate(service: MeshService): boolean {
  return service.kind !== "externalName" && service.selector !== undefined;
}

/** A pod with our sidecar that can still receive traffic. */
function isLiveProxy(pod: MeshPod): boolean {
  return pod.meshed && !pod.terminated;
}

/** Empty inputs in a graph. */
export function createInputs(graph: GraphInternals, settings: InputSettings = {}): Inputs {
  return {
    graph,
    namespaces: createTable<MeshNamespace>(graph, {
      label: "namespaces",
      equals: structurallyEqual,
      indexes: {},
    }),
    services: createTable<MeshService, "candidate" | "selector" | "address">(graph, {
      label: "services",
      equals: structurallyEqual,
      indexes: {
        candidate: service => (isCandidate(service) ? [service.namespace] : []),
        selector: selectorKey,
        address: service => (isCandidate(service) ? service.addresses : []),
      },
    }),
    slices: createTable<MeshEndpointSlice, "service">(graph, {
      label: "slices",
      equals: structurallyEqual,
      indexes: { service: slice => (slice.service === "" ? [] : [`${slice.namespace}/${slice.service}`]) },
    }),
    pods: createTable<MeshPod, "uid" | "meshedIn" | "ip">(graph, {
      label: "pods",
      equals: structurallyEqual,
      indexes: {
        uid: pod => [pod.uid],
        meshedIn: pod => (isLiveProxy(pod) ? [pod.namespace] : []),
        ip: pod => (isLiveProxy(pod) ? pod.ips : []),
      },
    }),
    serviceAccounts: createTable<ServiceIdentity>(graph, {
      label: "serviceAccounts",
      equals: structurallyEqual,
      indexes: {},
    }),
    meshConfig: graph.input<MeshConfigSpec>("meshConfig", DEFAULT_MESH_CONFIG, structurallyEqual),
    meshConfigRef: {
      group: "config.openservicemesh.io",
      kind: "MeshConfig",
      namespace: settings.osmNamespace ?? DEFAULT_OSM_NAMESPACE,
      name: MESH_CONFIG_NAME,
    },
    trustDomain: graph.input("trustDomain", settings.trustDomain ?? DEFAULT_TRUST_DOMAIN),
  };
}
