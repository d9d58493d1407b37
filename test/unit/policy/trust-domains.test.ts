import { expect } from "chai";
import { spiffeIds } from "../../../src/model/identity";
import { DENY, tcpRoute, trafficTarget } from "../../support/traffic-objects";
import { meshConfig } from "../../support/objects";
import { buyer, shopPod, shopService, ShopMesh } from "../../support/shop-mesh";
import { proxyOf } from "../../support/world";

const BOTH = ["cluster.local", "other.example"];
const cart = shopPod("cart", 1);

describe("while a rotation leads from one trust domain to another", () => {
  const mesh = new ShopMesh(
    meshConfig(DENY),
    ...shopService("cart", 1),
    tcpRoute("shop", "bytes", 8081),
    trafficTarget({ name: "cart", to: "shop/cart", from: ["web/buyer"], rules: ["TCPRoute/bytes"] }),
  );
  const { engine } = mesh.world;

  afterEach(() => {
    engine.setTrustDomain("cluster.local");
  });

  it("names of both count, at clients, servers and every gate of a caller", () => {
    const gates = (): readonly string[] => mesh.leaves("caller-gate", cart).map(({ name }) => name);
    const before = gates();
    expect(before).to.have.length(1);
    engine.setTrustDomain(BOTH);
    expect(engine.trustDomain()).to.deep.equal(BOTH);
    expect(gates()).to.have.length(2);
    for (const id of spiffeIds(BOTH, { namespace: "web", serviceAccount: "buyer" }))
      expect(gates().filter(name => name.includes(id))).to.have.length(1);
    const domains = [
      ...mesh.leaves("upstream-cluster", buyer),
      ...mesh.leaves("inbound-listener", cart),
      ...mesh.leaves("route-table", cart),
    ].map(({ trustDomain }) => trustDomain);
    expect(domains.length).to.be.greaterThan(2);
    for (const domain of domains) expect(domain).to.deep.equal(BOTH);
  });

  it("what follows is delivered by the time that the engine has taken it", () => {
    let deliveries = 0;
    const subscription = engine.subscribe(proxyOf(cart), () => (deliveries += 1));
    engine.flush();
    const before = deliveries;
    engine.setTrustDomain(BOTH);
    expect(deliveries).to.equal(before + 1);
    engine.setTrustDomain([...BOTH]);
    expect(deliveries, "the same again changes nothing").to.equal(before + 1);
    subscription.close();
  });
});
