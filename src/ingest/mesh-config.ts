import type { MeshConfigSpec } from "../api/mesh-config";
import { DEFAULT_MESH_CONFIG } from "../api/mesh-config";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { asArray, asObject, asText, asTextMap, metaOf } from "./fields";

/** API group of the mesh's own configuration. */
export const CONFIG_GROUP = "config.openservicemesh.io";

/** Reads one field: the value, or undefined when it is not one this field can have. */
type Field<T> = (raw: unknown) => T | undefined;
type Fields<T> = { readonly [K in keyof T]-?: Reading<T[K]> };
/** Reads a field or a section; what cannot be used is reported by path and replaced by `fallback`. */
type Reading<T> = (raw: unknown, fallback: T, at: Place) => T;

interface Place {
  readonly path: string;
  readonly report: (path: string, message: string) => void;
}

const TLS_VERSIONS = ["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"] as const;
const DURATION = /^(0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$/;

const isBoolean: Field<boolean> = raw => (typeof raw === "boolean" ? raw : undefined);
const isText: Field<string> = raw => (typeof raw === "string" ? raw : undefined);
const isDuration: Field<string> = raw => (typeof raw === "string" && DURATION.test(raw) ? raw : undefined);
const isTexts: Field<readonly string[]> = raw =>
  Array.isArray(raw) && raw.every(item => typeof item === "string") ? raw : undefined;
const isPorts: Field<readonly number[]> = raw =>
  Array.isArray(raw) && raw.every(item => isCount(1, 65535)(item) !== undefined)
    ? (raw as number[])
    : undefined;

function isCount(min: number, max: number): Field<number> {
  return raw =>
    typeof raw === "number" && Number.isInteger(raw) && raw >= min && raw <= max ? raw : undefined;
}

function isOneOf<const T extends string>(...words: readonly T[]): Field<T> {
  return raw => words.find(word => word === raw);
}

function field<T>(check: Field<T>): Reading<T> {
  return (raw, fallback, at) => {
    if (raw === undefined || raw === null) return fallback;
    const value = check(raw);
    if (value === undefined)
      at.report(at.path, `${at.path} has a value that it cannot have; its default is used`);
    return value ?? fallback;
  };
}

function section<T extends object>(fields: Fields<T>): Reading<T> {
  return (raw, fallback, at) => {
    const given = asObject(raw);
    const result: Partial<Record<keyof T, unknown>> = {};
    for (const key of Object.keys(fields) as (keyof T & string)[]) {
      result[key] = fields[key](given[key], fallback[key], { ...at, path: `${at.path}.${key}` });
    }
    return result as T;
  };
}

const isResources: Field<MeshConfigSpec["sidecar"]["resources"]> = raw => {
  const { limits, requests } = asObject(raw);
  return {
    ...(limits === undefined ? {} : { limits: asTextMap(limits) }),
    ...(requests === undefined ? {} : { requests: asTextMap(requests) }),
  };
};

const isGateway: Field<MeshConfigSpec["certificate"]["ingressGateway"]> = raw => {
  const gateway = asObject(raw);
  const secret = asObject(gateway["secret"]);
  const name = asText(secret["name"]);
  const namespace = asText(secret["namespace"]);
  const validityDuration = isDuration(gateway["validityDuration"]);
  const subjectAltNames = asArray(gateway["subjectAltNames"]).flatMap(san => asText(san) ?? []);
  if (name === undefined || namespace === undefined || validityDuration === undefined) return undefined;
  return subjectAltNames.length === 0
    ? undefined
    : { subjectAltNames, validityDuration, secret: { name, namespace } };
};

const readSpec = section<MeshConfigSpec>({
  sidecar: section<MeshConfigSpec["sidecar"]>({
    enablePrivilegedInitContainer: field(isBoolean),
    logLevel: field(isOneOf("trace", "debug", "info", "warning", "warn", "error", "critical", "off")),
    envoyImage: field(isText),
    envoyWindowsImage: field(isText),
    initContainerImage: field(isText),
    maxDataPlaneConnections: field(isCount(0, Number.MAX_SAFE_INTEGER)),
    configResyncInterval: field(isDuration),
    resources: field(isResources),
    tlsMinProtocolVersion: field(isOneOf(...TLS_VERSIONS)),
    tlsMaxProtocolVersion: field(isOneOf(...TLS_VERSIONS)),
    cipherSuites: field(isTexts),
    ecdhCurves: field(isTexts),
    localProxyMode: field(isOneOf("Localhost", "PodIP")),
  }),
  traffic: section<MeshConfigSpec["traffic"]>({
    enableEgress: field(isBoolean),
    outboundIPRangeExclusionList: field(isTexts),
    outboundIPRangeInclusionList: field(isTexts),
    outboundPortExclusionList: field(isPorts),
    inboundPortExclusionList: field(isPorts),
    networkInterfaceExclusionList: field(isTexts),
    enablePermissiveTrafficPolicyMode: field(isBoolean),
    inboundExternalAuthorization: section<MeshConfigSpec["traffic"]["inboundExternalAuthorization"]>({
      enable: field(isBoolean),
      address: field(isText),
      port: field(isCount(0, 65535)),
      statPrefix: field(isText),
      timeout: field(isDuration),
      failureModeAllow: field(isBoolean),
    }),
  }),
  observability: section<MeshConfigSpec["observability"]>({
    osmLogLevel: field(isOneOf("trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled")),
    enableDebugServer: field(isBoolean),
    tracing: section<MeshConfigSpec["observability"]["tracing"]>({
      enable: field(isBoolean),
      address: field(isText),
      port: field(isCount(1, 65535)),
      endpoint: field(isText),
    }),
  }),
  certificate: section<MeshConfigSpec["certificate"]>({
    serviceCertValidityDuration: field(isDuration),
    certKeyBitSize: field(isCount(0, Number.MAX_SAFE_INTEGER)),
    ingressGateway: field(isGateway),
  }),
  featureFlags: section<MeshConfigSpec["featureFlags"]>({
    enableWASMStats: field(isBoolean),
    enableEgressPolicy: field(isBoolean),
    enableMulticlusterMode: field(isBoolean),
    enableSnapshotCacheMode: field(isBoolean),
    enableAsyncProxyServiceMapping: field(isBoolean),
    enableIngressBackendPolicy: field(isBoolean),
    enableEnvoyActiveHealthChecks: field(isBoolean),
    enableRetryPolicy: field(isBoolean),
    enableMeshRootCertificate: field(isBoolean),
  }),
});

/**
 * The mesh configuration with every default filled in. A field that cannot be used takes its default, not its value
 * before: configuration is a function of the API's state alone, so that replicas agree.
 */
export function ingestMeshConfig(object: unknown): Compiled<MeshConfigSpec> {
  const { namespace, name } = metaOf(object);
  const subject: ObjectRef = { group: CONFIG_GROUP, kind: "MeshConfig", namespace, name };
  const diagnostics: Diagnostic[] = [];
  const report = (path: string, message: string): void => {
    diagnostics.push({ severity: "error", code: "InvalidField", subject, field: path, message });
  };
  const spec = readSpec(asObject(object)["spec"], DEFAULT_MESH_CONFIG, { path: "spec", report });
  return { value: withUsableTls(spec, report), diagnostics };
}

/** No version lies between a minimum and a smaller maximum: a proxy would refuse its whole configuration. */
function withUsableTls(spec: MeshConfigSpec, report: Place["report"]): MeshConfigSpec {
  const { tlsMinProtocolVersion: min, tlsMaxProtocolVersion: max } = spec.sidecar;
  // Envoy reads TLS_AUTO as 1.2 for a minimum and as 1.3 for a maximum.
  const lowest = min === "TLS_AUTO" ? "TLSv1_2" : min;
  const highest = max === "TLS_AUTO" ? "TLSv1_3" : max;
  if (TLS_VERSIONS.indexOf(highest) >= TLS_VERSIONS.indexOf(lowest)) return spec;
  report(
    "spec.sidecar.tlsMaxProtocolVersion",
    `spec.sidecar.tlsMaxProtocolVersion (${max}) is below spec.sidecar.tlsMinProtocolVersion (${min}); the defaults of both are used`,
  );
  const { tlsMinProtocolVersion, tlsMaxProtocolVersion } = DEFAULT_MESH_CONFIG.sidecar;
  return { ...spec, sidecar: { ...spec.sidecar, tlsMinProtocolVersion, tlsMaxProtocolVersion } };
}
