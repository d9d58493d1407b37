import { expect } from "chai";
import fc from "fast-check";
import { CLOSED_MESH_CONFIG, DEFAULT_MESH_CONFIG } from "../../../src/api/mesh-config";
import { firstMeshConfig } from "../../../src/ingest/mesh-config";
import { BAD_FIELDS, BAD_ONLY_BY_VALIDATION, meshConfigWith } from "../../support/mesh-config-cases";
import { meshConfig } from "../../support/objects";

describe("the MeshConfig that a process begins with", () => {
  it("is the one there is, and a closed mesh when there is none", () => {
    expect(firstMeshConfig(undefined)).to.deep.equal(CLOSED_MESH_CONFIG);
    expect(firstMeshConfig(meshConfig({}))).to.deep.equal(DEFAULT_MESH_CONFIG);
    expect(firstMeshConfig({ spec: "?" })).to.deep.equal(CLOSED_MESH_CONFIG);
  });

  it("lacks what is not valid, and only that, so that a stricter release does not stop the mesh", () => {
    const spec = {
      sidecar: { logLevel: "debug", tlsMinProtocolVersion: "TLSv1_3", tlsMaxProtocolVersion: "TLSv1_2" },
      traffic: {
        enableEgress: false,
        inboundPortExclusionList: [8080, 15003],
        outboundPortExclusionList: [443],
      },
      certificate: { serviceCertValidityDuration: "1s", ingressGateway: { subjectAltNames: ["a b"] } },
    };
    const found = firstMeshConfig(meshConfig(spec));
    expect(found.traffic).to.deep.include({
      enableEgress: false,
      enablePermissiveTrafficPolicyMode: true,
      inboundPortExclusionList: [],
      outboundPortExclusionList: [443],
    });
    expect(found.sidecar).to.include({ logLevel: "debug", tlsMaxProtocolVersion: "TLSv1_3" });
    expect(found.certificate).to.deep.equal(DEFAULT_MESH_CONFIG.certificate);
  });

  for (const bad of [...BAD_FIELDS, ...BAD_ONLY_BY_VALIDATION]) {
    const decisive = /traffic\.(enable|inboundExternalAuthorization)/.test(bad.field);
    it(`is ${decisive ? "closed" : "otherwise as it was"} with ${bad.field} = ${JSON.stringify(bad.value)}`, () => {
      expect(firstMeshConfig(meshConfigWith(bad)).traffic.enablePermissiveTrafficPolicyMode).to.equal(
        !decisive,
      );
    });
  }

  it("is never more open than what it reads, whatever the JSON", () => {
    const json = fc.jsonValue();
    fc.assert(
      fc.property(json, json, json, (sidecar, lists, authorization) => {
        const traffic = {
          enableEgress: false,
          enablePermissiveTrafficPolicyMode: false,
          outboundPortExclusionList: lists,
          inboundExternalAuthorization: authorization,
        };
        const found = firstMeshConfig(meshConfig({ sidecar, traffic })).traffic;
        expect(found).to.include({ enableEgress: false, enablePermissiveTrafficPolicyMode: false });
      }),
      { numRuns: 300 },
    );
  });
});
