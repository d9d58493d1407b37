/** What the read-only API answers, as JSON. Times in epoch milliseconds; objects, pods and Services as `namespace/name`. */
import type { Decision } from "../../policy/decide";

/** Answer of `/v1/status`. */
export interface StatusPage {
  readonly at: number;
  readonly mesh: MeshLine;
  /** False: a replica that takes proxies cannot be asked, and it is not known who is away. */
  readonly complete: boolean;
  readonly replicas: readonly ReplicaLine[];
  readonly proxies: readonly ProxyLine[];
  /** Pods of the mesh's namespaces that have no sidecar. */
  readonly uninjected: readonly { readonly pod: string; readonly workload: string }[];
  readonly refused: readonly RefusedLine[];
  /** Those with something to say first. */
  readonly objects: readonly ObjectLine[];
  /** Absent: nobody has looked yet. */
  readonly roots?: RootsLine;
}

/** The mesh as a whole. */
export interface MeshLine {
  readonly name: string;
  readonly namespace: string;
  /** Release of the pod that answers. */
  readonly version: string;
  readonly trustDomain: string;
  readonly permissive: boolean;
  readonly egress: boolean;
  /** Image that new sidecars get. */
  readonly sidecarImage: string;
}

/** A pod that serves proxies. */
export interface ReplicaLine {
  readonly name: string;
  readonly ready: boolean;
  /** False: it cannot be asked. */
  readonly known: boolean;
  readonly version?: string;
  readonly proxies: number;
}

/** A live proxy. */
export interface ProxyLine {
  readonly pod: string;
  /** `Kind/name`. */
  readonly workload: string;
  /** `namespace/account`. */
  readonly identity: string;
  readonly external?: true;
  /** The replica it is connected to; absent: it is connected to none. */
  readonly replica?: string;
  /** Since when it is connected. */
  readonly since?: number;
  /** Since when it lacks something of its configuration. */
  readonly lateSince?: number;
  /** Generation of MeshConfig that it holds. */
  readonly config?: number;
  /** Version of Envoy, as the proxy says. */
  readonly envoy?: string;
  /** When its certificate is renewed, at half of its life; in the past: it is overdue. */
  readonly renewAt?: number;
  /** What it refused, in words. */
  readonly refused?: readonly string[];
}

/** A resource that proxies refused. */
export interface RefusedLine {
  readonly resource: string;
  /** Envoy's words. */
  readonly message: string;
  /** `Kind namespace/name`. */
  readonly objects: readonly string[];
  /** How many proxies. */
  readonly count: number;
  /** The first of them. */
  readonly proxy: string;
}

/** An object of policy. */
export interface ObjectLine {
  readonly kind: string;
  readonly object: string;
  /** Proxies whose configuration comes from it, and those of them that hold it; absent: nobody counts these. */
  readonly affected?: number;
  readonly programmed?: number;
  /** A few that are waited for. */
  readonly behind?: readonly string[];
  readonly refusal?: string;
  readonly findings: readonly {
    readonly severity: string;
    readonly code: string;
    readonly message: string;
  }[];
}

/** Whom workloads trust, and what is under way. */
export interface RootsLine {
  /** MeshRootCertificates are followed. */
  readonly enabled: boolean;
  /** In a sentence. */
  readonly text: string;
  readonly roots: readonly {
    /** The MeshRootCertificate, or `built-in`. */
    readonly name: string;
    readonly fingerprint: string;
    readonly trustDomain?: string;
    readonly issuing: boolean;
    readonly notAfter: number;
  }[];
  /** The move that comes next, and how far its proof is. */
  readonly next?: {
    readonly kind: string;
    readonly root: string;
    readonly proxies?: number;
    readonly ready?: number;
    readonly waiting?: readonly string[];
  };
  readonly errors: Readonly<Record<string, string>>;
}

/** Answer of `/v1/topology`. */
export interface TopologyPage {
  readonly at: number;
  readonly workloads: readonly WorkloadLine[];
  readonly services: readonly ServiceLine[];
}

/** What runs pods in a namespace of the mesh. */
export interface WorkloadLine {
  /** `namespace/Kind/name`, by which the other pages name it. */
  readonly workload: string;
  readonly pods: number;
  /** Those of them with a sidecar. */
  readonly proxies: number;
  /** `namespace/account`; of pods without a sidecar as well, though those prove none. */
  readonly identities: readonly string[];
  readonly external?: true;
  /** Everybody in the mesh may call it; without a sidecar: anybody. */
  readonly open: boolean;
  /** It takes calls without mutual TLS as well. */
  readonly plaintext: boolean;
  /** Who may call it otherwise, and by which TrafficTarget. */
  readonly allows: readonly { readonly by: string; readonly sources: readonly string[] }[];
}

/** A Service of the mesh. */
export interface ServiceLine {
  readonly service: string;
  readonly ports: readonly number[];
  /** Those that serve it through their sidecars. */
  readonly workloads: readonly string[];
  readonly splits: readonly {
    readonly by: string;
    /** HTTPRouteGroups that it is for; none: all requests. */
    readonly matches: readonly string[];
    readonly backends: readonly { readonly service: string; readonly weight: number }[];
  }[];
}

/** Answer of `/v1/traffic`: HTTP as sidecars count it that serve metrics. Rates per second. */
export interface TrafficPage {
  readonly at: number;
  /** The time that the rates are of, milliseconds; 0: counting has just begun. */
  readonly windowMs: number;
  /** Pods that were asked, and those of them that have no metrics. */
  readonly asked: number;
  readonly silent: readonly string[];
  /** What workloads send to Services, as their own sidecars answer them. */
  readonly calls: readonly CallLine[];
  /** Which workload was reached in the end; `unknown`: none, or a caller from outside. */
  readonly pairs: readonly PairLine[];
}

/** Requests by what became of them. */
export interface Rates {
  readonly rate: number;
  /** Of {@link Rates.rate}, answered 5xx or not at all. */
  readonly failed: number;
  /** Of {@link Rates.rate}, answered 4xx. */
  readonly refused: number;
}

/** Requests of a workload to a port of a Service. */
export interface CallLine extends Rates {
  readonly from: string;
  readonly service: string;
  readonly port: number;
  /** Milliseconds; absent: none was measured in the window. */
  readonly p50?: number;
  readonly p99?: number;
}

/** Requests between two workloads. */
export interface PairLine extends Rates {
  readonly from: string;
  readonly to: string;
  /** Of {@link Rates.refused}, answered 403. */
  readonly forbidden: number;
}

/** Answer of `/v1/explain`. */
export interface ExplainPage {
  readonly from: string;
  readonly to: string;
  readonly decision: Decision;
}
