import { expect } from "chai";
import { completeMeshConfig } from "../../../src/api/mesh-config";
import { createInputs } from "../../../src/catalog/inputs";
import { createGraph } from "../../../src/graph/graph";
import { createSettings } from "../../../src/policy/settings";
import { meshConfig, type TestObject } from "../../support/objects";
import { buyer, shopPod, shopService, ShopMesh } from "../../support/shop-mesh";

const cart = shopPod("cart", 1);
const AUTHZ = { enable: true, address: "authz.example", port: 9191, timeout: "1s", failureModeAllow: false };
const mesh = (spec: Readonly<Record<string, unknown>>, ...more: readonly TestObject[]): ShopMesh =>
  new ShopMesh(meshConfig(spec), ...shopService("cart", 1), ...more);
const permissive = (more: object = {}) => ({ traffic: { enablePermissiveTrafficPolicyMode: true, ...more } });

describe("external authorization of the mesh", () => {
  const asked = (change: object): { readonly shop: ShopMesh; readonly server: unknown } => {
    const shop = mesh(permissive({ inboundExternalAuthorization: { ...AUTHZ, ...change } }));
    const [port] = shop.leaf("inbound-listener", "inbound", cart).ports;
    return { shop, server: port?.externalAuthorization };
  };

  it("is asked where it has an address, a port and a time", () => {
    const { shop, server } = asked({});
    expect(server).to.deep.include({
      address: "authz.example",
      port: 9191,
      timeoutMs: 1000,
      failureModeAllow: false,
    });
    expect(shop.get(buyer, 1).outcome).to.equal("delivered");
    expect(shop.findings()).to.deep.equal([]);
  });

  it("is not asked where it is not enabled, whatever else is said", () => {
    const { shop, server } = asked({ enable: false, address: "" });
    expect(server).to.equal(undefined);
    expect(shop.get(buyer, 1).outcome).to.equal("delivered");
    expect(shop.findings()).to.deep.equal([]);
  });

  // Validation refuses such a MeshConfig, and the one before it stays in force: this is what is left if it did not.
  const unusable: readonly object[] = [{ address: "" }, { port: 0 }, { timeout: "0s" }, { timeout: "soon" }];
  for (const change of unusable) {
    it(`lets nothing through where it cannot be asked, or everything where failures may: ${JSON.stringify(change)}`, () => {
      const decided = (failureModeAllow: boolean) => {
        const graph = createGraph();
        const inputs = createInputs(graph);
        const inboundExternalAuthorization = { ...AUTHZ, ...change, failureModeAllow };
        inputs.meshConfig.set(completeMeshConfig({ traffic: { inboundExternalAuthorization } }));
        return graph.peek(createSettings(inputs).authorization);
      };
      for (const [failuresPass, kind, words] of [
        [false, "deny", "all inbound HTTP requests are refused"],
        [true, "off", "requests are let through unasked"],
      ] as const) {
        const { value, diagnostics } = decided(failuresPass);
        expect(value).to.deep.equal({ kind });
        expect(diagnostics).to.have.length(1);
        const [finding] = diagnostics;
        expect(finding).to.include({ severity: "error", code: "InvalidField" });
        expect(finding?.field).to.equal("spec.traffic.inboundExternalAuthorization");
        expect(finding?.message).to.contain(words);
      }
    });
  }
});

describe("other settings of the mesh", () => {
  it("have a collector of traces where one is enabled and named", () => {
    const traced = (tracing: object): unknown => {
      const shop = mesh({ ...permissive(), observability: { tracing } });
      const [port] = shop.leaf("inbound-listener", "inbound", cart).ports;
      return port?.handling.kind === "http" ? port.handling.tracing : "bytes";
    };
    const collector = { enable: true, address: "jaeger.example", port: 9411, endpoint: "/api/v2/spans" };
    expect(traced(collector)).to.deep.include({ address: "jaeger.example", port: 9411, cluster: "tracing" });
    expect(traced({ ...collector, enable: false })).to.equal(undefined);
    expect(traced({ ...collector, address: "" })).to.equal(undefined);
  });

  it("read escaped slashes as they say, and refuse them otherwise", () => {
    const read = (pathWithEscapedSlashes: string | undefined): unknown => {
      const shop = mesh(permissive(pathWithEscapedSlashes === undefined ? {} : { pathWithEscapedSlashes }));
      const [port] = shop.leaf("inbound-listener", "inbound", cart).ports;
      return port?.handling.kind === "http" ? port.handling.escapedSlashes : "bytes";
    };
    expect([undefined, "RejectRequest", "KeepUnchanged", "UnescapeAndForward"].map(read)).to.deep.equal([
      undefined,
      undefined,
      "keep",
      "unescape",
    ]);
  });

  it("are told where a scope of clients has no effect, because egress is open", () => {
    const told = (traffic: object): readonly string[] => mesh(permissive(traffic)).findings();
    const lost = ["MeshConfig/osm-system/osm-mesh-config InvalidField spec.traffic.clientScope"];
    expect(told({ clientScope: "Permitted", enableEgress: true })).to.deep.equal(lost);
    expect(told({ clientScope: "Permitted", enableEgress: false })).to.deep.equal([]);
    expect(told({ clientScope: "Mesh", enableEgress: true })).to.deep.equal([]);
    const shop = mesh(permissive({ clientScope: "Permitted", enableEgress: true }));
    expect(shop.told("MeshConfig", "osm-mesh-config")[0]?.severity).to.equal("warning");
  });
});
