/**
 * What is wrong with a MeshConfig, and what of it has no effect. The only judge: the webhook refuses by these rules, the
 * mesh takes over only what passes them, and status tells what they find.
 */

import type { Diagnostic } from "../model/diagnostic";
import { parseDuration } from "../model/duration";
import { isInterfaceName } from "../model/interface-name";
import { MESH_CONFIG_NAME, RESERVED_PORTS } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";
import type { TlsVersion } from "./mesh-config";
import { DEFAULT_MESH_CONFIG, GATEWAY_SECRET_NAMES, isResyncInterval } from "./mesh-config";
import { cipherSuite, ecdhCurves } from "./tls-words";

const TLS_VERSIONS: readonly TlsVersion[] = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];

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
  // Envoy reads TLS_AUTO as 1.2 for a minimum and as 1.3 for a maximum.
  const low = TLS_VERSIONS.indexOf(min === "TLS_AUTO" ? "TLSv1_2" : min);
  const high = TLS_VERSIONS.indexOf(max === "TLS_AUTO" ? "TLSv1_3" : max);
  // A word that is none has been told of already.
  if (low < 0 || high < 0 || low <= high) return;
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

/** Warns of a value that asks for something the mesh does not do. */
function idleUnless(fine: (value: unknown) => boolean, why: string): is.Check {
  return (value, place) => {
    if (!fine(value)) place.warn(`(${is.quote(value)}) has no effect: ${why}`);
  };
}

const resyncs: is.Check = (value, place) => {
  const ms = typeof value === "string" ? parseDuration(value) : undefined;
  if (ms !== undefined && ms > 0 && !isResyncInterval(ms)) {
    place.warn(`(${is.quote(value)}) is below 30s, which means no resync`);
  }
};

const sidecar = is.all(
  is.object({
    ...flags("enablePrivilegedInitContainer"),
    logLevel: is.word("trace", "debug", "info", "warning", "warn", "error", "critical", "off"),
    envoyImage: is.text(1_024, 0),
    envoyWindowsImage: is.all(
      is.text(1_024, 0),
      idleUnless(value => value === "", "Windows pods get no sidecar"),
    ),
    initContainerImage: is.text(1_024, 0),
    maxDataPlaneConnections: is.integer(0, 2_147_483_647),
    configResyncInterval: is.all(is.duration(), resyncs),
    resources: is.all(is.object({ limits: quantities, requests: quantities }), requestsWithinLimits),
    tlsMinProtocolVersion: is.word(...TLS_VERSIONS),
    tlsMaxProtocolVersion: is.word(...TLS_VERSIONS),
    cipherSuites: is.list(cipherSuite),
    ecdhCurves,
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
  isInterfaceName,
);

/** Excluding them would open the sidecar's listeners to callers that the redirect rules keep away. */
const notReserved: is.Check = (value, place) => {
  if (RESERVED_PORTS.includes(value as number)) {
    place.error(`(${is.quote(value)}) belongs to the sidecar and cannot be excluded`);
  }
};

const traffic = is.object({
  pathRegexMatch: is.word("Prefix", "Full"),
  pathWithEscapedSlashes: is.word("RejectRequest", "KeepUnchanged", "UnescapeAndForward"),
  clientScope: is.word("Mesh", "Permitted"),
  podAddresses: is.word("Headless", "Mesh"),
  ...flags("enableEgress", "enablePermissiveTrafficPolicyMode"),
  outboundIPRangeExclusionList: is.list(is.cidr),
  outboundIPRangeInclusionList: is.list(is.cidr),
  outboundPortExclusionList: is.list(is.port),
  inboundPortExclusionList: is.list(is.all(is.port, notReserved)),
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

const ZIPKIN_PORT = DEFAULT_MESH_CONFIG.observability.tracing.port;

const observability = is.object({
  osmLogLevel: is.word("trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"),
  ...flags("enableDebugServer"),
  tracing: is.all(
    is.object({
      ...flags("enable"),
      address: peer,
      port: is.port,
      endpoint: is.textLike("a path that begins with /", text => /^\/[\x21-\x7e]{0,1023}$/.test(text)),
      protocol: is.word("zipkin", "otlp"),
      samplingPercentage: is.percentage,
    }),
    (value, place) => {
      const tracing = { ...DEFAULT_MESH_CONFIG.observability.tracing, ...is.fieldsOf(value) };
      enabledNeeds("address")(tracing, place);
      if (tracing.enable && tracing.protocol === "otlp" && tracing.port === ZIPKIN_PORT)
        place.warn(`sends OTLP to port ${ZIPKIN_PORT}, which is Zipkin's; collectors take OTLP at 4317`);
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

/** Rights on Secrets are given by name, so that the control plane cannot read everybody's. */
const grantedName: is.Check = (value, place) => {
  if (GATEWAY_SECRET_NAMES.includes(value as string)) return;
  place.warn(
    `(${is.quote(value)}) needs a Role that lets the account pepr-osm of pepr-system get, patch and delete it; ` +
      `there are rights on ${GATEWAY_SECRET_NAMES.join(", ")}`,
  );
};

const certificate = is.object({
  serviceCertValidityDuration: leafValidity,
  certKeyBitSize: is.all(
    is.integer(2_048, 4_096),
    idleUnless(value => value === DEFAULT_MESH_CONFIG.certificate.certKeyBitSize, "keys are ECDSA P-256"),
  ),
  ingressGateway: is.object(
    {
      subjectAltNames: is.list(is.host, 1),
      validityDuration: is.duration(SHORTEST_LEAF_MS),
      secret: is.object({ name: is.all(is.objectName, grantedName), namespace: is.labelName }, [
        "name",
        "namespace",
      ]),
    },
    ["subjectAltNames", "validityDuration", "secret"],
  ),
});

const KEPT = "kept for manifests of Open Service Mesh";

/** Flags by the value that asks for something the mesh does not do, and why. Flags that are not here are honoured. */
const IDLE_FLAGS: Readonly<Record<string, readonly [boolean, string]>> = {
  enableWASMStats: [false, "statistics are Envoy's own and cannot be switched off"],
  enableEgressPolicy: [false, "Egress policies are always read"],
  enableMulticlusterMode: [true, KEPT],
  enableSnapshotCacheMode: [true, KEPT],
  enableAsyncProxyServiceMapping: [true, KEPT],
  enableIngressBackendPolicy: [false, "IngressBackend policies are always read"],
  enableEnvoyActiveHealthChecks: [true, "proxies do not check the health of endpoints yet"],
};

function featureFlag(name: string): is.Check {
  const [idle, why] = IDLE_FLAGS[name] ?? [];
  if (why === undefined) return is.flag;
  return is.all(
    is.flag,
    idleUnless(value => value !== idle, why),
  );
}

const featureFlags = is.object(
  Object.fromEntries(Object.keys(DEFAULT_MESH_CONFIG.featureFlags).map(name => [name, featureFlag(name)])),
);

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
    featureFlags,
  }),
});

/** What is wrong with a MeshConfig; an error means it must not be stored. */
export function validateMeshConfig(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
