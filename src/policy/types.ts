/**
 * The intermediate representation (IR): what a group of proxies must do, in Gateway API's words
 * (frontend, rule, match, backend, identity, permission). No Kubernetes type and no Envoy word appears here.
 * Every leaf becomes exactly one configuration resource; a builder sees its leaf and nothing else.
 */
import type { ObjectRef } from "../model/object-ref";
import type { ServiceIdentity } from "../model/identity";

/** Application protocol of a port after protocol selection. `tcp-server-first` is carried as tcp. */
export type AppProtocol = "http" | "grpc" | "tcp";

/** TLS parameters of the data plane, from MeshConfig. Versions are the MeshConfig words. */
export interface TlsParameters {
  readonly minVersion: "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";
  readonly maxVersion: "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

/** Request tracing of the data plane (Zipkin), from MeshConfig. */
export interface Tracing {
  /** Name of the {@link ExternalClusterLeaf} that reaches the collector. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly endpoint: string;
}

/** Mesh-wide external authorization on inbound HTTP (gRPC ext_authz v3), from MeshConfig. */
export interface ExternalAuthorization {
  /** Name of the {@link ExternalClusterLeaf} (http2) that reaches the server. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly statPrefix: string;
  /** Milliseconds. */
  readonly timeoutMs: number;
  readonly failureModeAllow: boolean;
}

/** Where an upstream's endpoints come from. */
export type Discovery =
  /** Endpoints are delivered as an {@link EndpointSetLeaf} of the same name. */
  | { readonly kind: "endpoints" }
  /** The address the application dialled (headless and direct pod calls). */
  | { readonly kind: "original-destination" };

/**
 * A destination in the mesh, always reached by mutual TLS. It does not name the client's identity: the certificate
 * presented is the SDS secret of a constant name, so one cluster serves clients of every identity.
 */
export interface UpstreamClusterLeaf {
  readonly kind: "upstream-cluster";
  /** Unique name, see envoy/names.ts for how names are made. */
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly discovery: Discovery;
  readonly protocol: AppProtocol;
  /** TLS server name: fully qualified Service name. */
  readonly sni: string;
  /** Identities a server of this destination may have; TLS fails for any other. Empty: nobody, never "any". */
  readonly serverIdentities: readonly ServiceIdentity[];
  readonly trustDomain: string;
  readonly tls: TlsParameters;
}

/** The application in this pod, behind the inbound listener. */
export interface LocalClusterLeaf {
  readonly kind: "local-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly port: number;
  readonly protocol: AppProtocol;
}

/** Plain connection to whatever address the application dialled. */
export interface PassthroughClusterLeaf {
  readonly kind: "passthrough-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
}

/** A named address outside the mesh that the mesh itself needs (tracing collector, ext_authz server). */
export interface ExternalClusterLeaf {
  readonly kind: "external-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly address: string;
  readonly port: number;
  readonly http2: boolean;
}

/** One address that serves a destination. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly zone: string | undefined;
}

/** Endpoints of one upstream cluster with `discovery: endpoints`; sorted, without duplicates. */
export interface EndpointSetLeaf {
  readonly kind: "endpoint-set";
  /** Equals the cluster's name. */
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly endpoints: readonly Endpoint[];
}

/** Weighted destination of a rule. Weight 0 is legal and receives nothing. */
export interface Backend {
  readonly cluster: string;
  readonly weight: number;
}

/** Who may use a rule. Empty means nobody: allow-all is its own case. */
export type Permission =
  | { readonly kind: "any-mesh-identity" }
  | { readonly kind: "allow"; readonly identities: readonly ServiceIdentity[] };

/** How a header must look. */
export interface HeaderMatch {
  readonly name: string;
  readonly kind: "exact" | "regex";
  readonly value: string;
}

/** One way a request can match; all given parts must hold. */
export interface HttpMatch {
  readonly path:
    | { readonly kind: "any" }
    | { readonly kind: "prefix" | "exact" | "regex"; readonly value: string };
  /** Empty: any method. */
  readonly methods: readonly string[];
  readonly headers: readonly HeaderMatch[];
}

/** An HTTP rule: any of `matches` → `backends`, for those that `permission` names. */
export interface HttpRule {
  readonly name: string;
  readonly matches: readonly HttpMatch[];
  readonly permission: Permission;
  readonly backends: readonly Backend[];
  readonly origins: readonly ObjectRef[];
}

/** HTTP rules of one frontend (outbound: Service address and port; inbound: target port). First match wins. */
export interface RouteTableLeaf {
  readonly kind: "route-table";
  readonly name: string;
  readonly direction: "inbound" | "outbound";
  readonly origins: readonly ObjectRef[];
  readonly rules: readonly HttpRule[];
  readonly trustDomain: string;
}

/** What a frontend does with a connection. */
export type Handling =
  | { readonly kind: "http"; readonly routeTable: string; readonly tracing: Tracing | undefined }
  | { readonly kind: "tcp"; readonly backends: readonly Backend[] };

/** Interception of one Service address (or pod address) and port. */
export interface OutboundListenerLeaf {
  readonly kind: "outbound-listener";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  /** IPv4 and IPv6 addresses of the frontend; at least one. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly handling: Handling;
}

/** What happens to connections to addresses that are no frontend of the mesh. */
export interface OutboundCatchAllLeaf {
  readonly kind: "outbound-catch-all";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  /** undefined: refused (egress off). */
  readonly passthroughCluster: string | undefined;
  /** Also listen on IPv6. */
  readonly ipv6: boolean;
}

/** One served port of the pod. */
export interface InboundPort {
  readonly port: number;
  readonly handling: Handling;
  /** L4 permission, enforced before any byte reaches the application. For http the rules decide as well. */
  readonly permission: Permission;
  readonly externalAuthorization: ExternalAuthorization | undefined;
}

/** All served ports of a node group. Connections to other ports are refused. */
export interface InboundListenerLeaf {
  readonly kind: "inbound-listener";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly identity: ServiceIdentity;
  readonly trustDomain: string;
  readonly tls: TlsParameters;
  readonly ports: readonly InboundPort[];
  readonly ipv6: boolean;
}

/** Every kind of leaf. */
export type Leaf =
  | UpstreamClusterLeaf
  | LocalClusterLeaf
  | PassthroughClusterLeaf
  | ExternalClusterLeaf
  | EndpointSetLeaf
  | RouteTableLeaf
  | OutboundListenerLeaf
  | OutboundCatchAllLeaf
  | InboundListenerLeaf;
