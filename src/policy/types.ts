/**
 * The intermediate representation (IR): what a group of proxies must do, in Gateway API's words
 * (frontend, rule, match, backend, identity, permission). No Kubernetes type and no Envoy word appears here.
 * Every leaf becomes exactly one configuration resource; a builder sees its leaf and nothing else.
 */
import type { ServiceIdentity, TrustDomain } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import type { Party } from "../model/owner";
import type {
  ConnectionTerms,
  Descriptor,
  FaultTerms,
  GlobalTcpLimit,
  LoadBalancing,
  LocalHttpLimit,
  LocalLimit,
  OutlierTerms,
  RetryTerms,
} from "../model/traffic";

/**
 * Application protocol of a port after protocol selection. `tcp-server-first` is carried as tcp. Clusters name it for those
 * who read them: what becomes of one is the same whatever it says, so that a change ends nothing that goes through it.
 */
export type AppProtocol = "http" | "grpc" | "tcp";

/** TLS parameters of the data plane, from MeshConfig. Versions are the MeshConfig words. */
export interface TlsParameters {
  readonly minVersion: "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";
  readonly maxVersion: "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

/** Request tracing of the data plane, from MeshConfig and the Telemetry that is nearest. */
export interface Tracing {
  /** Name of the {@link ExternalClusterLeaf} that reaches the collector. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  /** Path; of no meaning for OTLP. */
  readonly endpoint: string;
  /** `otlp` is gRPC. */
  readonly protocol: "zipkin" | "otlp";
  /** Share of the traces that begin here of which spans are sent, 0 to 100 in steps of 0.01. */
  readonly samplingPercentage: number;
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
  readonly trustDomain: TrustDomain;
  readonly tls: TlsParameters;
  /** Absent: unlimited. */
  readonly connection?: ConnectionTerms;
  readonly outlier?: OutlierTerms;
  /** Absent: round robin. Of no meaning with `original-destination`. */
  readonly loadBalancing?: LoadBalancing;
}

/** The application in this pod, behind the inbound listener. */
export interface LocalClusterLeaf {
  readonly kind: "local-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly port: number;
  readonly protocol: AppProtocol;
}

/**
 * The way of one caller to one port of the application, inside of the pod: a listener of its own behind the inbound chain.
 * It is there while anything allows the caller to use the port. Removing it ends the caller's open connections, WebSockets
 * and streams, and nobody else's; see the decision record on revocation. Comes with a {@link CallerClusterLeaf}.
 */
export interface CallerGateLeaf {
  readonly kind: "caller-gate";
  /** `callerGateName` of the port and the caller's SPIFFE URI. */
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  /** The {@link LocalClusterLeaf} behind it. */
  readonly cluster: string;
}

/** Leads to the {@link CallerGateLeaf} of the same name, in the protocol of the port. */
export interface CallerClusterLeaf {
  readonly kind: "caller-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly protocol: AppProtocol;
}

/** Plain connection to whatever address the application dialled. */
export interface PassthroughClusterLeaf {
  readonly kind: "passthrough-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
}

/**
 * A named address outside the mesh: what the mesh itself needs (tracing collector, ext_authz, rate limit and log servers),
 * and hosts that an Egress names. Names are resolved by the proxy (DNS).
 */
export interface ExternalClusterLeaf {
  readonly kind: "external-cluster";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly address: string;
  readonly port: number;
  /** `true`: HTTP/2; `false`: HTTP/1.1; absent: as the caller speaks (HTTP) or bytes. */
  readonly http2?: boolean;
  readonly connectTimeoutMs?: number;
  readonly connection?: ConnectionTerms;
}

/** One address that serves a destination. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
  readonly zone: string | undefined;
  /** Whose address it is; absent: not known. For metrics only. */
  readonly party?: Party;
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
  /** There is no such cluster and never will be: its share is answered 500, connections are ended. */
  readonly unresolved?: true;
}

/** One thing that is allowed: requests that look like this, of these callers. */
export interface Grant {
  /** Unique in its permission, and for people: `<namespace>/<TrafficTarget>#<rule>`. */
  readonly name: string;
  /** Empty means nobody. */
  readonly identities: readonly ServiceIdentity[];
  /** Any of them; empty means none. */
  readonly matches: readonly HttpMatch[];
  readonly origins: readonly ObjectRef[];
}

/** Who may use a rule. Empty means nobody: allow-all is its own case. */
export type Permission =
  | { readonly kind: "any-mesh-identity" }
  | { readonly kind: "allow"; readonly identities: readonly ServiceIdentity[] }
  /** HTTP only: what any one grant allows. */
  | { readonly kind: "grants"; readonly grants: readonly Grant[] }
  /** Ingress only: holders of a client certificate with one of these names (DNS or URI SAN, exact). */
  | { readonly kind: "principals"; readonly names: readonly string[] }
  /** Everybody who gets this far, with or without identity (plaintext during migration, plain ingress). */
  | { readonly kind: "anyone" };

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
  /** Of the whole request, milliseconds; absent: none. Outbound. */
  readonly timeoutMs?: number;
  /** Absent: only what no server has seen is sent again. Outbound. */
  readonly retry?: RetryTerms;
  /** Outbound. */
  readonly fault?: FaultTerms;
  /** Header whose value chooses the endpoint where the backend's load balancing is by hash. Outbound. */
  readonly hashHeader?: string;
  readonly hashSource?: boolean;
  /** Inbound. */
  readonly localLimit?: LocalHttpLimit;
  /** What the port's rate limit service is asked for requests of this rule. Inbound. */
  readonly descriptors?: readonly Descriptor[];
}

/** Rules for some hosts. */
export interface VirtualHost {
  readonly name: string;
  /** Lower case, unique in the table; `*`, or `*.` in front, or a host, each with or without port. */
  readonly domains: readonly string[];
  readonly rules: readonly HttpRule[];
}

/**
 * HTTP rules of one frontend (outbound: Service address and port; inbound: target port; ingress: chain; egress: port). First
 * match wins. Without `hosts` the rules are of every host; with them, `rules` is empty and other hosts get 404.
 */
export interface RouteTableLeaf {
  readonly kind: "route-table";
  readonly name: string;
  readonly direction: "inbound" | "outbound" | "ingress" | "egress";
  readonly origins: readonly ObjectRef[];
  readonly rules: readonly HttpRule[];
  readonly hosts?: readonly VirtualHost[];
  readonly trustDomain: TrustDomain;
  /** Requests go to the gate of their caller instead of the rule's backend. Inbound; equals that of the {@link InboundPort}. */
  readonly perCaller?: boolean;
  /** Of all requests of the table together, those of rules with a limit of their own excepted. Inbound. */
  readonly localLimit?: LocalHttpLimit;
}

/** Access log of a listener. Absent where it is used: the mesh's JSON log on standard output. */
export interface AccessLog {
  /** Absent: the default fields. A JSON object as text gives JSON lines, anything else text lines. */
  readonly format?: string;
  /** Of requests only those that failed or were refused. Absent: all. */
  readonly onlyFailures?: true;
  /** Sent to an OpenTelemetry collector (gRPC) as well. */
  readonly openTelemetry?: {
    /** Name of an {@link ExternalClusterLeaf} (http2). */
    readonly cluster: string;
    readonly attributes: Readonly<Record<string, string>>;
  };
}

/**
 * What becomes of a path in which a slash or backslash is escaped: `keep`: it stays, for rules and application; `unescape`: it
 * becomes a slash before a rule sees it. Where this is absent the request is refused as malformed.
 */
export type EscapedSlashes = "keep" | "unescape";

/** What a frontend does with a connection. */
export type Handling =
  | {
      readonly kind: "http";
      readonly routeTable: string;
      readonly tracing: Tracing | undefined;
      readonly escapedSlashes?: EscapedSlashes;
      /** The port speaks gRPC, so that metrics tell the outcome by the gRPC status. */
      readonly grpc?: true;
    }
  | {
      readonly kind: "tcp";
      readonly backends: readonly Backend[];
      /** Outbound: the same caller goes to the same endpoint where the backend's load balancing is by hash. */
      readonly hashSource?: boolean;
    };

/** Interception of one Service address (or pod address) and port. */
export interface OutboundListenerLeaf {
  readonly kind: "outbound-listener";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  /** IPv4 and IPv6 addresses of the frontend; at least one. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly handling: Handling;
  readonly accessLog?: AccessLog;
  /** The only pod that can answer here; absent: the endpoint chosen says who it is. For metrics only. */
  readonly party?: Party;
  /** The frontend carried bytes a while ago: connections that began so go on like this, new ones do not. */
  readonly formerly?: Extract<Handling, { readonly kind: "tcp" }>;
}

/**
 * What an Egress opens on one port, for addresses that are no frontend of the mesh. `http`: hosts of a route table. `tls`:
 * connections whose server name is one of `serverNames` (empty: any). `tcp`: any bytes. `cidrs` (empty: any) bound the
 * dialled address, of every kind.
 */
export interface EgressPort {
  /** Unique in its listener. */
  readonly name: string;
  readonly port: number;
  readonly kind: "http" | "tls" | "tcp";
  /** The server speaks first: nothing of the client's is waited for. */
  readonly serverFirst?: boolean;
  /** http only. */
  readonly routeTable?: string;
  /** http only. */
  readonly escapedSlashes?: EscapedSlashes;
  /** tls only. Lower case, `*.` may stand in front. */
  readonly serverNames?: readonly string[];
  readonly cidrs: readonly string[];
  /** tls, tcp: where the bytes go. */
  readonly cluster?: string;
  readonly origins: readonly ObjectRef[];
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
  /** What Egress policies open; of no effect when everything passes. */
  readonly egress?: readonly EgressPort[];
  readonly accessLog?: AccessLog;
}

/** Callers from outside the mesh that an IngressBackend lets in to one port (HTTP). */
export interface IngressChain {
  /** Unique in its listener. */
  readonly name: string;
  /** Addresses that may call; empty: nobody, however they are known (any address is written out, 0.0.0.0/0 and ::/0). */
  readonly cidrs: readonly string[];
  /** undefined: plain HTTP. */
  readonly tls: { readonly verifyClient: boolean; readonly serverNames: readonly string[] } | undefined;
  readonly routeTable: string;
  readonly origins: readonly ObjectRef[];
}

/** One served port of the pod. */
export interface InboundPort {
  readonly port: number;
  readonly handling: Handling;
  /** L4 permission, enforced before any byte reaches the application. For http the rules decide as well. */
  readonly permission: Permission;
  /** tcp only: what `permission` is made of, for those who ask why. */
  readonly grants?: readonly Grant[];
  readonly externalAuthorization: ExternalAuthorization | undefined;
  /**
   * Every caller goes through a {@link CallerGateLeaf} of its own, so that its permission can be taken back. For tcp the gates
   * are the permission: any workload completes the handshake, who has no gate is closed before a byte passes. Absent: all
   * go to the application directly, and `permission` decides at the handshake.
   */
  readonly perCaller?: boolean;
  readonly ingress?: readonly IngressChain[];
  /**
   * Also callers without mutual TLS are let in (migration). HTTP: what they may do is said by this route table, of which they
   * have no identity; TCP: everything.
   */
  readonly plaintext?: { readonly routeTable: string | undefined };
  /**
   * The port as it was when it carried bytes, a while ago; http only. Mesh callers' connections that began so go on, as
   * far as they would be allowed now; new ones do not.
   */
  readonly formerly?: InboundPort;
  /** New connections per time. */
  readonly localLimit?: LocalLimit;
  /** Asked for each new connection. */
  readonly globalTcpLimit?: GlobalTcpLimit & { readonly cluster: string };
  /** Asked for requests of rules with descriptors. */
  readonly globalHttpLimit?: {
    readonly cluster: string;
    readonly domain: string;
    readonly timeoutMs: number;
    readonly failOpen: boolean;
    readonly xRateLimitHeaders: boolean;
    readonly status: number;
  };
}

/** All served ports of a node group. Connections to other ports are refused. */
export interface InboundListenerLeaf {
  readonly kind: "inbound-listener";
  readonly name: string;
  readonly origins: readonly ObjectRef[];
  readonly identity: ServiceIdentity;
  readonly trustDomain: TrustDomain;
  readonly tls: TlsParameters;
  readonly ports: readonly InboundPort[];
  /** The namespace takes plaintext, whichever of its ports do. Absent: it does not. */
  readonly plaintext?: true;
  readonly ipv6: boolean;
  readonly accessLog?: AccessLog;
}

/** Every kind of leaf. */
export type Leaf =
  | UpstreamClusterLeaf
  | LocalClusterLeaf
  | CallerClusterLeaf
  | CallerGateLeaf
  | PassthroughClusterLeaf
  | ExternalClusterLeaf
  | EndpointSetLeaf
  | RouteTableLeaf
  | OutboundListenerLeaf
  | OutboundCatchAllLeaf
  | InboundListenerLeaf;
