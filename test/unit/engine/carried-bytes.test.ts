import { expect } from "chai";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { encodeLeaf } from "../../../src/envoy/encode";
import { resourcesOf, TYPE_URLS } from "../../../src/xds/resource";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { DENY, routeGroup, tcpRoute, trafficTarget } from "../../support/traffic-objects";
import { createWorld, systemClock } from "../../support/world";

const cart = pod({ namespace: "shop", name: "cart", ips: ["10.1.0.1"], labels: { app: "cart" } });
const account = "shop/default";
const carrying = (appProtocol: string): TestObject =>
  service({
    namespace: "shop",
    name: "cart",
    clusterIPs: ["10.98.0.1"],
    ports: [{ name: "one", port: 80, targetPort: 8080, appProtocol }],
  });
const endpoints = slice({
  namespace: "shop",
  service: "cart",
  ports: [{ name: "one", port: 8080 }],
  endpoints: [{ address: "10.1.0.1", pod: "cart" }],
});
const BYTES = trafficTarget({ name: "bytes", to: account, from: ["web/buyer"], rules: ["TCPRoute/all"] });
const REQUESTS = trafficTarget({
  name: "requests",
  to: account,
  from: ["web/thief"],
  rules: ["HTTPRouteGroup/some"],
});

/** Number of the field in Envoy's Listener. */
const FILTER_CHAINS = 3;
const HOUR_MS = 3_600_000;

describe("connections that carry bytes where a port becomes HTTP", () => {
  const start = (config: TestObject, lingerMs = 5000) => {
    let now = 0;
    const clock = { ...systemClock, now: () => now };
    const world = createWorld(encodeLeaf, { lingerMs, clock });
    const some = routeGroup("shop", "some", [{ name: "some", pathRegex: "/some" }]);
    world.feed(namespace("web"), namespace("shop"), config, tcpRoute("shop", "all"), some, BYTES);
    world.feed(cart, endpoints, carrying("tcp"));
    const connection = world.connect(cart);
    /** Chains of a listener, as they are sent. */
    const chains = (name: string): readonly string[] => {
      const set = connection.latest().get(TYPE_URLS.listener);
      const found = set && [...resourcesOf(set)].find(resource => resource.name === name);
      if (found === undefined) throw new Error(`no listener ${name}`);
      const reader = new BinaryReader(found.body);
      const all: string[] = [];
      while (reader.pos < reader.len) {
        const [field, wire] = reader.tag();
        if (field === FILTER_CHAINS) all.push(Buffer.from(reader.bytes()).toString("base64"));
        else reader.skip(wire);
      }
      return all;
    };
    return {
      world,
      inbound: () => chains("inbound"),
      outbound: () => chains("outbound|shop/cart|80"),
      pass: (ms: number) => (now += ms),
    };
  };

  for (const [mode, config] of [
    ["permissive", meshConfig({})],
    ["denying", meshConfig(DENY)],
  ] as const)
    it(`keep their chains to the byte, beside those of HTTP, in a ${mode} mesh`, () => {
      const { world, inbound, outbound } = start(config);
      const before = { inbound: inbound(), outbound: outbound() };
      expect(before.inbound).to.have.length(1);
      world.feed(carrying("http"));
      for (const now of [
        { was: before.inbound, is: inbound() },
        { was: before.outbound, is: outbound() },
      ]) {
        expect(now.is).to.have.length(2);
        expect(now.is[1]).to.equal(now.was[0]);
      }
      world.feed(carrying("grpc"));
      expect(inbound()[1]).to.equal(before.inbound[0]);
      world.feed(carrying("tcp"));
      expect(inbound()).to.deep.equal(before.inbound);
      expect(outbound()).to.deep.equal(before.outbound);
    });

  it("are over an hour later", () => {
    const { world, inbound, pass } = start(meshConfig({}));
    world.feed(carrying("http"));
    expect(inbound()).to.have.length(2);
    pass(HOUR_MS + 1);
    world.feed(carrying("http"));
    expect(inbound()).to.have.length(1);
  });

  it("end where somebody is granted requests alone, who must not go on with bytes", () => {
    const { world, inbound } = start(meshConfig(DENY));
    world.feed(carrying("http"));
    expect(inbound()).to.have.length(2);
    world.feed(REQUESTS);
    expect(inbound()).to.have.length(1);
  });

  it("end at once where nothing is to linger", () => {
    const { world, inbound } = start(meshConfig({}), 0);
    world.feed(carrying("http"));
    expect(inbound()).to.have.length(1);
  });
});
