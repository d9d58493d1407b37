import type { MeshConfigSpec } from "../api/mesh-config";
import { DEFAULT_MESH_CONFIG } from "../api/mesh-config";
import { structurallyEqual } from "../graph/equality";
import type { GraphInternals, Input } from "../graph/graph";
import type { IndexKeys, Table } from "../graph/table";
import { createTable } from "../graph/table";
import type { ServiceIdentity, TrustDomain } from "../model/identity";
import { identityKey } from "../model/identity";
import { DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN, MESH_CONFIG_NAME } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import type {
  Egress,
  ExtensionService,
  HttpRouteGroup,
  IdentityBinding,
  IngressBackend,
  Retry,
  SubjectSelector,
  TcpRoute,
  Telemetry,
  TrafficSplit,
  TrafficTarget,
  UdpRoute,
  UpstreamTrafficSetting,
} from "../model/traffic";
import type { ServedPort } from "./node-groups";
import type { MeshEndpointSlice, MeshNamespace, MeshPod, MeshService } from "../model/workload";

/** Policy objects by `namespace/name`; a row is there while its object is not void. */
export interface PolicyTables {
  /**
   * By `destination` and `source`: identity keys. By `selected` and `sourceIn`: namespace of subjects that are not an
   * identity (pod labels, IdentityBindings).
   */
  readonly trafficTargets: Table<TrafficTarget, "destination" | "selected" | "source" | "sourceIn">;
  /** By `namespace`. */
  readonly identityBindings: Table<IdentityBinding, "namespace">;
  readonly httpRouteGroups: Table<HttpRouteGroup, never>;
  readonly tcpRoutes: Table<TcpRoute, never>;
  readonly udpRoutes: Table<UdpRoute, never>;
  /** By `root` and `backend`: keys of Services. */
  readonly trafficSplits: Table<TrafficSplit, "root" | "backend">;
  /** By `source`: identity key. */
  readonly egresses: Table<Egress, "source">;
  /** By `service` and `source`: keys of Services. */
  readonly ingressBackends: Table<IngressBackend, "service" | "source">;
  /** By `source`: identity key. */
  readonly retries: Table<Retry, "source">;
  /** By `service`: key of a Service; those of hosts outside the mesh stand under none. */
  readonly upstreamTrafficSettings: Table<UpstreamTrafficSetting, "service">;
  /** By `namespace`. */
  readonly telemetries: Table<Telemetry, "namespace">;
  readonly extensionServices: Table<ExtensionService, never>;
}

/** Everything the mesh is computed from, as cells; one table per watched kind, keyed like the API's objects. */
export interface Inputs extends PolicyTables {
  readonly graph: GraphInternals;
  readonly namespaces: Table<MeshNamespace, never>;
  readonly services: Table<MeshService, "candidate" | "selector" | "address">;
  readonly slices: Table<MeshEndpointSlice, "service">;
  /** Pods by `namespace/name`, and what runs outside of the cluster by {@link externalKey}. */
  readonly pods: Table<MeshPod, PodIndex>;
  readonly serviceAccounts: Table<ServiceIdentity, never>;
  /**
   * Ports that a pod served a moment ago, by pod uid, each frontend with what it was. Not of the API: whoever knows what
   * proxies have been told puts them here, so that what is made of them stays a function of inputs.
   */
  readonly lingering: Table<readonly ServedPort[], never>;
  /** Ports of Services, by Service key, that carried bytes a while ago and are HTTP now. Not of the API either. */
  readonly carriedBytes: Table<readonly number[], never>;
  readonly meshConfig: Input<MeshConfigSpec>;
  /** The object that settings of the whole mesh come from. */
  readonly meshConfigRef: ObjectRef;
  readonly trustDomain: Input<TrustDomain>;
  /** By whose names callers are known: the trust domain, and past ones while connections of them may be open. */
  readonly callerDomain: Input<TrustDomain>;
}

/** By `label`: {@link labelKey} of each of its labels; by `externalIn`: namespace of what runs outside of the cluster and has joined; `external`: all of it, under "". */
type PodIndex = "uid" | "meshedIn" | "ip" | "account" | "label" | "externalIn" | "external";

/** Key of an ExternalWorkload beside the pods; no pod can be called so. */
export function externalKey(key: string): string {
  return key.replace("/", "/external:");
}

/** What is fixed for the life of a process. */
export interface InputSettings {
  readonly osmNamespace?: string;
  readonly trustDomain?: TrustDomain;
  /** Default: the same. */
  readonly callerDomain?: TrustDomain;
}

/** Index key of one label. */
export function labelKey(namespace: string, label: string, value: string): string {
  return `${namespace}/${label}=${value}`;
}

function labelKeys({ namespace, labels }: MeshPod): readonly string[] {
  return Object.entries(labels).map(([label, value]) => labelKey(namespace, label, value));
}

/** Index key of the one label by which a Service is found from its pods: the first of its selector. */
export function selectorKey(service: MeshService): readonly string[] {
  const [first] = Object.entries(service.selector ?? {});
  return isCandidate(service) && first !== undefined ? [labelKey(service.namespace, ...first)] : [];
}

/** ExternalName and selector-less Services are their owner's affair and are left alone. */
export function isCandidate(service: MeshService): boolean {
  return service.kind !== "externalName" && service.selector !== undefined;
}

/** A pod with our sidecar that can still receive traffic. */
function isLiveProxy(pod: MeshPod): boolean {
  return pod.meshed && !pod.terminated;
}

/** Empty inputs in a graph. */
export function createInputs(graph: GraphInternals, settings: InputSettings = {}): Inputs {
  const plain = <V>(label: string): Table<V, never> =>
    createTable<V>(graph, { label, equals: structurallyEqual, indexes: {} });
  return {
    graph,
    namespaces: plain<MeshNamespace>("namespaces"),
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
    pods: createTable<MeshPod, PodIndex>(graph, {
      label: "pods",
      equals: structurallyEqual,
      indexes: {
        uid: pod => [pod.uid],
        meshedIn: pod => (isLiveProxy(pod) ? [pod.namespace] : []),
        // What somebody has written down may be anybody's address: calls of it are not led anywhere because of that.
        ip: pod => (isLiveProxy(pod) && pod.external === undefined ? pod.ips : []),
        label: pod => (isLiveProxy(pod) ? labelKeys(pod) : []),
        account: pod => (isLiveProxy(pod) ? [identityKey(pod.identity)] : []),
        externalIn: pod => (isLiveProxy(pod) && pod.external !== undefined ? [pod.namespace] : []),
        external: pod => (pod.external === undefined ? [] : [""]),
      },
    }),
    serviceAccounts: plain<ServiceIdentity>("serviceAccounts"),
    lingering: plain<readonly ServedPort[]>("lingering"),
    carriedBytes: plain<readonly number[]>("carriedBytes"),
    meshConfig: graph.input<MeshConfigSpec>("meshConfig", DEFAULT_MESH_CONFIG, structurallyEqual),
    meshConfigRef: {
      group: "config.openservicemesh.io",
      kind: "MeshConfig",
      namespace: settings.osmNamespace ?? DEFAULT_OSM_NAMESPACE,
      name: MESH_CONFIG_NAME,
    },
    trustDomain: graph.input<TrustDomain>(
      "trustDomain",
      settings.trustDomain ?? DEFAULT_TRUST_DOMAIN,
      structurallyEqual,
    ),
    callerDomain: graph.input<TrustDomain>(
      "callerDomain",
      settings.callerDomain ?? settings.trustDomain ?? DEFAULT_TRUST_DOMAIN,
      structurallyEqual,
    ),
    ...createPolicyTables(graph),
  };
}

/** Index keys of the subjects that are identities. */
function identitiesOf(...subjects: readonly SubjectSelector[]): readonly string[] {
  return subjects.flatMap(subject => (subject.kind === "identity" ? [identityKey(subject.identity)] : []));
}

/** Namespaces of the subjects that have to be looked up. */
function lookedUpIn(...subjects: readonly SubjectSelector[]): readonly string[] {
  return subjects.flatMap(subject => {
    if (subject.kind === "identity") return [];
    return [subject.kind === "pods" ? subject.namespace : (subject.binding.split("/")[0] ?? "")];
  });
}

function createPolicyTables(graph: GraphInternals): PolicyTables {
  const table = <V, I extends string = never>(
    label: string,
    indexes: Readonly<Record<I, IndexKeys<V>>>,
  ): Table<V, I> => createTable<V, I>(graph, { label, equals: structurallyEqual, indexes });
  return {
    trafficTargets: table("trafficTargets", {
      destination: ({ destination }: TrafficTarget) => identitiesOf(destination),
      selected: ({ destination }: TrafficTarget) => lookedUpIn(destination),
      source: ({ sources }: TrafficTarget) => identitiesOf(...sources),
      sourceIn: ({ sources }: TrafficTarget) => lookedUpIn(...sources),
    }),
    identityBindings: table("identityBindings", {
      namespace: ({ ref }: IdentityBinding) => [ref.namespace],
    }),
    httpRouteGroups: table("httpRouteGroups", {}),
    tcpRoutes: table("tcpRoutes", {}),
    udpRoutes: table("udpRoutes", {}),
    trafficSplits: table("trafficSplits", {
      root: ({ root }: TrafficSplit) => [root],
      backend: ({ backends }: TrafficSplit) => backends.map(({ service }) => service),
    }),
    egresses: table("egresses", { source: ({ sources }: Egress) => sources.map(identityKey) }),
    ingressBackends: table("ingressBackends", {
      service: ({ backends }: IngressBackend) => backends.map(({ service }) => service),
      source: ({ services }: IngressBackend) => services,
    }),
    retries: table("retries", { source: ({ source }: Retry) => [identityKey(source)] }),
    upstreamTrafficSettings: table("upstreamTrafficSettings", {
      service: ({ service }: UpstreamTrafficSetting) => (service === undefined ? [] : [service]),
    }),
    telemetries: table("telemetries", { namespace: ({ ref }: Telemetry) => [ref.namespace] }),
    extensionServices: table("extensionServices", {}),
  };
}
