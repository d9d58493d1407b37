/**
 * MeshConfig (`config.openservicemesh.io/v1alpha2`): the one object that steers the mesh, named `osm-mesh-config` in the
 * control-plane namespace. Field names, types and meanings are OSM's.
 */

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

/** The whole spec with every default filled in (see {@link DEFAULT_MESH_CONFIG}). */
export interface MeshConfigSpec {
  readonly sidecar: {
    readonly enablePrivilegedInitContainer: boolean;
    readonly logLevel: SidecarLogLevel;
    /** "" means the image this release was tested with. */
    readonly envoyImage: string;
    readonly envoyWindowsImage: string;
    readonly initContainerImage: string;
    /** Streams per ADS replica; 0 is unlimited. */
    readonly maxDataPlaneConnections: number;
    /** Go duration; below 30s is off. Content-hash versions make a resync send nothing that is already there. */
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
    };
  };
  readonly certificate: {
    /** Go duration. */
    readonly serviceCertValidityDuration: string;
    readonly certKeyBitSize: number;
    readonly ingressGateway:
      | {
          readonly subjectAltNames: readonly string[];
          readonly validityDuration: string;
          readonly secret: { readonly name: string; readonly namespace: string };
        }
      | undefined;
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
