import { expect } from "chai";
import { TYPE_URLS } from "../../../src/xds/resource";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { tcpRoute } from "../../support/traffic-objects";
import { TurnedClock } from "../../support/turned-clock";
import { createWorld, encodeAsJson, namesIn, relist, remove, upsert } from "../../support/world";

const PATIENCE = 100;
const CLUSTER = "outbound|shop/cart|80";
const client = pod({ namespace: "shop", name: "buyer", ips: ["10.1.0.1"], serviceAccount: "buyer" });
const member = pod({
  namespace: "shop",
  name: "cart-1",
  ips: ["10.0.0.1"],
  labels: { app: "cart" },
  serviceAccount: "cart",
});
const http = { name: "http", port: 80, targetPort: 8080 };
const cart = service({ namespace: "shop", name: "cart", ports: [http] });
const behind = slice({
  namespace: "shop",
  service: "cart",
  ports: [{ name: "http", port: 8080 }],
  endpoints: [{ address: "10.0.0.1", pod: "cart-1" }],
});

describe("a new Service and its first EndpointSlice", () => {
  /** An engine that flushes after each event, with one proxy that follows. */
  const start = () => {
    const clock = new TurnedClock();
    const turns: (() => void)[] = [];
    const world = createWorld(encodeAsJson, {
      clock,
      patienceMs: PATIENCE,
      soon: run => turns.push(run),
    });
    const endTurn = (): void => {
      for (const run of turns.splice(0)) run();
    };
    const apply = (...objects: readonly TestObject[]): void => {
      for (const object of objects) world.engine.apply(upsert(object));
      endTurn();
    };
    apply(
      meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }),
      namespace("shop"),
      client,
      member,
    );
    const proxy = world.connect(client);
    const clusters = (): readonly string[] => {
      endTurn();
      return namesIn(proxy.latest(), TYPE_URLS.cluster);
    };
    const told = (): number => {
      endTurn();
      return proxy.snapshots.length;
    };
    return { clock, engine: world.engine, apply, clusters, told };
  };

  it("reach proxies as one change", () => {
    const { clock, apply, clusters, told } = start();
    const before = told();
    apply(cart);
    expect(told(), "told of the Service alone").to.equal(before);
    apply(behind);
    expect([told(), clusters().filter(name => name.includes("cart"))]).to.deep.equal([before + 1, [CLUSTER]]);
    clock.pass(PATIENCE);
    expect(told()).to.equal(before + 1);
    expect(clock.pending).to.equal(0);
  });

  it("a Service for which none comes waits no longer than that, however often it changes meanwhile", () => {
    const { clock, apply, clusters } = start();
    apply(cart);
    clock.pass(PATIENCE - 1);
    apply(service({ namespace: "shop", name: "cart", ports: [http, { name: "more", port: 81 }] }));
    expect(clusters()).to.not.include(CLUSTER);
    clock.pass(1);
    expect(clusters()).to.include.members([CLUSTER, "outbound|shop/cart|81"]);
  });

  it("one that is known, or that has no selector, does not wait", () => {
    const { engine, apply, clusters } = start();
    apply(cart, behind);
    engine.apply(remove(behind));
    apply(
      service({ namespace: "shop", name: "cart", ports: [{ name: "http", port: 82, targetPort: 8080 }] }),
    );
    expect(clusters()).to.include("outbound|shop/cart|82");
    const { clock, apply: applyPlain } = start();
    applyPlain(service({ namespace: "shop", name: "plain", ports: [http], selector: null }));
    expect(clock.pending).to.equal(0);
  });

  it("one that is deleted, or not in the next list, is forgotten", () => {
    const { clock, engine, apply, clusters } = start();
    apply(cart);
    engine.apply(remove(cart));
    clock.pass(PATIENCE);
    expect(clusters()).to.not.include(CLUSTER);
    apply(cart);
    engine.apply(relist("Service", []));
    clock.pass(PATIENCE);
    expect(clusters()).to.not.include(CLUSTER);
    apply(cart);
    engine.apply(relist("Service", [cart]));
    expect(clusters()).to.include(CLUSTER);
    expect(clock.pending).to.equal(0);
  });

  it("a list of slices ends the wait, and so does whoever asks what would be; a stopped engine waits for nothing", () => {
    const { clock, engine, apply, clusters } = start();
    apply(cart);
    engine.apply(relist("EndpointSlice", [behind]));
    expect(clusters()).to.include(CLUSTER);
    const second = start();
    second.apply(cart);
    second.engine.foresee(upsert(tcpRoute("shop", "all")) as never);
    expect(second.clusters()).to.include(CLUSTER);
    const third = start();
    third.apply(cart);
    third.engine.stop();
    expect(third.clock.pending + clock.pending).to.equal(0);
  });
});
