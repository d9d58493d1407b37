/**
 * Traffic policy as the mesh reads it: one shape per kind, whatever API version an object was written in. References are
 * resolved to keys (`namespace/name`), units to milliseconds and numbers; what an object may not say (a foreign namespace, a
 * pattern that no engine reads) is already left out here and reported on the object.
 */
import type { ServiceIdentity } from "./identity";
import type { ObjectRef } from "./object-ref";

/** What every policy object carries. */
export interface PolicyObject {
  readonly ref: ObjectRef;
  /** creationTimestamp in milliseconds; of conflicting objects the oldest wins, then the first by key. */
  readonly createdAt: number;
}

/** Whom a TrafficTarget speaks of. */
export type SubjectSelector =
  | { readonly kind: "identity"; readonly identity: ServiceIdentity }
  /** Pods of a namespace by labels (v1alpha4 IdentityBinding); at least one label. */
  | {
      readonly kind: "pods";
      readonly namespace: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  /** Whatever an IdentityBinding (v1alpha4) names; nobody while there is none. */
  | { readonly kind: "binding"; /** Key of the IdentityBinding. */ readonly binding: string };

/**
 * SMI IdentityBinding (v1alpha4): subjects of its own namespace under one name; each of them counts. Never a `binding`
 * itself.
 */
export interface IdentityBinding extends PolicyObject {
  readonly subjects: readonly SubjectSelector[];
}

/** What a TrafficTarget lets through. `matches` undefined: all of the group. */
export type TargetRule =
  | {
      readonly kind: "http";
      /** Key of the HTTPRouteGroup. */
      readonly group: string;
      readonly matches: readonly string[] | undefined;
      /** Field of this rule, for findings. */
      readonly field: string;
    }
  | { readonly kind: "tcp"; /** Key of the TCPRoute. */ readonly route: string; readonly field: string }
  | { readonly kind: "udp"; /** Key of the UDPRoute. */ readonly route: string; readonly field: string };

/** SMI TrafficTarget: sources may call the destination in the ways of the rules. The destination is of the object's namespace. */
export interface TrafficTarget extends PolicyObject {
  readonly destination: SubjectSelector;
  /** Only this port of the destination (v1alpha1, v1alpha2): a container port or a Service port that leads to it. */
  readonly port: number | undefined;
  readonly sources: readonly SubjectSelector[];
  readonly rules: readonly TargetRule[];
}

/** One named set of requests. Patterns are as written; how they are anchored is decided where they are compiled. */
export interface RouteGroupMatch {
  readonly name: string;
  /** RE2; undefined: any path. */
  readonly pathRegex: string | undefined;
  /** Upper case; empty: any method (also where `*` is written). */
  readonly methods: readonly string[];
  /** RE2 per header, matched against the whole value; names in lower case; all must hold. */
  readonly headers: readonly { readonly name: string; readonly pattern: string }[];
}

/** SMI HTTPRouteGroup. */
export interface HttpRouteGroup extends PolicyObject {
  readonly matches: readonly RouteGroupMatch[];
}

/** SMI TCPRoute. Empty ports: all. */
export interface TcpRoute extends PolicyObject {
  readonly ports: readonly number[];
}

/** SMI UDPRoute: accepted, told to have no effect. */
export type UdpRoute = PolicyObject;

/** SMI TrafficSplit, of Services of its own namespace. */
export interface TrafficSplit extends PolicyObject {
  /** Key of the root Service. */
  readonly root: string;
  readonly backends: readonly {
    /** Key of a Service. */
    readonly service: string;
    /** Whole, not negative; all of an object in thousandths when one of them has a fraction (`500m` in v1alpha1). */
    readonly weight: number;
  }[];
  /** Keys of HTTPRouteGroups; empty: all requests. */
  readonly matches: readonly string[];
}

/** OSM Egress. */
export interface Egress extends PolicyObject {
  readonly sources: readonly ServiceIdentity[];
  /** Lower case, `*.` may stand in front. */
  readonly hosts: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly ports: readonly {
    readonly number: number;
    readonly protocol: "http" | "https" | "tcp" | "tcp-server-first";
  }[];
  /** Keys of HTTPRouteGroups of the object's namespace. */
  readonly routeGroups: readonly string[];
  /** Key of an UpstreamTrafficSetting of the object's namespace. */
  readonly setting: string | undefined;
}

/** OSM IngressBackend. */
export interface IngressBackend extends PolicyObject {
  readonly backends: readonly {
    /** Key of a Service of the object's namespace. */
    readonly service: string;
    /** Container port. */
    readonly port: number;
    /** undefined: plain HTTP. */
    readonly tls: { readonly verifyClient: boolean; readonly sniHosts: readonly string[] } | undefined;
  }[];
  /** Keys of Services whose pods may call. */
  readonly services: readonly string[];
  readonly ipRanges: readonly string[];
  /** Names in client certificates (DNS or URI, exact). */
  readonly principals: readonly string[];
  /** Keys of HTTPRouteGroups; empty: all requests. */
  readonly routeGroups: readonly string[];
}

/** When and how often a request is sent again. */
export interface RetryTerms {
  /** Envoy's conditions, without status codes. */
  readonly retryOn: readonly string[];
  readonly statusCodes: readonly number[];
  readonly perTryTimeoutMs: number | undefined;
  readonly numRetries: number;
  /** First wait; later ones double up to ten times of it. */
  readonly backoffBaseMs: number | undefined;
}

/** OSM Retry. */
export interface Retry extends PolicyObject {
  readonly source: ServiceIdentity;
  /** Keys of Services. */
  readonly destinations: readonly string[];
  readonly terms: RetryTerms;
}

/** How clients connect. undefined: unlimited, or Envoy's default. */
export interface ConnectionTerms {
  readonly maxConnections: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly maxRequests: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxRetries: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
}

/** A token bucket: `count` per `unitMs`, and `burst` more at once. */
export interface LocalLimit {
  readonly count: number;
  readonly unitMs: number;
  readonly burst: number;
}

/** A local limit of HTTP requests and what the refused are told. */
export interface LocalHttpLimit extends LocalLimit {
  readonly status: number;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

/** A header in a descriptor of a rate limit service. */
export interface DescriptorHeader {
  readonly name: string;
  readonly kind: "exact" | "prefix" | "suffix" | "regex" | "contains" | "present";
  /** For `present`: "true" or "false". */
  readonly value: string;
}

/** One entry of a descriptor for HTTP. */
export type DescriptorEntry =
  | { readonly kind: "genericKey"; readonly key: string | undefined; readonly value: string }
  | { readonly kind: "remoteAddress" }
  | { readonly kind: "requestHeader"; readonly name: string; readonly key: string }
  | {
      readonly kind: "headerValueMatch";
      readonly key: string | undefined;
      readonly value: string;
      readonly headers: readonly DescriptorHeader[];
      readonly expectMatch: boolean;
    };

/** A list of entries that is limited together. */
export type Descriptor = readonly DescriptorEntry[];

/** A rate limit service (gRPC, `envoy.service.ratelimit.v3`) and how it is asked. */
export interface RateLimitService {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  /** Milliseconds. */
  readonly timeoutMs: number;
  readonly failOpen: boolean;
}

/** A global limit of TCP connections. */
export interface GlobalTcpLimit extends RateLimitService {
  readonly descriptors: readonly (readonly { readonly key: string; readonly value: string }[])[];
}

/** A global limit of HTTP requests. */
export interface GlobalHttpLimit extends RateLimitService {
  readonly descriptors: readonly Descriptor[];
  readonly xRateLimitHeaders: boolean;
  readonly status: number;
}

/** Faults that are put into a share of the requests, at the client. */
export interface FaultTerms {
  /** `percent` of 0 to 100, with fractions. */
  readonly delay: { readonly ms: number; readonly percent: number } | undefined;
  readonly abort: { readonly status: number; readonly percent: number } | undefined;
}

/** When an endpoint is left out for a while. */
export interface OutlierTerms {
  /** 5xx answers or failed connections in a row. */
  readonly consecutiveErrors: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** 0 to 100. */
  readonly maxEjectionPercent: number;
}

/** How an endpoint is chosen. */
export type LoadBalancing =
  | { readonly kind: "round-robin" | "least-request" | "random" }
  /** The same header value goes to the same endpoint. */
  | { readonly kind: "hash"; readonly header: string }
  | { readonly kind: "source-address" };

/** Terms of one path of an UpstreamTrafficSetting. */
export interface RouteTerms {
  /** RE2 as written, compared byte for byte with the paths of allowed routes. */
  readonly path: string;
  readonly localLimit: LocalHttpLimit | undefined;
  readonly descriptors: readonly Descriptor[];
  readonly fault: FaultTerms | undefined;
  readonly timeoutMs: number | undefined;
}

/** OSM UpstreamTrafficSetting, with what this mesh adds: faults, outliers, time limits, load balancing. */
export interface UpstreamTrafficSetting extends PolicyObject {
  /** As written, lower case, without trailing dot. */
  readonly host: string;
  /** Key of the Service of the object's namespace that `host` names; undefined: a host outside the mesh (for Egress). */
  readonly service: string | undefined;
  readonly connection: ConnectionTerms;
  readonly localTcp: LocalLimit | undefined;
  readonly localHttp: LocalHttpLimit | undefined;
  readonly globalTcp: GlobalTcpLimit | undefined;
  readonly globalHttp: GlobalHttpLimit | undefined;
  readonly routes: readonly RouteTerms[];
  readonly fault: FaultTerms | undefined;
  readonly outlier: OutlierTerms | undefined;
  readonly loadBalancing: LoadBalancing | undefined;
  /** Of a whole request; undefined: none. */
  readonly timeoutMs: number | undefined;
}

/** OSM Telemetry. */
export interface Telemetry extends PolicyObject {
  /** Empty: all pods of the namespace (of the mesh, in the control plane's namespace). */
  readonly selector: Readonly<Record<string, string>>;
  readonly accessLog:
    | {
        readonly format: string | undefined;
        /** Only of requests that failed. */
        readonly onlyFailures: boolean;
        readonly openTelemetry:
          | {
              /** Key of an ExtensionService. */
              readonly service: string;
              readonly attributes: Readonly<Record<string, string>>;
            }
          | undefined;
      }
    | undefined;
  /** Share of the traces that these pods begin, in percent; undefined: as MeshConfig says. */
  readonly samplingPercentage: number | undefined;
}

/** OSM ExtensionService. */
export interface ExtensionService extends PolicyObject {
  readonly host: string;
  readonly port: number;
  readonly http2: boolean;
  readonly connectTimeoutMs: number | undefined;
}
