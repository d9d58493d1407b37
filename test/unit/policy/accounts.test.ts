import { expect } from "chai";
import type { TestObject } from "../../support/objects";
import { meshConfig } from "../../support/objects";
import { ShopMesh, shopService } from "../../support/shop-mesh";
import { account, egress, retry } from "../../support/terms-objects";
import { DENY, tcpRoute, trafficTarget } from "../../support/traffic-objects";

const config = meshConfig({
  traffic: { ...DENY.traffic, enableEgress: false },
  featureFlags: { enableRetryPolicy: true },
});
const MESSAGE = "ServiceAccount web/ghost does not exist";

function serviceAccount(namespace: string, name: string): TestObject {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name } };
}

const ghost = serviceAccount("web", "ghost");
const ports = [{ number: 443, protocol: "https" }];
const destinations = [{ kind: "Service", namespace: "shop", name: "cart" }];
const toCart = { name: "policy", to: "shop/cart", rules: ["TCPRoute/any"] };

/** Policies that name `web/ghost`, beside whatever has an effect. */
const policies: readonly (readonly [TestObject, string])[] = [
  [trafficTarget({ ...toCart, from: ["web/buyer", "web/ghost"] }), "spec.sources"],
  [trafficTarget({ ...toCart, to: "web/ghost", from: ["web/buyer"] }), "spec.destination"],
  [
    egress("web/policy", {
      sources: [account("web/buyer"), account("web/ghost")],
      hosts: ["api.example.com"],
      ports,
    }),
    "spec.sources",
  ],
  [
    retry("web/policy", { source: account("web/ghost"), destinations, retryPolicy: { retryOn: "5xx" } }),
    "spec.source",
  ],
];

describe("policies that name a service account", () => {
  for (const [policy, field] of policies) {
    const mesh = (): ShopMesh =>
      new ShopMesh(
        config,
        ...shopService("cart", 1),
        tcpRoute("shop", "any"),
        tcpRoute("web", "any"),
        serviceAccount("web", "buyer"),
        policy,
      );
    const told = (of: ShopMesh) =>
      of.told(policy.kind, "policy").filter(({ message }) => message.startsWith("ServiceAccount"));

    it(`${policy.kind} ${field}: one that does not exist is told, as a warning, until it does`, () => {
      const shop = mesh();
      const [warning, ...others] = told(shop);
      expect(warning).to.include({ severity: "warning", code: "NoEffect", field, message: MESSAGE });
      expect(others).to.deep.equal([]);
      shop.world.feed(ghost);
      expect(told(shop)).to.deep.equal([]);
      shop.world.drop(ghost);
      expect(told(shop)).to.have.length(1);
    });
  }

  it("that a pod of the mesh runs as: it is there, whatever has been heard of it", () => {
    const target = trafficTarget({ ...toCart, from: ["web/buyer"] });
    const mesh = new ShopMesh(config, ...shopService("cart", 1), tcpRoute("shop", "any"), target);
    expect(mesh.findings()).to.deep.equal([]);
  });
});
