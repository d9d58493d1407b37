import { expect } from "chai";
import type { TestObject } from "../../support/objects";
import { meshConfig, namespace } from "../../support/objects";
import { buyer, PORTS, shopPod, shopService, thief } from "../../support/shop-mesh";
import { DENY, routeGroup, tcpRoute, trafficSplit, trafficTarget } from "../../support/traffic-objects";
import type { World } from "../../support/world";
import { createWorld } from "../../support/world";
import { account, egress } from "../../support/terms-objects";
import { ANNOTATION_PERMISSIVE } from "../../../src/model/mesh-words";
import { resourcesOf } from "../../../src/xds/resource";

const routes = (path: string): TestObject => routeGroup("shop", "routes", [{ name: "m", pathRegex: path }]);
const target = (from: readonly string[], rules: readonly string[] = ["HTTPRouteGroup/routes"]): TestObject =>
  trafficTarget({ name: "t", to: "shop/a", from, rules });
const split = (v1: number): TestObject =>
  trafficSplit({ namespace: "shop", name: "s", root: "a", shares: { b: v1, c: 10 } });

/** What each proxy got, as `name version` of every resource. */
class Watched {
  readonly world: World = createWorld();
  private readonly proxies = new Map<string, () => ReadonlyMap<string, string>>();

  constructor(...objects: readonly TestObject[]) {
    this.world.feed(namespace("web"), namespace("shop"), buyer, thief, ...objects);
    for (const pod of [buyer, thief, ...["a", "b", "c"].map((name, i) => shopPod(name, i + 1))]) {
      const connection = this.world.connect(pod);
      this.proxies.set(pod.metadata.name, () => {
        const sets = [...connection.latest().values()].flatMap(set => [...resourcesOf(set)]);
        return new Map(sets.map(({ typeUrl, name, version }) => [`${typeUrl} ${name}`, version]));
      });
    }
  }

  /** Names of the resources that a proxy has. */
  namesOf(proxy: string): readonly string[] {
    return [...(this.proxies.get(proxy)?.().keys() ?? [])].map(key => key.slice(key.indexOf(" ") + 1));
  }

  /** Names of the resources that a change added, changed or removed, by proxy; and how many were encoded. */
  change(make: (world: World) => void): {
    encodes: number;
    sent: Readonly<Record<string, readonly string[]>>;
  } {
    const before = new Map([...this.proxies].map(([name, look]) => [name, look()]));
    const { encodes } = this.world.engine.stats();
    make(this.world);
    const sent: Record<string, readonly string[]> = {};
    for (const [name, look] of this.proxies) {
      const [old, now] = [before.get(name) ?? new Map<string, string>(), look()];
      const differs = [...new Set([...old.keys(), ...now.keys()])].filter(
        key => old.get(key) !== now.get(key),
      );
      if (differs.length > 0) sent[name] = differs.map(key => key.slice(key.indexOf(" ") + 1)).sort();
    }
    return { encodes: this.world.engine.stats().encodes - encodes, sent };
  }
}

const services = ["a", "b", "c"].flatMap((name, i) => shopService(name, i + 1, PORTS));
const deny = meshConfig(DENY);
const gate = (port: number, account: string): string =>
  `inbound|${port}|spiffe://cluster.local/ns/web/sa/${account}`;

describe("a change of traffic policy", () => {
  it("of a TrafficTarget reaches the inbound rules of its destination, and nothing else of anybody", () => {
    const watched = new Watched(deny, ...services, routes("/x"));
    const first = watched.change(world => {
      world.feed(target(["web/buyer"]));
    });
    const own = [gate(8080, "buyer"), gate(8080, "buyer"), "inbound|8080"];
    expect(first.sent).to.deep.equal({ "a-1": [...own].sort() });
    expect(first.encodes).to.equal(3);
    const second = watched.change(world => {
      world.feed(target(["web/buyer", "web/thief"]));
    });
    expect(second.sent).to.deep.equal({
      "a-1": [gate(8080, "thief"), gate(8080, "thief"), "inbound|8080"].sort(),
    });
    const gone = watched.change(world => {
      world.drop(target([]));
    });
    expect(Object.keys(gone.sent)).to.deep.equal(["a-1"]);
    expect(gone.encodes).to.equal(1);
  });

  it("of a TrafficTarget about bytes adds a caller's way; with the leaves as bytes, the listener that explains it", () => {
    const watched = new Watched(deny, ...services, tcpRoute("shop", "all", 8081));
    const { sent } = watched.change(world => {
      world.feed(target(["web/buyer"], ["TCPRoute/all"]));
    });
    expect(sent).to.deep.equal({ "a-1": ["inbound", gate(8081, "buyer"), gate(8081, "buyer")] });
  });

  it("of an HTTPRouteGroup reaches whom it is granted at, once", () => {
    const watched = new Watched(deny, ...services, routes("/x"), target(["web/buyer"]));
    const { sent, encodes } = watched.change(world => {
      world.feed(routes("/y"));
    });
    expect(sent).to.deep.equal({ "a-1": ["inbound|8080"] });
    expect(encodes).to.equal(1);
    const unused = watched.change(world => {
      world.feed(routeGroup("shop", "other", [{ name: "m", pathRegex: "/z" }]));
    });
    expect(unused).to.deep.equal({ sent: {}, encodes: 0 });
  });

  it("of a split's weight is one route table of its root, the same for all, and the listener of its bytes", () => {
    const watched = new Watched(deny, ...services, split(90));
    const { sent, encodes } = watched.change(world => {
      world.feed(split(50));
    });
    const root = ["outbound|shop/a|80", "outbound|shop/a|81"];
    expect(sent).to.deep.equal({ "a-1": root, "b-1": root, "c-1": root, buyer: root, thief: root });
    expect(encodes, "one table and one listener").to.equal(2);
    const http = new Watched(
      deny,
      ...["a", "b", "c"].flatMap((name, i) => shopService(name, i + 1, PORTS.slice(0, 1))),
      split(90),
    );
    expect(
      http.change(world => {
        world.feed(split(50));
      }).encodes,
    ).to.equal(1);
  });

  it("of a foreign namespace changes nothing", () => {
    const watched = new Watched(deny, ...services, routes("/x"), target(["web/buyer"]));
    const { sent, encodes } = watched.change(world => {
      world.feed(
        trafficTarget({
          name: "grab",
          namespace: "web",
          to: "shop/a",
          from: ["web/thief"],
          rules: ["TCPRoute/all"],
        }),
        tcpRoute("web", "all"),
        trafficSplit({ namespace: "web", name: "grab", root: "a.shop", shares: { b: 1 } }),
        routeGroup("web", "routes", [{ name: "m" }]),
      );
    });
    expect({ sent, encodes }).to.deep.equal({ sent: {}, encodes: 0 });
  });

  it("of permissive mode changes what servers say, and nothing of what clients know", () => {
    const watched = new Watched(deny, ...services);
    const { sent } = watched.change(world => {
      world.feed(meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }));
    });
    expect(Object.keys(sent)).to.deep.equal(["a-1", "b-1", "c-1"]);
    expect(sent["a-1"]).to.deep.equal(["inbound", "inbound|8080"]);
  });
});

const scoped = meshConfig({ traffic: { ...DENY.traffic, enableEgress: false, clientScope: "Permitted" } });

describe("a client that is told only of what it may call", () => {
  const listenersFor = (watched: Watched, pod: string): readonly string[] =>
    watched.namesOf(pod).filter(name => name.startsWith("outbound|"));

  it("is told of a Service when a TrafficTarget lets it call, with its pods, and of no other", () => {
    const watched = new Watched(scoped, ...services, routes("/x"));
    expect(listenersFor(watched, "buyer")).to.deep.equal([]);
    const granted = watched.change(world => {
      world.feed(target(["web/buyer"]));
    });
    expect(Object.keys(granted.sent).sort()).to.deep.equal(["a-1", "buyer"]);
    expect(listenersFor(watched, "buyer")).to.not.deep.equal([]);
    expect(listenersFor(watched, "buyer").every(name => !/shop\/[bc]/.test(name))).to.equal(true);
    const withdrawn = watched.change(world => {
      world.drop(target([]));
    });
    expect(Object.keys(withdrawn.sent).sort()).to.deep.equal(["a-1", "buyer"]);
    expect(listenersFor(watched, "buyer")).to.deep.equal([]);
  });

  it("is not told of a change of what it may not call", () => {
    const watched = new Watched(scoped, ...services, routes("/x"), target(["web/buyer"]));
    const changed = watched.change(world => {
      world.feed(...shopService("a", 9));
    });
    expect(Object.keys(changed.sent)).to.include("buyer").and.not.include("thief");
  });

  it("is told of the root and the other backends of a split, though it may call one backend only", () => {
    const onB = trafficTarget({
      name: "t",
      to: "shop/b",
      from: ["web/buyer"],
      rules: ["HTTPRouteGroup/routes"],
    });
    const watched = new Watched(scoped, ...services, routes("/x"), onB, split(50));
    const names = watched.namesOf("buyer").join();
    for (const service of ["a", "b", "c"]) expect(names).to.include(`shop/${service}`);
    expect(watched.namesOf("thief").join()).to.not.include("shop/");
  });

  it("is told of pods' own addresses by headless Services alone, whatever podAddresses says, while its neighbours are told of all", () => {
    const everyPod = meshConfig({
      traffic: { ...DENY.traffic, enableEgress: false, clientScope: "Permitted", podAddresses: "Mesh" },
    });
    const wayOut = egress("web/out", {
      sources: [account("web/thief")],
      hosts: ["out.example"],
      ports: [{ number: 80, protocol: "http" }],
    });
    const ofPods = (watched: Watched, pod: string): readonly string[] =>
      watched.namesOf(pod).filter(name => /^outbound\|10\.|\|direct$/.test(name));
    const watched = new Watched(
      everyPod,
      ...services,
      routes("/x"),
      target(["web/buyer", "web/thief"]),
      wayOut,
    );
    expect(ofPods(watched, "buyer")).to.deep.equal([]);
    expect(ofPods(watched, "thief")).to.not.deep.equal([]);
    watched.world.feed(scoped);
    expect(ofPods(watched, "thief")).to.deep.equal([]);
  });

  it("is told of all of a permissive namespace, and of everything while egress is on", () => {
    const open = meshConfig({ traffic: { ...DENY.traffic, enableEgress: true, clientScope: "Permitted" } });
    const watched = new Watched(open, ...services);
    expect(watched.namesOf("thief").join()).to.include("shop/a");
    watched.world.feed(scoped);
    expect(watched.namesOf("thief").join()).to.not.include("shop/a");
    watched.world.feed({
      ...namespace("shop"),
      metadata: {
        ...namespace("shop").metadata,
        annotations: { [ANNOTATION_PERMISSIVE]: "true" },
      },
    } as TestObject);
    expect(watched.namesOf("thief").join()).to.include("shop/a");
  });
});
