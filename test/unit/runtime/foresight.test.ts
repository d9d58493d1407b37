import { expect } from "chai";
import { createProjectors } from "../../../src/ingest/index";
import type { AdmittedObject } from "../../../src/runtime/control-plane/actions";
import { judgeInWorld } from "../../../src/runtime/control-plane/admission";
import { candidateOf } from "../../../src/runtime/engine/foresight";
import { namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { expectErrors } from "../../support/told-errors";
import { routeGroup, tcpRoute, trafficSplit, trafficTarget } from "../../support/traffic-objects";
import { createWorld, encodeAsJson, proxyOf, quietLog, type World } from "../../support/world";

const projectors = createProjectors("osm");
const ports = [{ name: "http", port: 80 }];
const cart = pod({ namespace: "shop", name: "cart-1", ips: ["10.0.0.1"], labels: { app: "cart" } });
const account = (name: string): TestObject => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { namespace: "shop", name },
});

function shop(...more: readonly TestObject[]): World {
  const world = createWorld(encodeAsJson);
  world.feed(
    namespace("shop"),
    account("default"),
    account("buyer"),
    service({ namespace: "shop", name: "cart", ports }),
    slice({ namespace: "shop", service: "cart", ports, endpoints: [{ address: "10.0.0.1", pod: "cart-1" }] }),
    cart,
    tcpRoute("shop", "all"),
    routeGroup("shop", "books", [{ name: "read", pathRegex: "/books", methods: ["GET"] }]),
    ...more,
  );
  return world;
}

/** What `kubectl apply` prints for an object. */
function warned(world: World, object: TestObject): readonly string[] {
  const foresee = (kind: string, candidate: AdmittedObject): ReturnType<World["engine"]["foresee"]> => {
    const found = candidateOf(projectors, kind, candidate);
    return found === undefined ? [] : world.engine.foresee(found);
  };
  const judgement = judgeInWorld({ foresee }, quietLog())(object.kind, object);
  expect(judgement.faults).to.deep.equal([]);
  return judgement.warnings;
}

const target = (...rules: Parameters<typeof trafficTarget>[0]["rules"]): TestObject =>
  trafficTarget({ name: "buyers", to: "shop/default", from: ["shop/buyer"], rules });
const split = (shares: Readonly<Record<string, number>>, root = "cart", name = "canary"): TestObject =>
  trafficSplit({ namespace: "shop", name, root, shares });

describe("an object beside the others, before it is stored", () => {
  expectErrors(/of our own/);
  const rows: readonly (readonly [string, TestObject, readonly RegExp[]])[] = [
    ["a TrafficTarget of which everything is there", target({ group: "books", matches: ["read"] }), []],
    ["an HTTPRouteGroup that is not there", target("HTTPRouteGroup/shelf"), [/shop\/shelf/]],
    ["a match that is not in it", target({ group: "books", matches: ["write"] }), [/write/]],
    ["a TCPRoute that is not there", target("TCPRoute/some"), [/shop\/some/]],
    [
      "a destination without account and pods",
      trafficTarget({ name: "t", to: "shop/ghost", from: ["shop/buyer"], rules: ["TCPRoute/all"] }),
      [/ServiceAccount shop\/ghost does not exist/, /no pod of the mesh/],
    ],
    ["a TrafficSplit of which everything is there", split({ cart: 1 }), []],
    ["a root that is not there", split({ cart: 1 }, "basket"), [/there is no Service shop\/basket/]],
    ["a backend that is not there", split({ cart: 1, v2: 0 }), [/there is no Service shop\/v2/]],
    [
      "an UpstreamTrafficSetting of a host that is no Service",
      {
        apiVersion: "policy.openservicemesh.io/v1alpha1",
        kind: "UpstreamTrafficSetting",
        metadata: { namespace: "shop", name: "terms" },
        spec: { host: "ghost.shop.svc.cluster.local" },
      },
      [/Service shop\/ghost is not of the mesh/],
    ],
    ["a kind that refers to nothing", tcpRoute("shop", "more"), []],
  ];
  for (const [name, object, wanted] of rows) {
    it(name, () => {
      const warnings = warned(shop(), object);
      expect(warnings.length, JSON.stringify(warnings)).to.equal(wanted.length);
      wanted.forEach((pattern, index) => expect(warnings[index]).to.match(pattern));
    });
  }

  it("is the younger one of two that contradict each other, also without a time of creation", () => {
    const older = trafficSplit({
      namespace: "shop",
      name: "first",
      root: "cart",
      shares: { cart: 1 },
      created: "2026-01-01T00:00:00Z",
    });
    expect(warned(shop(older), split({ cart: 1 }))[0]).to.match(/TrafficSplit first is older/);
    expect(warned(shop(older), older), "itself again").to.deep.equal([]);
  });

  it("changes nothing for anybody, whether it is new or another than the one that is there", () => {
    const stored = target("TCPRoute/all");
    const world = shop(stored);
    let told = 0;
    const subscription = world.engine.subscribe(proxyOf(cart), () => (told += 1));
    world.engine.flush();
    const before = { told, found: world.engine.diagnostics(), ...world.engine.stats() };
    for (const object of [target("TCPRoute/none"), split({ cart: 1, v2: 1 })]) {
      expect(warned(world, object)).to.have.length(1);
    }
    world.engine.flush();
    expect(told).to.equal(before.told);
    expect(world.engine.stats().encodes).to.equal(before.encodes);
    expect(world.engine.diagnostics()).to.deep.equal(before.found);
    expect(warned(world, stored)).to.deep.equal([]);
    subscription.close();
  });

  it("is admitted without a look at the others should the look fail", () => {
    const errors: string[] = [];
    const broken = {
      foresee: (): never => {
        throw new Error("of our own");
      },
    };
    const judge = judgeInWorld(broken, quietLog(errors));
    expect(judge("TCPRoute", tcpRoute("shop", "all"))).to.deep.equal({ faults: [], warnings: [] });
    expect(errors[0]).to.contain("of our own");
  });
});
