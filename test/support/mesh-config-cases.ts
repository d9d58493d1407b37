/** One bad MeshConfig: field, value, and what the finding must say besides the field. */
export interface BadField {
  readonly field: string;
  readonly value: unknown;
  readonly says: string;
}

const flags = [
  "spec.sidecar.enablePrivilegedInitContainer",
  "spec.traffic.enableEgress",
  "spec.traffic.enablePermissiveTrafficPolicyMode",
  "spec.traffic.inboundExternalAuthorization.enable",
  "spec.traffic.inboundExternalAuthorization.failureModeAllow",
  "spec.observability.enableDebugServer",
  "spec.observability.tracing.enable",
  ...[
    ...["enableWASMStats", "enableEgressPolicy", "enableMulticlusterMode", "enableSnapshotCacheMode"],
    ...["enableAsyncProxyServiceMapping", "enableIngressBackendPolicy", "enableEnvoyActiveHealthChecks"],
    ...["enableRetryPolicy", "enableMeshRootCertificate"],
  ].map(name => `spec.featureFlags.${name}`),
];

const words: readonly (readonly [string, string])[] = [
  ["spec.sidecar.logLevel", "must be one of trace, debug, info, warning, warn, error, critical, off"],
  ["spec.sidecar.tlsMinProtocolVersion", "must be one of TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3"],
  ["spec.sidecar.tlsMaxProtocolVersion", "must be one of TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3"],
  ["spec.sidecar.localProxyMode", "must be one of Localhost, PodIP"],
  ["spec.traffic.pathRegexMatch", "must be one of Prefix, Full"],
  ["spec.traffic.podAddresses", "must be one of Headless, Mesh"],
  ["spec.traffic.pathWithEscapedSlashes", "must be one of RejectRequest, KeepUnchanged, UnescapeAndForward"],
  [
    "spec.observability.osmLogLevel",
    "must be one of trace, debug, info, warn, error, fatal, panic, disabled",
  ],
];

const durations = [
  "spec.sidecar.configResyncInterval",
  "spec.traffic.inboundExternalAuthorization.timeout",
  "spec.certificate.serviceCertValidityDuration",
];

const ranges = ["spec.traffic.outboundIPRangeExclusionList", "spec.traffic.outboundIPRangeInclusionList"];
const portLists = ["spec.traffic.outboundPortExclusionList", "spec.traffic.inboundPortExclusionList"];

const gateway = "spec.certificate.ingressGateway";
const secret = { name: "gateway", namespace: "ingress" };

/** Values that both the API server's schema and the webhook's validation refuse, one for each rule of each field. */
export const BAD_FIELDS: readonly BadField[] = [
  ...flags.map(field => ({ field, value: "yes", says: 'must be true or false; it is "yes"' })),
  ...words.flatMap(([field, says]) => [
    { field, value: "loud", says: `${says}; it is "loud"` },
    { field, value: 7, says },
  ]),
  ...durations.flatMap(field => [
    { field, value: "1 day", says: 'must be a duration like 30s, 1m30s or 24h; it is "1 day"' },
    { field, value: "-5s", says: "must be a duration" },
    { field, value: "", says: "must be a duration" },
    { field, value: 30, says: "must be a duration" },
  ]),
  ...ranges.flatMap(field => [
    { field: `${field}[0]`, value: "10.0.0.1", says: "must be an address range" },
    { field: `${field}[0]`, value: "10.0.0.0/33", says: "must be an address range" },
    { field: `${field}[0]`, value: "256.0.0.0/8", says: "must be an address range" },
    { field: `${field}[0]`, value: "fd00::/129", says: "must be an address range" },
    { field: `${field}[0]`, value: "example.com/8", says: "must be an address range" },
    { field: `${field}[0]`, value: "10.0.0.0/8; reboot", says: "must be an address range" },
  ]),
  ...portLists.flatMap(field => [
    { field: `${field}[0]`, value: 0, says: "must be a whole number from 1 to 65535; it is 0" },
    { field: `${field}[0]`, value: 65_536, says: "must be a whole number from 1 to 65535; it is 65536" },
    { field: `${field}[0]`, value: "80", says: "must be a whole number" },
    { field: `${field}[0]`, value: 1.5, says: "must be a whole number" },
  ]),
  { field: "spec.sidecar.envoyImage", value: 1, says: "must be a text" },
  { field: "spec.sidecar.envoyWindowsImage", value: true, says: "must be a text" },
  { field: "spec.sidecar.initContainerImage", value: [], says: "must be a text" },
  { field: "spec.sidecar.maxDataPlaneConnections", value: -1, says: "must be a whole number from 0" },
  { field: "spec.sidecar.maxDataPlaneConnections", value: "5", says: "must be a whole number from 0" },
  { field: "spec.sidecar.resources.limits.cpu", value: "much", says: "must be a quantity" },
  { field: "spec.sidecar.resources.requests.memory", value: {}, says: "must be a quantity" },
  { field: "spec.sidecar.cipherSuites[0]", value: "", says: "must be the name of a cipher suite" },
  { field: "spec.sidecar.cipherSuites", value: "ECDHE", says: "must be a list" },
  { field: "spec.sidecar.ecdhCurves[0]", value: 25519, says: "must be one of X25519, x25519, P-256" },
  {
    field: "spec.traffic.networkInterfaceExclusionList[0]",
    value: "a".repeat(16),
    says: "network interface",
  },
  {
    field: "spec.traffic.networkInterfaceExclusionList[0]",
    value: "eth0; reboot",
    says: "network interface",
  },
  ...["eth/0", "eth0:1", "two words", ".", "..", "+", "-i", "a'b", "é"].map(value => ({
    field: "spec.traffic.networkInterfaceExclusionList[0]",
    value,
    says: "network interface",
  })),
  ...[15000, 15001, 15003, 15010, 15901, 15904].map(value => ({
    field: "spec.traffic.inboundPortExclusionList[0]",
    value,
    says: "belongs to the sidecar and cannot be excluded",
  })),
  { field: "spec.traffic.inboundExternalAuthorization.address", value: 9, says: "must be a host name" },
  { field: "spec.traffic.inboundExternalAuthorization.port", value: 70_000, says: "must be a whole number" },
  { field: "spec.traffic.inboundExternalAuthorization.statPrefix", value: 1, says: "must be a text" },
  { field: "spec.observability.tracing.address", value: 1, says: "must be a host name" },
  { field: "spec.observability.tracing.port", value: 0, says: "must be a whole number from 1" },
  { field: "spec.observability.tracing.port", value: 65_536, says: "must be a whole number from 1" },
  { field: "spec.observability.tracing.protocol", value: "jaeger", says: "must be one of zipkin, otlp" },
  { field: "spec.observability.tracing.samplingPercentage", value: 100.5, says: "must be a number from 0" },
  { field: "spec.observability.tracing.samplingPercentage", value: "5", says: "must be a number from 0" },
  { field: "spec.observability.tracing.samplingPercentage", value: -1, says: "must be a number from 0" },
  { field: "spec.observability.tracing.endpoint", value: 5, says: "must be a path" },
  {
    field: "spec.certificate.certKeyBitSize",
    value: 1_024,
    says: "must be a whole number from 2048 to 4096",
  },
  {
    field: "spec.certificate.certKeyBitSize",
    value: 8_192,
    says: "must be a whole number from 2048 to 4096",
  },
  { field: `${gateway}.validityDuration`, value: undefined, says: "is required" },
  { field: `${gateway}.secret.namespace`, value: undefined, says: "is required" },
  { field: `${gateway}.subjectAltNames`, value: [], says: "must have at least 1 item" },
];

/** Values that only the webhook's validation refuses: the schema cannot say it. */
export const BAD_ONLY_BY_VALIDATION: readonly BadField[] = [
  { field: "spec.certificate.serviceCertValidityDuration", value: "59s", says: "must be at least 60s" },
  {
    field: "spec.traffic.inboundExternalAuthorization.timeout",
    value: "0s",
    says: "must be at least 0.001s",
  },
  { field: "spec.traffic.inboundExternalAuthorization.address", value: "a b", says: "must be a host name" },
  { field: "spec.observability.tracing.endpoint", value: "api", says: "must be a path that begins with /" },
  {
    field: "spec.traffic.outboundIPRangeExclusionList[0]",
    value: "::1::2/64",
    says: "must be an address range",
  },
  { field: "spec.sidecar.cipherSuites[0]", value: "A:B", says: "must be the name of a cipher suite" },
  {
    field: "spec.sidecar.cipherSuites[0]",
    value: "TLS_AES_128_GCM_SHA256",
    says: "must be the name of a cipher suite of TLS 1.2 (those of TLS 1.3 cannot be chosen)",
  },
  { field: "spec.sidecar.ecdhCurves[0]", value: "secp256r1", says: 'it is "secp256r1"' },
  { field: `${gateway}.subjectAltNames[0]`, value: "a b", says: "must be a host name" },
  { field: `${gateway}.secret.name`, value: "Not_A_Name", says: "must be the name of an object" },
  { field: `${gateway}.validityDuration`, value: "1s", says: "must be at least 60s" },
];

/** A MeshConfig that is right but for one field. */
export function meshConfigWith({ field, value }: Pick<BadField, "field" | "value">): Record<string, unknown> {
  const object = {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "MeshConfig",
    metadata: { name: "osm-mesh-config", namespace: "osm-system" },
    spec: field.startsWith(gateway)
      ? { certificate: { ingressGateway: { subjectAltNames: ["a.b"], validityDuration: "24h", secret } } }
      : {},
  };
  const copy = structuredClone(object) as Record<string, unknown>;
  const parts = field.replaceAll(/\[(\d+)\]/g, ".$1").split(".");
  let at: Record<string, unknown> = copy;
  parts.forEach((part, index) => {
    if (index === parts.length - 1) {
      at[part] = value;
      return;
    }
    at[part] ??= /^\d+$/.test(parts[index + 1] ?? "") ? [] : {};
    at = at[part] as Record<string, unknown>;
  });
  return copy;
}
