import { expect } from "chai";
import fc from "fast-check";
import { DEFAULT_MESH_CONFIG } from "../../../src/api/mesh-config";
import { validateCustomObject } from "../../../src/api/kinds";
import { statusChange } from "../../../src/status/object-status";
import { BAD_FIELDS, BAD_ONLY_BY_VALIDATION, meshConfigWith } from "../../support/mesh-config-cases";

/** Flags that switch something; all others say that they do not. */
const HONOURED_FLAGS = ["enableRetryPolicy", "enableMeshRootCertificate"];

function messages(object: unknown): string[] {
  return validateCustomObject("MeshConfig", object).map(finding => `${finding.severity}: ${finding.message}`);
}

function withSidecar(sidecar: Record<string, unknown>): unknown {
  return { metadata: { name: "osm-mesh-config", namespace: "osm-system" }, spec: { sidecar } };
}

describe("MeshConfig validation", () => {
  for (const bad of [...BAD_FIELDS, ...BAD_ONLY_BY_VALIDATION]) {
    it(`refuses ${bad.field} = ${JSON.stringify(bad.value)}`, () => {
      const findings = validateCustomObject("MeshConfig", meshConfigWith(bad)).filter(
        f => f.severity === "error",
      );
      expect(findings, JSON.stringify(findings)).to.have.length(1);
      expect(findings[0]?.field).to.equal(bad.field);
      expect(findings[0]?.message).to.contain(`${bad.field} ${bad.says}`.slice(0, bad.field.length + 1));
      expect(findings[0]?.message).to.contain(bad.says);
      expect(findings[0]?.subject).to.deep.equal({
        group: "config.openservicemesh.io",
        kind: "MeshConfig",
        namespace: "osm-system",
        name: "osm-mesh-config",
      });
    });
  }

  it("accepts the defaults, an empty object and a full one", () => {
    const metadata = { name: "osm-mesh-config", namespace: "osm-system" };
    expect(messages({ metadata, spec: DEFAULT_MESH_CONFIG })).to.deep.equal([]);
    expect(messages({ metadata })).to.deep.equal([]);
    expect(messages({ metadata, spec: {} })).to.deep.equal([]);
    const full = {
      sidecar: {
        resources: { limits: { cpu: 1, memory: "1Gi" }, requests: { cpu: "100m", memory: "64Mi" } },
        cipherSuites: ["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"],
        ecdhCurves: ["X25519", "P-256"],
        configResyncInterval: "1h30m",
        tlsMinProtocolVersion: "TLSv1_2",
        tlsMaxProtocolVersion: "TLS_AUTO",
      },
      traffic: {
        outboundIPRangeExclusionList: ["10.0.0.0/8", "fd00::/8", "::/0", "::ffff:10.0.0.0/104", "1.2.3.4/32"],
        networkInterfaceExclusionList: ["eth0", "net1+", "bond0.100", "br-1234567890ab", "veth@a"],
        inboundExternalAuthorization: { enable: true, address: "opa.opa.svc.cluster.local", port: 9191 },
      },
      certificate: {
        ingressGateway: {
          subjectAltNames: ["nginx.ingress.cluster.local"],
          validityDuration: "24h",
          secret: { name: "osm-nginx-client-cert", namespace: "osm-system" },
        },
      },
    };
    expect(messages({ metadata, spec: full })).to.deep.equal([]);
  });

  const versions = ["TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];
  for (const [low, min] of versions.entries()) {
    for (const [high, max] of versions.entries()) {
      it(`${high < low ? "refuses" : "accepts"} TLS from ${min} to ${max}`, () => {
        const found = messages(withSidecar({ tlsMinProtocolVersion: min, tlsMaxProtocolVersion: max }));
        const want = `error: spec.sidecar.tlsMaxProtocolVersion (${max}) is below spec.sidecar.tlsMinProtocolVersion (${min})`;
        expect(found.filter(line => line.startsWith("error"))).to.deep.equal(high < low ? [want] : []);
        expect(found.filter(line => line.startsWith("warning"))).to.have.length(
          Number(low < 2) + Number(high < 2),
        );
      });
    }
  }

  it("names both ends when only the maximum is given and lies below the default minimum", () => {
    expect(messages(withSidecar({ tlsMaxProtocolVersion: "TLSv1_2" }))).to.deep.equal([
      "error: spec.sidecar.tlsMaxProtocolVersion (TLSv1_2) is below spec.sidecar.tlsMinProtocolVersion (TLSv1_3)",
    ]);
  });

  for (const [min, max, good] of [
    ["TLS_AUTO", "TLSv1_1", false],
    ["TLS_AUTO", "TLSv1_2", true],
    ["TLSv1_3", "TLS_AUTO", true],
  ] as const) {
    it(`${good ? "accepts" : "refuses"} TLS from ${min} to ${max}`, () => {
      const found = messages(withSidecar({ tlsMinProtocolVersion: min, tlsMaxProtocolVersion: max }));
      const want = `error: spec.sidecar.tlsMaxProtocolVersion (${max}) is below spec.sidecar.tlsMinProtocolVersion (${min})`;
      expect(found.filter(line => line.startsWith("error"))).to.deep.equal(good ? [] : [want]);
    });
  }

  const idle: readonly (readonly [string, unknown, string])[] = [
    ["spec.sidecar.envoyWindowsImage", "envoy:windows", "Windows pods get no sidecar"],
    ["spec.sidecar.configResyncInterval", "29s", "is below 30s, which means no resync"],
    ["spec.certificate.certKeyBitSize", 4_096, "keys are ECDSA P-256"],
    ...Object.entries(DEFAULT_MESH_CONFIG.featureFlags)
      .filter(([name]) => !HONOURED_FLAGS.includes(name))
      .map(([name, value]) => [`spec.featureFlags.${name}`, !value, "has no effect"] as const),
  ];
  for (const [field, value, says] of idle) {
    it(`accepts ${field} = ${JSON.stringify(value)} and says that it has no effect`, () => {
      const findings = validateCustomObject("MeshConfig", meshConfigWith({ field, value }));
      expect(findings.map(found => [found.severity, found.field])).to.deep.equal([["warning", field]]);
      expect(findings[0]?.message)
        .to.contain(`${field} (${JSON.stringify(value)})`)
        .and.to.contain(says);
      // The status of the object says so, and that it is accepted all the same.
      const facts = { generation: 1, now: 0, diagnostics: findings, progress: undefined };
      const [accepted] = statusChange("MeshConfig", undefined, facts)?.conditions ?? [];
      expect(accepted).to.include({ type: "Accepted", status: "True", reason: "AcceptedWithWarnings" });
      expect(accepted?.message).to.contain(field);
    });
  }

  it("wants what an enabled authorizer and tracer need", () => {
    const metadata = { name: "osm-mesh-config" };
    const traffic = { inboundExternalAuthorization: { enable: true } };
    expect(messages({ metadata, spec: { traffic } })).to.deep.equal([
      "error: spec.traffic.inboundExternalAuthorization.address is required when spec.traffic.inboundExternalAuthorization.enable is true",
      "error: spec.traffic.inboundExternalAuthorization.port is required when spec.traffic.inboundExternalAuthorization.enable is true",
    ]);
    const tracing = { enable: true, address: "" };
    expect(messages({ metadata, spec: { observability: { tracing } } })).to.deep.equal([
      "error: spec.observability.tracing.address is required when spec.observability.tracing.enable is true",
    ]);
  });

  it("refuses a request above its limit, and warns of short leaves and of a name that has no effect", () => {
    const resources = { limits: { cpu: "100m" }, requests: { cpu: "1" } };
    expect(messages(withSidecar({ resources }))).to.deep.equal([
      'error: spec.sidecar.resources.requests.cpu ("1") is above limits.cpu ("100m")',
    ]);
    const short = {
      metadata: { name: "other" },
      spec: { certificate: { serviceCertValidityDuration: "2m" } },
    };
    expect(messages(short).map(line => line.split(" ", 2).join(" "))).to.deep.equal([
      "warning: metadata.name",
      "warning: spec.certificate.serviceCertValidityDuration",
    ]);
  });

  it("says something of any JSON and never throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("spec", "sidecar", "traffic"), (value, where) => {
        const json = value as unknown;
        const object = where === "spec" ? { spec: json } : { spec: { [where]: json } };
        for (const finding of validateCustomObject("MeshConfig", object))
          expect(finding.message).to.be.a("string");
      }),
      { numRuns: 500 },
    );
  });
});
