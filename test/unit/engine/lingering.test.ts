import { expect } from "chai";
import type { Clock } from "../../../src/runtime/ports";
import { meshConfig, namespace, service } from "../../support/objects";
import { shopPod, shopService, thief } from "../../support/shop-mesh";
import { DENY, tcpRoute, trafficTarget } from "../../support/traffic-objects";
import { createWorld, proxyOf } from "../../support/world";

/** A clock whose alarms a test rings. */
function standingClock(): Clock & { ring(): void; ringFirst(): void } {
  const alarms = new Set<() => void>();
  return {
    now: () => 0,
    setTimeout: run => {
      alarms.add(run);
      return { cancel: () => alarms.delete(run) };
    },
    ring: () => {
      const due = [...alarms];
      alarms.clear();
      for (const run of due) run();
    },
    ringFirst: () => {
      const [first] = alarms;
      if (first === undefined) throw new Error("no alarm is set");
      alarms.delete(first);
      first();
    },
  };
}

const cart = shopPod("cart", 1);
const moved = (ports: readonly { name: string; port: number; targetPort: number }[]) =>
  service({ namespace: "shop", name: "cart", clusterIPs: ["10.98.0.1"], ports });
const HTTP = { name: "http", port: 80, targetPort: 8080 };
const TCP = { name: "tcp", port: 81, targetPort: 8081 };

describe("ports that no Service leads to any more", () => {
  const start = (lingerMs: number) => {
    const clock = standingClock();
    const world = createWorld(undefined, { lingerMs, clock });
    const target = trafficTarget({
      name: "cart",
      to: "shop/cart",
      from: ["web/buyer"],
      rules: ["TCPRoute/all"],
      port: 80,
    });
    world.feed(namespace("web"), namespace("shop"), meshConfig(DENY), ...shopService("cart", 1), thief);
    world.feed(tcpRoute("shop", "all"), target);
    const connection = world.connect(cart);
    const leaves = () => world.engine.describe(proxyOf(cart).podUid)?.leaves ?? [];
    const answered = () =>
      leaves().flatMap(leaf => (leaf.kind === "inbound-listener" ? leaf.ports.map(({ port }) => port) : []));
    const gates = () => leaves().flatMap(leaf => (leaf.kind === "caller-gate" ? [leaf.name] : []));
    return { clock, world, target, connection, answered, gates };
  };

  it("are answered a while longer, in their protocol, with the permissions of the moment", () => {
    const { clock, world, target, connection, answered, gates } = start(5000);
    expect(answered()).to.deep.equal([8080, 8081]);
    world.feed(moved([{ ...HTTP, targetPort: 9090 }]));
    expect(answered()).to.deep.equal([8080, 8081, 9090]);
    const listener = world.engine
      .describe(proxyOf(cart).podUid)
      ?.leaves.find(leaf => leaf.kind === "inbound-listener");
    expect(listener?.ports.map(({ handling }) => handling.kind)).to.deep.equal(["http", "tcp", "http"]);
    const gate = (port: number) => `inbound|${port}|spiffe://cluster.local/ns/web/sa/buyer`;
    expect(gates()).to.deep.equal([gate(8080), gate(9090)]);
    expect(connection.snapshots).to.have.length(2);
    world.drop(target);
    expect(gates(), "a permission ends at once").to.deep.equal([]);
    clock.ring();
    world.engine.flush();
    expect(answered()).to.deep.equal([9090]);
  });

  it("are served again when a Service leads there again, and not forgotten before their time", () => {
    const { clock, world, answered } = start(5000);
    world.feed(moved([TCP]));
    world.feed(moved([HTTP, TCP]));
    expect(answered()).to.deep.equal([8080, 8081]);
    clock.ring();
    world.engine.flush();
    expect(answered()).to.deep.equal([8080, 8081]);
    world.drop(moved([]));
    expect(answered()).to.deep.equal([8080, 8081]);
    clock.ring();
    world.engine.flush();
    expect(answered()).to.deep.equal([]);
  });

  it("last their time anew when they go again", () => {
    const { clock, world, answered } = start(5000);
    for (const ports of [[TCP], [HTTP, TCP], [TCP]]) world.feed(moved(ports));
    clock.ringFirst();
    world.engine.flush();
    expect(answered()).to.deep.equal([8080, 8081]);
    clock.ringFirst();
    world.engine.flush();
    expect(answered()).to.deep.equal([8081]);
  });

  it("are those of connected proxies only, and end at once where nothing is to linger", () => {
    const followed = start(5000);
    followed.connection.close();
    followed.world.feed(moved([TCP]));
    expect(followed.answered()).to.deep.equal([8081]);
    const none = start(0);
    none.world.feed(moved([TCP]));
    expect(none.answered()).to.deep.equal([8081]);
  });
});
