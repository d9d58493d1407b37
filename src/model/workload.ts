import type { ServiceIdentity } from "./identity";

/** A namespace as the mesh sees it. */
export interface MeshNamespace {
  readonly name: string;
  /** Label `openservicemesh.io/monitored-by` equals the mesh name and the ignore label is absent. */
  readonly meshed: boolean;
  /** Annotation `openservicemesh.io/sidecar-injection`, undefined when absent or not understood. */
  readonly injection: boolean | undefined;
  /** Annotation `openservicemesh.io/metrics` enabled. */
  readonly metrics: boolean;
  /** Annotation `openservicemesh.io/permissive-traffic-policy-mode`; undefined: as MeshConfig says. */
  readonly permissive: boolean | undefined;
  /** Annotation `openservicemesh.io/inbound-plaintext` enabled: callers without a sidecar are let in (migration). */
  readonly plaintext: boolean;
}

/** L4 protocol of a Service port; only TCP is carried by the mesh. */
export type TransportProtocol = "TCP" | "UDP" | "SCTP";

/** One port of a Kubernetes Service. */
export interface ServicePort {
  readonly name: string;
  readonly port: number;
  /** Number, or name of a container port (resolved per endpoint by EndpointSlice ports). */
  readonly targetPort: number | string;
  readonly transport: TransportProtocol;
  readonly appProtocol: string | undefined;
}

/** A Kubernetes Service with all that the mesh never reads dropped. */
export interface MeshService {
  readonly namespace: string;
  readonly name: string;
  readonly kind: "clusterIP" | "headless" | "externalName";
  /** IPv4 and/or IPv6 cluster addresses; empty when headless or ExternalName. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  /** undefined: selector-less Service (its endpoints are the owner's and are left alone). */
  readonly selector: Readonly<Record<string, string>> | undefined;
}

/** One endpoint of an EndpointSlice. */
export interface SliceEndpoint {
  readonly address: string;
  /** `ready` of the slice; not-ready endpoints receive no traffic. */
  readonly ready: boolean;
  readonly podUid: string | undefined;
  readonly podName: string | undefined;
  readonly hostname: string | undefined;
  readonly zone: string | undefined;
}

/** A discovery.k8s.io/v1 EndpointSlice. */
export interface MeshEndpointSlice {
  readonly namespace: string;
  readonly name: string;
  /** Label `kubernetes.io/service-name`. */
  readonly service: string;
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly transport: TransportProtocol;
  }[];
  readonly endpoints: readonly SliceEndpoint[];
}

/** A pod as the mesh sees it. */
export interface MeshPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly identity: ServiceIdentity;
  readonly ips: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** It carries our sidecar (see `SIDECAR_CONTAINER` and the injection marker in model/mesh-words.ts). */
  readonly meshed: boolean;
  /** Ports at which its redirect rules pass the sidecar by, sorted; absent: none, and for a pod without our sidecar. */
  readonly excludedPorts?: readonly number[];
  /** Named container ports, for named target ports. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** Phase Succeeded or Failed, or deletionTimestamp set and gone from endpoints. */
  readonly terminated: boolean;
  /** deletionTimestamp is set. */
  readonly terminating: boolean;
  /** Annotation `openservicemesh.io/external-authorization`, as written; absent: as MeshConfig says. */
  readonly externalAuthorization?: string;
  /** Owner workload for telemetry labels, Deployment rather than ReplicaSet. */
  readonly workload: { readonly kind: string; readonly name: string };
  /** It is no pod: an ExternalWorkload, whose proxy runs outside of the cluster. Absent: a pod. */
  readonly external?: ExternalProxy;
}

/** What distinguishes the proxy of an ExternalWorkload from that of a pod. */
export interface ExternalProxy {
  /** The public key that it proves itself with: SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
}
