import { expect } from "chai";
import { encodeLeaf } from "../../../src/envoy/encode";
import { TYPE_URLS } from "../../../src/xds/resource";
import type { TestObject } from "../../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../../support/objects";
import { createEngine } from "../../../src/runtime/engine";
import { expectErrors } from "../../support/told-errors";
import { TurnedClock } from "../../support/turned-clock";
import {
  createWorld,
  encodeAsJson,
  namesIn,
  proxyOf,
  quietLog,
  relist,
  remove,
  systemClock,
  upsert,
} from "../../support/world";

const http = { name: "http", port: 80, targetPort: 8080 };
const member = (n: number, more: Partial<Parameters<typeof pod>[0]> = {}): TestObject =>
  pod({
    namespace: "shop",
    name: `cart-${n}`,
    ips: [`10.0.0.${n}`],
    labels: { app: "cart" },
    serviceAccount: "cart",
    ...more,
  });
const behind = (...numbers: readonly number[]): TestObject =>
  slice({
    namespace: "shop",
    service: "cart",
    ports: [{ name: "http", port: 8080 }],
    endpoints: numbers.map(n => ({ address: `10.0.0.${n}`, pod: `cart-${n}` })),
  });
const cart = service({ namespace: "shop", name: "cart", ports: [http] });
const client = pod({ namespace: "web", name: "buyer", ips: ["10.1.0.1"], serviceAccount: "buyer" });
const base: readonly TestObject[] = [
  namespace("shop"),
  namespace("web"),
  cart,
  member(1),
  member(2),
  behind(1, 2),
  client,
];

describe("engine", () => {
  expectErrors(/no such luck/, /stream is gone/);
  it("delivers at once to a known pod, later to one that appears, never to a wrong identity", () => {
    const world = createWorld();
    world.feed(...base.filter(object => object !== client));
    const early = world.connect(client);
    const liar = world.connect(member(1, { serviceAccount: "admin" }));
    expect(early.snapshots).to.have.length(0);
    world.feed(client);
    expect(early.snapshots).to.have.length(1);
    expect(world.connect(client).snapshots).to.have.length(1);
    world.feed(cart, behind(1));
    expect(liar.snapshots).to.have.length(0);
  });

  it("shares sets and layers between proxies, and keeps them while nothing in them changes", () => {
    const world = createWorld(encodeLeaf);
    world.feed(...base);
    const [one, two, buyer] = [member(1), member(2), client].map(target => world.connect(target));
    if (one === undefined || two === undefined || buyer === undefined) throw new Error("unreachable");
    expect(one.latest()).to.equal(two.latest());
    const layer = (at: typeof one, type: keyof typeof TYPE_URLS, index: number) =>
      at.latest().get(TYPE_URLS[type])?.layers[index];
    expect(layer(one, "listener", 0)).to.equal(layer(buyer, "listener", 0));
    expect(layer(one, "listener", 1)).to.not.equal(layer(buyer, "listener", 1));
    const before = buyer.latest();
    world.feed(behind(1));
    const after = buyer.latest();
    expect(after).to.not.equal(before);
    expect(after.get(TYPE_URLS.endpoint)).to.not.equal(before.get(TYPE_URLS.endpoint));
    for (const type of ["cluster", "listener", "route"] as const) {
      expect(after.get(TYPE_URLS[type]), type).to.equal(before.get(TYPE_URLS[type]));
    }
  });

  it("encodes each leaf once however many proxies use it, and one resource for a changed endpoint", () => {
    const world = createWorld();
    world.feed(...base);
    world.connect(client);
    const first = world.engine.stats().encodes;
    world.connect(client);
    expect(world.engine.stats().encodes).to.equal(first);
    world.feed(behind(1));
    expect(world.engine.stats().encodes).to.equal(first + 1);
    world.feed(behind(1), cart, client, namespace("shop"));
    expect(world.engine.stats().encodes, "delivered again without change").to.equal(first + 1);
  });

  it("delivers nothing for events that change nothing of a proxy's", () => {
    const world = createWorld();
    world.feed(...base);
    const { snapshots } = world.connect(client);
    world.feed(
      pod({ namespace: "kube-system", name: "dns", ips: ["10.3.0.1"], meshed: false }),
      service({ namespace: "kube-system", name: "dns", ports: [http] }),
      { kind: "ServiceAccount", metadata: { name: "new", namespace: "shop" } },
      meshConfig({ sidecar: { logLevel: "debug" } }),
    );
    expect(snapshots).to.have.length(1);
  });

  it("computes for subscribers only and releases when the last one closes", () => {
    const world = createWorld();
    world.feed(...base);
    const watched = world.engine.stats().computedCells;
    expect(world.engine.stats().encodes).to.equal(0);
    const [one, two] = [world.connect(client), world.connect(client)];
    one.close();
    expect(world.engine.stats().computedCells).to.be.greaterThan(watched);
    two.close();
    expect(world.engine.stats().computedCells).to.equal(watched);
    expect(world.engine.stats().subscribers).to.equal(0);
    world.drop(...base);
    const empty = world.engine.stats().computedCells;
    expect(empty).to.be.lessThan(watched);
    world.feed(...base);
    world.connect(client).close();
    world.drop(...base);
    expect(world.engine.stats().computedCells, "what is gone leaves nothing behind").to.equal(empty);
  });

  it("keeps for a while what a proxy was given that goes, so that a fleet that comes again costs nothing", () => {
    const clock = new TurnedClock();
    const world = createWorld(encodeAsJson, { clock, holdMs: 60_000 });
    world.feed(...base);
    const idle = world.engine.stats().computedCells;
    const first = world.connect(client);
    const given = first.latest();
    const { encodes } = world.engine.stats();
    first.close();
    for (let again = 0; again < 3; again += 1) {
      clock.pass(40_000);
      const next = world.connect(client);
      expect(next.latest()).to.equal(given);
      next.close();
    }
    expect(world.engine.stats().encodes).to.equal(encodes);
    world.feed(behind(1));
    expect(world.connect(client).latest(), "what changed meanwhile").to.not.equal(given);
    const open = world.connect(member(1));
    clock.pass(60_000);
    open.close();
    expect(clock.pending).to.equal(1);
    world.engine.stop();
    expect(clock.pending).to.equal(0);
    expect(world.engine.stats().subscribers).to.equal(1);
    expect(world.engine.stats().computedCells).to.be.greaterThan(idle);
  });

  it("makes ahead what the proxies that are to come will be given, and lets go of it when they do not", async () => {
    const clock = new TurnedClock();
    const world = createWorld(encodeAsJson, { clock, holdMs: 60_000 });
    world.feed(...base);
    const idle = world.engine.stats().computedCells;
    await world.engine.warm(1_000);
    const { encodes } = world.engine.stats();
    expect(encodes).to.be.greaterThan(0);
    for (const target of [member(1), member(2), client]) world.connect(target).close();
    expect(world.engine.stats().encodes).to.equal(encodes);
    clock.pass(60_000);
    expect(world.engine.stats().computedCells).to.equal(idle);
    await world.engine.warm(0);
    expect(world.engine.stats().computedCells, "no time was left").to.equal(idle);
  });

  it("keeps what a proxy has when its pod is gone, and serves its replacement by the new uid", () => {
    const world = createWorld();
    const gone: string[] = [];
    world.engine.onGone(uid => gone.push(uid));
    world.feed(...base);
    const { snapshots } = world.connect(member(1));
    world.drop(member(1));
    expect(gone).to.deep.equal(["uid-shop-cart-1"]);
    const count = snapshots.length;
    world.feed(member(1, { uid: "second" }));
    expect(snapshots).to.have.length(count);
    expect(world.connect(member(1, { uid: "second" })).snapshots).to.have.length(1);
  });

  it("takes a list as one step: what is missing is deleted", () => {
    const world = createWorld();
    world.feed(...base, service({ namespace: "shop", name: "old", ports: [http] }));
    const buyer = world.connect(client);
    expect(namesIn(buyer.latest(), TYPE_URLS.route)).to.deep.equal([
      "outbound|shop/cart|80",
      "outbound|shop/old|80",
    ]);
    world.engine.apply(relist("Service", [cart]));
    world.engine.flush();
    expect(buyer.snapshots).to.have.length(2);
    expect(namesIn(buyer.latest(), TYPE_URLS.route)).to.deep.equal(["outbound|shop/cart|80"]);
  });

  it("leaves out a resource that cannot be encoded, logs it and delivers the rest", () => {
    const world = createWorld(leaf => {
      if (leaf.name === "outbound|shop/cart|80") throw new Error("no such luck");
      return encodeAsJson(leaf);
    });
    world.feed(...base);
    const connection = world.connect(client);
    expect(namesIn(connection.latest(), TYPE_URLS.cluster)).to.deep.equal(["passthrough"]);
    expect(namesIn(connection.latest(), TYPE_URLS.listener)).to.include("inbound");
    expect(world.errors.join()).to.contain("no such luck");
  });

  it("does not let a failing subscriber keep others from their configuration", () => {
    const world = createWorld();
    world.feed(...base);
    world.engine.subscribe(proxyOf(client), () => {
      throw new Error("stream is gone");
    });
    const good = world.connect(client);
    world.feed(behind(2));
    expect(good.snapshots).to.have.length(2);
    expect(world.errors.join()).to.contain("stream is gone");
  });

  it("flushes once per turn, at its end", () => {
    const turn: (() => void)[] = [];
    const endTurn = (): void => {
      for (const run of turn.splice(0)) run();
    };
    // A clock that stands still: no flush costs time, so none is followed by a pause.
    const clock = { ...systemClock, now: () => 0 };
    const engine = createEngine({
      log: quietLog(),
      clock,
      encode: encodeAsJson,
      soon: run => turn.push(run),
    });
    for (const object of base) engine.apply(upsert(object));
    expect(turn).to.have.length(1);
    let snapshots = 0;
    engine.subscribe(proxyOf(client), () => snapshots++);
    endTurn();
    expect([engine.stats().flushes, snapshots]).to.deep.equal([1, 1]);
    engine.apply(upsert(behind(1)));
    engine.apply(upsert(behind(2)));
    expect(snapshots, "nothing before the end of the turn").to.equal(1);
    endTurn();
    expect([engine.stats().flushes, snapshots]).to.deep.equal([2, 2]);
  });
});

describe("engine as pod directory", () => {
  it("knows live pods by uid", () => {
    const { engine } = createWorld();
    engine.apply(upsert(namespace("shop")));
    engine.apply(upsert(member(1)));
    engine.apply(upsert(member(2, { meshed: false })));
    engine.apply(upsert(member(3, { phase: "Succeeded" })));
    expect(engine.byUid("uid-shop-cart-1")).to.deep.equal({
      namespace: "shop",
      name: "cart-1",
      uid: "uid-shop-cart-1",
      serviceAccount: "cart",
      sidecar: true,
      meshed: true,
    });
    expect(engine.byUid("uid-shop-cart-2")).to.include({ sidecar: false, meshed: false });
    expect(engine.byUid("uid-shop-cart-3")).to.equal(undefined);
    expect(engine.byUid("")).to.equal(undefined);
  });

  it("announces deletion, replacement under the same name, the end of a pod, and lists without it", () => {
    const { engine } = createWorld();
    const gone: string[] = [];
    engine.onGone(uid => gone.push(uid));
    for (const n of [1, 2, 3, 4]) engine.apply(upsert(member(n)));
    engine.apply(upsert(member(1, { terminating: true })));
    expect(gone, "a terminating pod still runs").to.deep.equal([]);
    engine.apply(remove(member(1)));
    engine.apply(upsert(member(2, { uid: "new" })));
    engine.apply(upsert(member(3, { phase: "Failed" })));
    engine.apply(relist("Pod", [member(2, { uid: "new" })]));
    expect(gone).to.deep.equal(["uid-shop-cart-1", "uid-shop-cart-2", "uid-shop-cart-3", "uid-shop-cart-4"]);
    expect(engine.byUid("new")?.name).to.equal("cart-2");
    expect(engine.byUid("uid-shop-cart-2")).to.equal(undefined);
  });
});

describe("engine and pods whose namespace does not belong to the mesh", () => {
  const outside = (labels: Readonly<Record<string, string>> | undefined): TestObject =>
    namespace("shop", labels === undefined ? { meshed: false } : { labels });
  const ignored = { "openservicemesh.io/ignore": "true" };

  for (const [what, place] of [
    ["that is not known", undefined],
    ["that is unmarked", outside(undefined)],
    ["that is ignored", outside(ignored)],
  ] as const) {
    it(`gives nothing to a pod with a sidecar in a namespace ${what}, and does not count it`, () => {
      const world = createWorld();
      world.feed(...base.filter(object => object.kind !== "Namespace"), namespace("web"));
      if (place !== undefined) world.feed(place);
      const home = world.connect(member(1));
      world.feed(member(1));
      expect(home.snapshots).to.have.length(0);
      expect(world.engine.describe("uid-shop-cart-1")).to.equal(undefined);
      expect(world.engine.byUid("uid-shop-cart-1")).to.include({ sidecar: true, meshed: false });
      expect([...world.engine.expectedProxies().keys()]).to.deep.equal(["uid-web-buyer"]);
      world.feed(namespace("shop"));
      expect(home.snapshots, "as soon as the namespace joins").to.have.length(1);
      expect(world.engine.byUid("uid-shop-cart-1")?.meshed).to.equal(true);
      expect(world.engine.expectedProxies().size).to.equal(3);
    });
  }

  it("lets a pod whose namespace leaves keep what it has, and its stream", () => {
    const world = createWorld();
    world.feed(...base);
    const gone: string[] = [];
    world.engine.onGone(uid => gone.push(uid));
    const running = world.connect(member(1));
    const counted: number[] = [];
    world.engine.onExpectedProxies(() => counted.push(world.engine.expectedProxies().size));
    world.feed(outside(undefined));
    world.feed(service({ namespace: "web", name: "extra", ports: [http] }));
    expect(running.snapshots, "no other than the first").to.have.length(1);
    expect(gone).to.deep.equal([]);
    expect(counted).to.deep.equal([1]);
    world.feed(namespace("shop"));
    expect(counted).to.deep.equal([1, 3]);
  });
});

describe("engine's findings and settings", () => {
  const odd = service({ namespace: "shop", name: "odd", ports: [{ port: 70, appProtocol: "gopher" }] });

  it("tells listeners which objects' findings changed, and when none are left", () => {
    const world = createWorld();
    const { engine } = world;
    const told: [string, number][] = [];
    const subscription = engine.onDiagnostics(changed => {
      for (const [subject, found] of changed) told.push([subject, found.length]);
    });
    world.feed(namespace("shop"), odd, meshConfig({ sidecar: { logLevel: "loud" } }));
    world.feed(odd);
    world.drop(odd);
    engine.apply(relist("MeshConfig", []));
    engine.flush();
    subscription.close();
    world.feed(odd);
    expect(told).to.deep.equal([
      ["MeshConfig.config.openservicemesh.io/osm-system/osm-mesh-config", 1],
      ["Service/shop/odd", 1],
      ["Service/shop/odd", 0],
      ["MeshConfig.config.openservicemesh.io/osm-system/osm-mesh-config", 0],
    ]);
    expect([...engine.diagnostics().keys()]).to.deep.equal(["Service/shop/odd"]);
  });

  it("takes only the mesh's own MeshConfig, tells of changes, and keeps the last good one", () => {
    const world = createWorld();
    const { engine } = world;
    const seen: boolean[] = [];
    engine.onMeshConfig(spec => seen.push(spec.traffic.enableEgress));
    const config = meshConfig({ traffic: { enableEgress: false } });
    const foreign = { ...config, metadata: { name: "other", namespace: "osm-system" } };
    world.feed(foreign);
    expect(engine.meshConfig().traffic.enableEgress).to.equal(true);
    world.feed(config);
    world.feed(config);
    expect(engine.meshConfig().traffic.enableEgress).to.equal(false);
    // Deleted, spoilt, or missing from a list: what was in force stays in force.
    world.drop(config);
    world.feed(meshConfig({ traffic: { enableEgress: true, inboundPortExclusionList: [15003] } }));
    engine.apply(relist("MeshConfig", []));
    engine.flush();
    expect(engine.meshConfig().traffic.enableEgress).to.equal(false);
    world.feed(meshConfig({}));
    expect(seen).to.deep.equal([false, true]);
  });

  it("explains a call through the client's and the server's policy", () => {
    const world = createWorld();
    const { engine } = world;
    world.feed(...base);
    const [address = ""] = (cart["spec"] as { clusterIPs: string[] }).clusterIPs;
    const uid = proxyOf(client).podUid;
    const delivered = engine.explain(uid, {
      address,
      port: 80,
      http: { method: "GET", path: "/", headers: {} },
    });
    expect(delivered).to.include({ outcome: "delivered" });
    expect(delivered?.destination).to.deep.equal({ address: "10.0.0.1", port: 8080 });
    world.feed(meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false, enableEgress: false } }));
    const denied = engine.explain(uid, {
      address,
      port: 80,
      http: { method: "GET", path: "/", headers: {} },
    });
    expect(denied).to.include({ outcome: "forbidden" });
    expect(engine.explain(uid, { address: "192.0.2.1", port: 80 })).to.include({ outcome: "refused" });
    expect(engine.explain("nobody", { address, port: 80 })).to.equal(undefined);
  });
});
