/**
 * MeshConfig (`config.openservicemesh.io/v1alpha2`): the one object that steers the mesh, named `osm-mesh-config` in the
 * control-plane namespace. Field names, types and meanings are OSM's. What is wrong with one is told by mesh-config-rules.ts.
 */

import { fieldsOf } from "./field";

/** TLS versions in MeshConfig's words. */
export type TlsVersion = "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";
/** Envoy log levels in MeshConfig's words. */
export type SidecarLogLevel = "trace" | "debug" | "info" | "warning" | "warn" | "error" | "critical" | "off";
/** Control-plane log levels in MeshConfig's words. */
export type OsmLogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "panic" | "disabled";

/** Kubernetes resource requirements; quantities as written. */
export interface ResourceRequirements {
  readonly limits?: Readonly<Record<string, string>>;
  readonly requests?: Readonly<Record<string, string>>;
}

/** The client certificate of an ingress controller, and the Secret it is kept in. */
export interface IngressGateway {
  /** DNS names in the certificate; the first is its common name. */
  readonly subjectAltNames: readonly string[];
  /** Go duration. */
  readonly validityDuration: string;
  readonly secret: { readonly name: string; readonly namespace: string };
}

/** Names under which the control plane has rights on the Secret of an ingress gateway, in every namespace. */
export const GATEWAY_SECRET_NAMES: readonly string[] = [
  "osm-nginx-client-cert",
  "osm-contour-envoy-client-cert",
  "osm-ingress-client-cert",
];

/** The whole spec with every default filled in (see {@link DEFAULT_MESH_CONFIG}). */
export interface MeshConfigSpec {
  readonly sidecar: {
    readonly enablePrivilegedInitContainer: boolean;
    readonly logLevel: SidecarLogLevel;
    /** "" means the image this release was tested with. */
    readonly envoyImage: string;
    /** Without effect: Windows pods get no sidecar. */
    readonly envoyWindowsImage: string;
    readonly initContainerImage: string;
    /** Streams per ADS replica; 0 is unlimited. */
    readonly maxDataPlaneConnections: number;
    /** Go duration; below 30s is off. Everything is listed anew so often, and proxies are sent what turns out to differ. */
    readonly configResyncInterval: string;
    readonly resources: ResourceRequirements;
    readonly tlsMinProtocolVersion: TlsVersion;
    readonly tlsMaxProtocolVersion: TlsVersion;
    readonly cipherSuites: readonly string[];
    readonly ecdhCurves: readonly string[];
    readonly localProxyMode: "Localhost" | "PodIP";
  };
  readonly traffic: {
    readonly enableEgress: boolean;
    readonly outboundIPRangeExclusionList: readonly string[];
    readonly outboundIPRangeInclusionList: readonly string[];
    readonly outboundPortExclusionList: readonly number[];
    readonly inboundPortExclusionList: readonly number[];
    readonly networkInterfaceExclusionList: readonly string[];
    readonly enablePermissiveTrafficPolicyMode: boolean;
    /**
     * How much of a path (without its query) a `pathRegex` must fit: `Prefix` its beginning, as SMI says; `Full` all of it, as
     * Open Service Mesh read it.
     */
    readonly pathRegexMatch: "Prefix" | "Full";
    /**
     * What becomes of a request with an escaped slash or backslash (`%2F`, `%5C`) in its path: `RejectRequest` answers 400;
     * `KeepUnchanged` hands it on, and rules see the path as it is written; `UnescapeAndForward` makes it a slash first, for
     * rules and application alike.
     */
    readonly pathWithEscapedSlashes: "RejectRequest" | "KeepUnchanged" | "UnescapeAndForward";
    /**
     * What a sidecar is told of: `Mesh` every Service of the mesh; `Permitted` those that a TrafficTarget or permissive mode lets
     * its identity call, and pods' own addresses for headless ones, as long as `enableEgress` is false and no Egress names it (else
     * calls of the others would leave the mesh in plaintext).
     */
    readonly clientScope: "Mesh" | "Permitted";
    /**
     * Which pods can be called by their own addresses: `Headless` those that a headless Service picks, at the ports it names;
     * `Mesh` all, at every port that a Service leads to. Where `clientScope` `Permitted` is in effect it is `Headless`.
     */
    readonly podAddresses: "Headless" | "Mesh";
    readonly inboundExternalAuthorization: {
      readonly enable: boolean;
      readonly address: string;
      readonly port: number;
      readonly statPrefix: string;
      readonly timeout: string;
      readonly failureModeAllow: boolean;
    };
  };
  readonly observability: {
    readonly osmLogLevel: OsmLogLevel;
    readonly enableDebugServer: boolean;
    readonly tracing: {
      readonly enable: boolean;
      readonly address: string;
      readonly port: number;
      readonly endpoint: string;
      /** `zipkin`: JSON over HTTP, to `endpoint`. `otlp`: OpenTelemetry's protocol over gRPC without TLS. */
      readonly protocol: "zipkin" | "otlp";
      /** Share of the traces begun in the mesh of which spans are sent, 0 to 100 in steps of 0.01. */
      readonly samplingPercentage: number;
    };
  };
  readonly certificate: {
    /** Go duration. */
    readonly serviceCertValidityDuration: string;
    /** Without effect: keys are ECDSA P-256. */
    readonly certKeyBitSize: number;
    /** A client certificate that is kept for an ingress controller; undefined: none. */
    readonly ingressGateway: IngressGateway | undefined;
  };
  readonly featureFlags: {
    readonly enableWASMStats: boolean;
    readonly enableEgressPolicy: boolean;
    readonly enableMulticlusterMode: boolean;
    readonly enableSnapshotCacheMode: boolean;
    readonly enableAsyncProxyServiceMapping: boolean;
    readonly enableIngressBackendPolicy: boolean;
    readonly enableEnvoyActiveHealthChecks: boolean;
    readonly enableRetryPolicy: boolean;
    readonly enableMeshRootCertificate: boolean;
  };
}

/** Defaults of OSM's chart, except TLS (1.3 at both ends, see docs/decisions). */
export const DEFAULT_MESH_CONFIG: MeshConfigSpec = {
  sidecar: {
    enablePrivilegedInitContainer: false,
    logLevel: "error",
    envoyImage: "",
    envoyWindowsImage: "",
    initContainerImage: "",
    maxDataPlaneConnections: 0,
    configResyncInterval: "0s",
    resources: {},
    tlsMinProtocolVersion: "TLSv1_3",
    tlsMaxProtocolVersion: "TLSv1_3",
    cipherSuites: [],
    ecdhCurves: [],
    localProxyMode: "Localhost",
  },
  traffic: {
    enableEgress: true,
    outboundIPRangeExclusionList: [],
    outboundIPRangeInclusionList: [],
    outboundPortExclusionList: [],
    inboundPortExclusionList: [],
    networkInterfaceExclusionList: [],
    enablePermissiveTrafficPolicyMode: true,
    pathRegexMatch: "Prefix",
    pathWithEscapedSlashes: "RejectRequest",
    clientScope: "Mesh",
    podAddresses: "Headless",
    inboundExternalAuthorization: {
      enable: false,
      address: "",
      port: 0,
      statPrefix: "inboundExtAuthz",
      timeout: "1s",
      failureModeAllow: false,
    },
  },
  observability: {
    osmLogLevel: "info",
    enableDebugServer: false,
    tracing: {
      enable: false,
      address: "jaeger.osm-system.svc.cluster.local",
      port: 9411,
      endpoint: "/api/v2/spans",
      protocol: "zipkin",
      samplingPercentage: 100,
    },
  },
  certificate: {
    serviceCertValidityDuration: "24h",
    certKeyBitSize: 2048,
    ingressGateway: undefined,
  },
  featureFlags: {
    enableWASMStats: true,
    enableEgressPolicy: true,
    enableMulticlusterMode: false,
    enableSnapshotCacheMode: false,
    enableAsyncProxyServiceMapping: false,
    enableIngressBackendPolicy: true,
    enableEnvoyActiveHealthChecks: false,
    enableRetryPolicy: false,
    enableMeshRootCertificate: false,
  },
};

/**
 * In force until a process has seen any MeshConfig that can be used: nothing passes that nobody has allowed. The first
 * one is created before anything is served, so this is what a lost or unusable object means, not a fresh installation.
 */
export const CLOSED_MESH_CONFIG: MeshConfigSpec = {
  ...DEFAULT_MESH_CONFIG,
  traffic: { ...DEFAULT_MESH_CONFIG.traffic, enableEgress: false, enablePermissiveTrafficPolicyMode: false },
};

/** Resyncs more frequent than this are off, milliseconds (OSM's rule). */
const SHORTEST_RESYNC_MS = 30_000;

/** Whether a resync interval is one at all. `ms` in milliseconds. */
export function isResyncInterval(ms: number): boolean {
  return ms >= SHORTEST_RESYNC_MS;
}

/**
 * The spec as it is written, with every default filled in and nothing else in it. `spec` must have passed validation:
 * what it gives is taken as it is.
 */
export function completeMeshConfig(spec: unknown): MeshConfigSpec {
  const complete = filled(DEFAULT_MESH_CONFIG, spec) as MeshConfigSpec;
  const { sidecar, certificate } = complete;
  return {
    ...complete,
    sidecar: { ...sidecar, resources: resourcesOf(sidecar.resources) },
    certificate: { ...certificate, ingressGateway: gatewayOf(certificate.ingressGateway) },
  };
}

/** Every field of the defaults, as given where it is given. */
function filled(defaults: object, given: unknown): object {
  const fields = fieldsOf(given);
  return Object.fromEntries(
    Object.entries(defaults).map(([name, value]: [string, unknown]) => {
      const own = fields[name] ?? undefined;
      if (typeof value !== "object" || value === null || Array.isArray(value)) return [name, own ?? value];
      // An empty default is a map whose keys are the owner's.
      if (Object.keys(value).length === 0) return [name, own ?? value];
      return [name, filled(value, own)];
    }),
  );
}

/** Quantities as text, in a fixed order: a number means the same as its digits. */
function resourcesOf(given: ResourceRequirements): ResourceRequirements {
  const texts = (map: unknown): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Object.entries(fieldsOf(map))
        .map(([name, amount]) => [name, String(amount)] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const { limits, requests } = given;
  return {
    ...(limits === undefined ? {} : { limits: texts(limits) }),
    ...(requests === undefined ? {} : { requests: texts(requests) }),
  };
}

function gatewayOf(given: IngressGateway | undefined): IngressGateway | undefined {
  if (given === undefined) return undefined;
  const { subjectAltNames, validityDuration, secret } = given;
  return { subjectAltNames, validityDuration, secret: { name: secret.name, namespace: secret.namespace } };
}
