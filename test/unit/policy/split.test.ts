import { expect } from "chai";
import type { TestObject } from "../../support/objects";
import { meshConfig, namespace, pod, service } from "../../support/objects";
import { buyer, shopPod, shopService, ShopMesh, thief } from "../../support/shop-mesh";
import { DENY, routeGroup, tcpRoute, trafficSplit, trafficTarget } from "../../support/traffic-objects";

const open = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } });
const split = (more: Partial<Parameters<typeof trafficSplit>[0]> = {}) =>
  trafficSplit({ namespace: "shop", name: "canary", root: "root", shares: { v1: 90, v2: 10 }, ...more });
const services = [...shopService("root", 1), ...shopService("v1", 2), ...shopService("v2", 3)];
const blue = routeGroup("shop", "blue", [{ name: "blue", headers: { color: "blue" } }]);
const green = routeGroup("shop", "green", [{ name: "green", headers: { color: "green" } }]);

/** Share by destination of a GET of the root (or of a connection). */
function shares({ possible }: ReturnType<ShopMesh["get"]>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    possible.map(({ cluster, share, outcome }) => [`${cluster} ${outcome}`, Math.round(share * 100)]),
  );
}

describe("traffic splits", () => {
  it("share what is sent to the root, HTTP and bytes, by Service port", () => {
    const mesh = new ShopMesh(open, ...services, split());
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({
      "outbound|shop/v1|80 delivered": 90,
      "outbound|shop/v2|80 delivered": 10,
    });
    expect(shares(mesh.dial(buyer, 1))).to.deep.equal({
      "outbound|shop/v1|81 delivered": 90,
      "outbound|shop/v2|81 delivered": 10,
    });
    expect(shares(mesh.get(buyer, 2))).to.deep.equal({ "outbound|shop/v1|80 delivered": 100 });
    expect(mesh.findings()).to.deep.equal([]);
    mesh.world.drop(split());
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({ "outbound|shop/root|80 delivered": 100 });
  });

  it("take the root as a backend, weight 0, and the root's full name", () => {
    const shared = split({ root: "root.shop.svc.cluster.local", shares: { root: 1, v1: 0, v2: 3 } });
    const mesh = new ShopMesh(open, ...services, shared);
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({
      "outbound|shop/v2|80 delivered": 75,
      "outbound|shop/root|80 delivered": 25,
    });
    const [rule] = mesh.leaf("route-table", "outbound|shop/root|80", buyer).rules;
    expect(rule?.backends.map(({ weight }) => weight)).to.deep.equal([1, 0, 3]);
    mesh.world.feed(split({ shares: { v1: 0, v2: 0 } }));
    expect(mesh.get(buyer, 1).outcome).to.equal("no-backend");
    expect(mesh.dial(buyer, 1).outcome).to.equal("no-backend");
  });

  it("grant nothing", () => {
    const target = trafficTarget({ name: "v2", to: "shop/v2", from: ["web/buyer"], rules: ["TCPRoute/all"] });
    const mesh = new ShopMesh(meshConfig(DENY), ...services, split(), target, tcpRoute("shop", "all"));
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({
      "outbound|shop/v1|80 forbidden": 90,
      "outbound|shop/v2|80 delivered": 10,
    });
    expect(mesh.get(thief, 1).possible.map(({ outcome }) => outcome)).to.deep.equal([
      "forbidden",
      "forbidden",
    ]);
  });

  it("of some requests come before the one of all, and leave the rest to the root", () => {
    const some = split({ matches: ["blue"], shares: { v2: 1 } });
    const mesh = new ShopMesh(open, ...services, blue, green, some);
    const ask = (color: string) => shares(mesh.get(buyer, 1, "/", { headers: { color } }));
    expect(ask("blue")).to.deep.equal({ "outbound|shop/v2|80 delivered": 100 });
    expect(ask("red")).to.deep.equal({ "outbound|shop/root|80 delivered": 100 });
    // Bytes cannot be told apart.
    expect(shares(mesh.dial(buyer, 1))).to.deep.equal({ "outbound|shop/root|81 delivered": 100 });
    mesh.world.feed(
      split({ name: "a-rest", shares: { v1: 1 }, created: "2026-01-01T00:00:00Z" }),
      split({ name: "more", matches: ["green"], shares: { v1: 1, v2: 1 }, created: "2026-01-02T00:00:00Z" }),
    );
    expect(ask("blue")).to.deep.equal({ "outbound|shop/v2|80 delivered": 100 });
    expect(ask("green")).to.deep.equal({
      "outbound|shop/v1|80 delivered": 50,
      "outbound|shop/v2|80 delivered": 50,
    });
    expect(ask("red")).to.deep.equal({ "outbound|shop/v1|80 delivered": 100 });
    expect(mesh.findings()).to.deep.equal([]);
    // Without the group it names it is no split of everything.
    mesh.world.drop(blue);
    expect(ask("blue")).to.deep.equal({ "outbound|shop/v1|80 delivered": 100 });
    expect(mesh.findings()).to.deep.equal(["TrafficSplit/shop/canary UnresolvedReference spec.matches"]);
  });

  it("of the same requests: the oldest counts, the other is told with whom it conflicts", () => {
    const old = split({ name: "z-old", shares: { v1: 1 }, created: "2026-01-01T00:00:00Z" });
    const young = split({ name: "a-young", shares: { v2: 1 }, created: "2026-02-01T00:00:00Z" });
    const mesh = new ShopMesh(open, ...services, young, old, blue, green);
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({ "outbound|shop/v1|80 delivered": 100 });
    expect(mesh.told("TrafficSplit", "a-young")).to.have.length(1);
    expect(mesh.told("TrafficSplit", "a-young")[0]).to.include({ code: "Conflicted", severity: "error" });
    expect(mesh.told("TrafficSplit", "a-young")[0]?.message).to.contain("z-old is older");
    mesh.world.feed(
      { ...split({ ...{ name: "z-old", shares: { v1: 1 } }, matches: ["blue"] }) },
      split({
        name: "a-young",
        shares: { v2: 1 },
        matches: ["blue", "green"],
        created: "2026-02-01T00:00:00Z",
      }),
    );
    const ask = (color: string) => shares(mesh.get(buyer, 1, "/", { headers: { color } }));
    expect([ask("blue"), ask("green")]).to.deep.equal([
      { "outbound|shop/v1|80 delivered": 100 },
      { "outbound|shop/v2|80 delivered": 100 },
    ]);
    expect(mesh.told("TrafficSplit", "a-young")[0]).to.include({ code: "Conflicted", severity: "warning" });
  });

  const headless = service({
    namespace: "shop",
    name: "v2",
    clusterIPs: ["None"],
    ports: [{ name: "http", port: 80, targetPort: 8080 }],
  });
  const unresolved: readonly (readonly [string, readonly TestObject[]])[] = [
    ["that is not there", [split({ shares: { v1: 50, none: 50 } })]],
    ["without an address of its own", [split({ shares: { v1: 50, v2: 50 } }), headless]],
    [
      "whose pods have no sidecar",
      [
        split({ shares: { v1: 50, v2: 50 } }),
        pod({ namespace: "shop", name: "v2-1", ips: ["10.0.0.3"], labels: { app: "v2" }, meshed: false }),
      ],
    ],
  ];
  for (const [what, change] of unresolved) {
    it(`answer 500 for the share of a backend ${what}`, () => {
      const mesh = new ShopMesh(open, ...services, ...change);
      const ends = mesh.get(buyer, 1).possible.map(({ outcome, share }) => `${outcome} ${share}`);
      expect(ends).to.have.members(["delivered 0.5", "no-backend 0.5"]);
      expect(mesh.told("TrafficSplit", "canary")[0]).to.include({
        code: "UnresolvedReference",
        field: "spec.backends[1].service",
        severity: "error",
      });
    });
  }

  it("give nothing to a backend without the port, and leave ports that no backend has to the root", () => {
    const http = [{ name: "http", port: 80, targetPort: 8080 }];
    const mesh = new ShopMesh(
      open,
      ...shopService("root", 1, [
        ...http,
        { name: "tcp", port: 81, targetPort: 8081 },
        { name: "x", port: 82, targetPort: 8082 },
      ]),
      ...shopService("v1", 2, http),
      ...shopService("v2", 3),
      split(),
    );
    expect(shares(mesh.dial(buyer, 1))).to.deep.equal({ "outbound|shop/v2|81 delivered": 100 });
    expect(mesh.dial(buyer, 1, 82).possible.map(({ cluster }) => cluster)).to.deep.equal([]);
    expect(
      mesh.leaf("route-table", "outbound|shop/root|82", buyer).rules.map(rule => rule.name),
    ).to.deep.equal(["any"]);
    const [finding] = mesh.told("TrafficSplit", "canary");
    expect(finding).to.include({ code: "UnresolvedReference", severity: "warning" });
    expect(finding?.message).to.contain("has no port 81 ");
  });

  it("of a root that cannot be split tell so and change nothing", () => {
    const rows = [
      [split({ root: "none" }), "UnresolvedReference", "there is no Service"],
      [split({ root: "peers" }), "NoEffect", "headless"],
    ] as const;
    const peers = service({
      namespace: "shop",
      name: "peers",
      clusterIPs: ["None"],
      selector: { app: "v1" },
      ports: [{ port: 80 }],
    });
    for (const [object, code, words] of rows) {
      const mesh = new ShopMesh(open, ...services, peers, object);
      expect(mesh.told("TrafficSplit", "canary").map(found => found.code)).to.deep.equal([code]);
      expect(mesh.told("TrafficSplit", "canary")[0]?.message).to.contain(words);
    }
    const plain = shopPod("root", 1);
    const unmeshed = { ...plain, spec: { serviceAccountName: "root", containers: [{ name: "app" }] } };
    const mesh = new ShopMesh(open, ...services, split(), {
      ...unmeshed,
      metadata: { ...plain.metadata, labels: { app: "root" } },
    });
    expect(mesh.told("TrafficSplit", "canary").map(found => found.code)).to.deep.equal(["NoEffect"]);
  });

  it("count in their own namespace only", () => {
    const foreign = trafficSplit({ namespace: "web", name: "grab", root: "root.shop", shares: { v2: 1 } });
    const mesh = new ShopMesh(open, ...services, namespace("web"), foreign);
    expect(shares(mesh.get(buyer, 1))).to.deep.equal({ "outbound|shop/root|80 delivered": 100 });
    expect(mesh.told("TrafficSplit", "grab").map(found => found.severity)).to.deep.equal(["error"]);
  });
});
