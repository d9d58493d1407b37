/**
 * MeshConfig (`config.openservicemesh.io/v1alpha2`): the one object that steers the mesh, named `osm-mesh-config` in the
 * control-plane namespace. Field names, types and meanings are OSM's.
 */

import type { Diagnostic } from "../model/diagnostic";
import { MESH_CONFIG_NAME } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import { parseDuration } from "../model/duration";
import * as is from "./field";

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

const TLS_VERSIONS: readonly TlsVersion[] = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];

/** Names of BoringSSL, also in its `[a|b]` form for equal preference. */
const CIPHER = is.textLike("the name of a cipher suite", text => /^[A-Za-z0-9_|[\]+-]{1,128}$/.test(text));

const flags = (...names: readonly string[]): Readonly<Record<string, is.Check>> =>
  Object.fromEntries(names.map(name => [name, is.flag]));

const quantities: is.Check = (value, place) => {
  is.object({})(value, place);
  for (const [name, amount] of Object.entries(is.fieldsOf(value))) {
    const parsed = is.quantityOf(amount);
    if (parsed === undefined)
      place.at(name).error(`must be a quantity like 100m or 64Mi; it is ${is.quote(amount)}`);
    else if (parsed < 0) place.at(name).error(`must not be negative; it is ${is.quote(amount)}`);
  }
};

/** A request above its limit would make the API server refuse every injected pod. */
const requestsWithinLimits: is.Check = (value, place) => {
  const { limits, requests } = is.fieldsOf(value);
  for (const [name, request] of Object.entries(is.fieldsOf(requests))) {
    const limit = is.fieldsOf(limits)[name];
    const asked = is.quantityOf(request);
    const allowed = is.quantityOf(limit);
    if (asked === undefined || allowed === undefined || asked <= allowed) continue;
    place
      .at("requests")
      .at(name)
      .error(`(${is.quote(request)}) is above limits.${name} (${is.quote(limit)})`);
  }
};

const tlsOrder: is.Check = (value, place) => {
  const { tlsMinProtocolVersion: min, tlsMaxProtocolVersion: max } = {
    ...DEFAULT_MESH_CONFIG.sidecar,
    ...is.fieldsOf(value),
  };
  const [low, high] = [TLS_VERSIONS.indexOf(min), TLS_VERSIONS.indexOf(max)];
  // TLS_AUTO (0) leaves that end to Envoy.
  if (low <= 0 || high <= 0 || low <= high) return;
  place.at("tlsMaxProtocolVersion").error(`(${max}) is below ${place.path}.tlsMinProtocolVersion (${min})`);
};

const oldTls: is.Check = (value, place) => {
  for (const name of ["tlsMinProtocolVersion", "tlsMaxProtocolVersion"]) {
    const version = is.fieldsOf(value)[name];
    if (version === "TLSv1_0" || version === "TLSv1_1") {
      place.at(name).warn(`(${version}) is broken and deprecated; use TLSv1_2 or TLSv1_3`);
    }
  }
};

const sidecar = is.all(
  is.object({
    ...flags("enablePrivilegedInitContainer"),
    logLevel: is.word("trace", "debug", "info", "warning", "warn", "error", "critical", "off"),
    envoyImage: is.text(1_024, 0),
    envoyWindowsImage: is.text(1_024, 0),
    initContainerImage: is.text(1_024, 0),
    maxDataPlaneConnections: is.integer(0, 2_147_483_647),
    configResyncInterval: is.duration(),
    resources: is.all(is.object({ limits: quantities, requests: quantities }), requestsWithinLimits),
    tlsMinProtocolVersion: is.word(...TLS_VERSIONS),
    tlsMaxProtocolVersion: is.word(...TLS_VERSIONS),
    cipherSuites: is.list(CIPHER),
    ecdhCurves: is.list(is.textLike("the name of a curve", text => /^[A-Za-z0-9_-]{1,64}$/.test(text))),
    localProxyMode: is.word("Localhost", "PodIP"),
  }),
  tlsOrder,
  oldTls,
);

/** What an enabled peer needs to be reached. */
function enabledNeeds(...names: readonly string[]): is.Check {
  return (value, place) => {
    const fields = is.fieldsOf(value);
    if (fields["enable"] !== true) return;
    for (const name of names) {
      if ([undefined, null, "", 0].includes(fields[name] as undefined)) {
        place.at(name).error(`is required when ${place.path}.enable is true`);
      }
    }
  };
}

const peer = is.textLike(
  "a host name or an address",
  text => text === "" || /^[A-Za-z0-9_.:-]{1,253}$/.test(text),
);

const NETWORK_INTERFACE = is.textLike(
  "the name of a network interface (at most 15 characters, + at the end for a prefix)",
  text => /^[A-Za-z0-9_.:@-]{1,15}[+]?$/.test(text),
);

const traffic = is.object({
  ...flags("enableEgress", "enablePermissiveTrafficPolicyMode"),
  outboundIPRangeExclusionList: is.list(is.cidr),
  outboundIPRangeInclusionList: is.list(is.cidr),
  outboundPortExclusionList: is.list(is.port),
  inboundPortExclusionList: is.list(is.port),
  networkInterfaceExclusionList: is.list(NETWORK_INTERFACE),
  inboundExternalAuthorization: is.all(
    is.object({
      ...flags("enable", "failureModeAllow"),
      address: peer,
      port: is.integer(0, 65_535),
      statPrefix: is.text(128),
      timeout: is.duration(1),
    }),
    enabledNeeds("address", "port"),
  ),
});

const observability = is.object({
  osmLogLevel: is.word("trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"),
  ...flags("enableDebugServer"),
  tracing: is.all(
    is.object({
      ...flags("enable"),
      address: peer,
      port: is.port,
      endpoint: is.textLike("a path that begins with /", text => /^\/[\x21-\x7e]{0,1023}$/.test(text)),
    }),
    (value, place) => {
      enabledNeeds("address")({ ...DEFAULT_MESH_CONFIG.observability.tracing, ...is.fieldsOf(value) }, place);
    },
  ),
});

/** Below this, leaves are renewed more often than a proxy can take them up. */
const SHORTEST_LEAF_MS = 60_000;
/** OSM's own floor. */
const SHORT_LEAF_MS = 600_000;

const leafValidity: is.Check = (value, place) => {
  is.duration(SHORTEST_LEAF_MS)(value, place);
  const ms = typeof value === "string" ? parseDuration(value) : undefined;
  if (ms !== undefined && ms >= SHORTEST_LEAF_MS && ms < SHORT_LEAF_MS) {
    place.warn(`(${is.quote(value)}) is below 10m: every proxy rebuilds its TLS contexts at half of it`);
  }
};

const certificate = is.object({
  serviceCertValidityDuration: leafValidity,
  certKeyBitSize: is.integer(2_048, 4_096),
  ingressGateway: is.object(
    {
      subjectAltNames: is.list(is.text(253), 1),
      validityDuration: is.duration(SHORTEST_LEAF_MS),
      secret: is.object({ name: is.objectName, namespace: is.labelName }, ["name", "namespace"]),
    },
    ["subjectAltNames", "validityDuration", "secret"],
  ),
});

const check = is.object({
  metadata: (value, place) => {
    const { name } = is.fieldsOf(value);
    if (name !== MESH_CONFIG_NAME) {
      place.at("name").warn(`is ${is.quote(name)}: only the object ${MESH_CONFIG_NAME} steers the mesh`);
    }
  },
  spec: is.object({
    sidecar,
    traffic,
    observability,
    certificate,
    featureFlags: is.object(flags(...Object.keys(DEFAULT_MESH_CONFIG.featureFlags))),
  }),
});

/** What is wrong with a MeshConfig; an error means it must not be stored. */
export function validateMeshConfig(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
