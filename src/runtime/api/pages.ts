/** What the read-only API answers, as JSON. Times in epoch milliseconds; objects, pods and Services as `namespace/name`. */

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
