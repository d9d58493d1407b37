import { expect } from "chai";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { createWorld, proxyOf } from "../../support/world";

const web = pod({ namespace: "web", name: "web", ips: ["10.0.0.1"] });
const bare = pod({ namespace: "web", name: "bare", ips: ["10.0.0.2"], meshed: false });
const shop = (name: string, ip: string, more: object = {}): TestObject =>
  pod({ namespace: "shop", name, ips: [ip], labels: { app: name }, ...more });
const behind = (name: string, ...pods: readonly (readonly [string, string])[]): TestObject =>
  slice({
    namespace: "shop",
    service: name,
    ports: [{ name: "http", port: 8080 }],
    endpoints: pods.map(([podName, address]) => ({ pod: podName, address })),
  });
const port = { name: "http", port: 80, targetPort: 8080 };

describe("what happens to calls that no sidecar of the caller's decides", () => {
  const world = createWorld();
  world.feed(
    meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }),
    namespace("web"),
    namespace("shop"),
    web,
    bare,
    shop("cart", "10.0.1.1"),
    shop("open", "10.0.1.2", { excludedPorts: [8080] }),
    shop("old", "10.0.1.3", { meshed: false }),
    service({ namespace: "shop", name: "cart", clusterIPs: ["10.120.0.1"], ports: [port] }),
    behind("cart", ["cart", "10.0.1.1"]),
    service({
      namespace: "shop",
      name: "hand-made",
      clusterIPs: ["10.120.0.2"],
      selector: null,
      ports: [port],
    }),
    behind("hand-made", ["cart", "10.0.1.1"]),
    service({
      namespace: "shop",
      name: "mixed",
      clusterIPs: ["10.120.0.3"],
      selector: { none: "x" },
      ports: [port],
    }),
    behind("mixed", ["cart", "10.0.1.1"], ["old", "10.0.1.3"]),
    service({ namespace: "shop", name: "empty", clusterIPs: ["10.120.0.4"], ports: [port] }),
  );
  const ask = (from: TestObject, address: string, to = 80) =>
    world.engine.explain(proxyOf(from).podUid, { address, port: to });

  it("asks the sidecar at which something arrives that was let pass", () => {
    expect(ask(web, "10.120.0.2")).to.deep.include({ outcome: "refused", allowed: false });
    expect(ask(web, "10.120.0.2")?.destination).to.deep.equal({ address: "10.0.1.1", port: 8080 });
    expect(ask(web, "192.0.2.1")).to.include({ outcome: "passthrough", allowed: true });
  });

  it("follows a caller without a sidecar to the pods behind a Service", () => {
    expect(ask(bare, "10.120.0.1")).to.include({ outcome: "refused" });
    expect(ask(bare, "10.0.1.2", 8080)).to.include({ outcome: "passthrough" });
    expect(ask(bare, "10.120.0.4")).to.include({ outcome: "unavailable", allowed: false });
    const mixed = ask(bare, "10.120.0.3")?.possible ?? [];
    expect(mixed.map(({ outcome, share }) => ({ outcome, share }))).to.have.deep.members([
      { outcome: "refused", share: 0.5 },
      { outcome: "passthrough", share: 0.5 },
    ]);
  });
});
