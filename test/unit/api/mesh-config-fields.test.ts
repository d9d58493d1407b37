import { expect } from "chai";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

const ROOT = path.resolve(__dirname, "..", "..", "..");
const read = (file: string): string => readFileSync(path.join(ROOT, file), "utf8");

/** Whole meshes of real sidecars, and a collector. */
const TRACES = "test/traffic/traces.test.ts";
const SCOPES = "test/golden/client-scope/given.yaml";
const ADDRESSES = "test/golden/tcp/given.yaml";
const RUNNING = "test/cluster/mesh-live-config.test.ts";
const NEW_PODS = "test/cluster/mesh-live-config-pods.test.ts";
const RENEWAL = "test/cluster/mesh-renewal.test.ts";
const RESYNC = "test/unit/runtime/resync.test.ts";
const GATEWAY = "test/api/mesh-config-kept.test.ts";
const ROTATION = "test/stream/root-rotation.test.ts";
/** Only tells that the flag is honoured. What it switches is to be seen by the tests of Retry, which then belong here. */
const HONOURED = "test/unit/api/mesh-config.test.ts";
/** Says which values of a field have no effect, and why. */
const README = "README.md";

/** Each field of a MeshConfig's spec with the file that changes it and observes the effect, or that says there is none. */
const OBSERVED: Readonly<Record<string, string>> = {
  "sidecar.enablePrivilegedInitContainer": NEW_PODS,
  "sidecar.logLevel": NEW_PODS,
  "sidecar.envoyImage": NEW_PODS,
  "sidecar.envoyWindowsImage": README,
  "sidecar.initContainerImage": NEW_PODS,
  "sidecar.maxDataPlaneConnections": NEW_PODS,
  "sidecar.configResyncInterval": RESYNC,
  "sidecar.resources.limits": NEW_PODS,
  "sidecar.resources.requests": NEW_PODS,
  "sidecar.tlsMinProtocolVersion": RUNNING,
  "sidecar.tlsMaxProtocolVersion": RUNNING,
  "sidecar.cipherSuites": RUNNING,
  "sidecar.ecdhCurves": RUNNING,
  "sidecar.localProxyMode": NEW_PODS,
  "traffic.enableEgress": RUNNING,
  "traffic.outboundIPRangeExclusionList": NEW_PODS,
  "traffic.outboundIPRangeInclusionList": NEW_PODS,
  "traffic.outboundPortExclusionList": NEW_PODS,
  "traffic.inboundPortExclusionList": NEW_PODS,
  "traffic.networkInterfaceExclusionList": NEW_PODS,
  "traffic.enablePermissiveTrafficPolicyMode": RUNNING,
  "traffic.pathRegexMatch": RUNNING,
  "traffic.pathWithEscapedSlashes": RUNNING,
  "traffic.clientScope": SCOPES,
  "traffic.podAddresses": ADDRESSES,
  "traffic.inboundExternalAuthorization.enable": RUNNING,
  "traffic.inboundExternalAuthorization.address": RUNNING,
  "traffic.inboundExternalAuthorization.port": RUNNING,
  "traffic.inboundExternalAuthorization.statPrefix": RUNNING,
  "traffic.inboundExternalAuthorization.timeout": RUNNING,
  "traffic.inboundExternalAuthorization.failureModeAllow": RUNNING,
  "observability.osmLogLevel": NEW_PODS,
  "observability.enableDebugServer": NEW_PODS,
  "observability.tracing.enable": RUNNING,
  "observability.tracing.address": RUNNING,
  "observability.tracing.port": RUNNING,
  "observability.tracing.endpoint": RUNNING,
  "observability.tracing.protocol": TRACES,
  "observability.tracing.samplingPercentage": TRACES,
  "certificate.serviceCertValidityDuration": RENEWAL,
  "certificate.certKeyBitSize": README,
  "certificate.ingressGateway.subjectAltNames": GATEWAY,
  "certificate.ingressGateway.validityDuration": GATEWAY,
  "certificate.ingressGateway.secret.name": GATEWAY,
  "certificate.ingressGateway.secret.namespace": GATEWAY,
  "featureFlags.enableWASMStats": README,
  "featureFlags.enableEgressPolicy": README,
  "featureFlags.enableMulticlusterMode": README,
  "featureFlags.enableSnapshotCacheMode": README,
  "featureFlags.enableAsyncProxyServiceMapping": README,
  "featureFlags.enableIngressBackendPolicy": README,
  "featureFlags.enableEnvoyActiveHealthChecks": README,
  "featureFlags.enableRetryPolicy": HONOURED,
  "featureFlags.enableMeshRootCertificate": ROTATION,
};

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** Paths of the fields that have no fields themselves. */
function leaves({ properties }: Schema, prefix: readonly string[] = []): readonly string[] {
  if (properties === undefined) return [prefix.join(".")];
  return Object.entries(properties).flatMap(([name, field]) => leaves(field, [...prefix, name]));
}

/** Fields of the spec in each version of the kind. */
function fieldsOfKind(): readonly (readonly string[])[] {
  const crd = parse(read("crds/meshconfig.yaml")) as {
    spec: { versions: { schema: { openAPIV3Schema: { properties: { spec: Schema } } } }[] };
  };
  return crd.spec.versions.map(({ schema }) => leaves(schema.openAPIV3Schema.properties.spec));
}

describe("each field of a MeshConfig", () => {
  it("is changed by a test that sees the effect, or is documented as one without", () => {
    const known = Object.keys(OBSERVED);
    const fields = [...new Set(fieldsOfKind().flat())];
    expect(
      fields.filter(field => !known.includes(field)),
      "fields in no test",
    ).to.deep.equal([]);
    expect(
      known.filter(field => !fields.includes(field)),
      "fields that are none",
    ).to.deep.equal([]);
  });

  for (const [field, file] of Object.entries(OBSERVED)) {
    it(`${field} is spoken of in ${file}`, () => {
      const word = field.split(".").at(-1) ?? "";
      expect(read(file)).to.match(new RegExp(`\\b${word}\\b`));
    });
  }
});
