import { expect } from "chai";
import net, { type AddressInfo } from "node:net";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { objectRefKey, type ObjectRef } from "../../src/model/object-ref";
import { systemClock } from "../../src/runtime/clock";
import { Fleet } from "../../src/runtime/ledger/fleet";
import { watchLedger } from "../../src/runtime/ledger/transport";
import type { Log } from "../../src/runtime/ports";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { LedgerRig } from "../support/ledger-rig";
import { watchedLog } from "../support/told-errors";
import { waitFor } from "../support/wait";

const MESH_CONFIG: ObjectRef = {
  group: "config.openservicemesh.io",
  kind: "MeshConfig",
  namespace: "osm-system",
  name: MESH_CONFIG_NAME,
};
const ONE: ObjectRef = { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name: "one" };

/** The way to a replica's ledger, whose connections a test ends. */
class Way {
  private readonly sockets = new Set<net.Socket>();
  /** `deaf`: what connects is held and never answered, as at an address that is gone. */
  isDeaf = false;
  private readonly server = net.createServer(socket => {
    this.sockets.add(socket.on("error", () => undefined));
    if (this.isDeaf) return;
    const on = net.connect(this.target, "127.0.0.1").on("error", () => socket.destroy());
    socket.pipe(on).pipe(socket);
    socket.on("close", () => on.destroy());
  });

  private constructor(private readonly target: number) {}

  static async to(target: number): Promise<Way> {
    const way = new Way(target);
    await new Promise<void>(resolve => way.server.listen(0, "127.0.0.1", resolve));
    return way;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Ends all connections. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  stop(): void {
    this.server.close();
    this.cut();
  }
}

describe("a ledger's connection that ends", () => {
  const root = createRoot(Date.now());
  const authority = loadAuthority(root.certPem, root.keyPem);
  let rig: LedgerRig;
  let way: Way;
  let fleet: Fleet;
  /** What the view was after each change, and how many connections have brought anything. */
  let seen: { complete: boolean; replicas: number }[];
  let connections: number;
  let lost: number;

  const replica = (ready: boolean) => [{ uid: "a", name: "a", address: way.address, ready }];
  const isKnown = (): boolean => fleet.view().complete;
  const generation = (): number | undefined => fleet.view().replicas[0]?.generation.get(objectRefKey(ONE));

  beforeEach(async () => {
    [seen, connections, lost] = [[], 0, 0];
    rig = await LedgerRig.start(authority, MESH_CONFIG);
    rig.reports.compile(objectRefKey(ONE), 1);
    way = await Way.to(rig.ledgerPort);
    const counting: Log = {
      ...watchedLog,
      debug: () => {
        lost += 1;
      },
    };
    fleet = new Fleet({
      connect: ({ address }, handlers) =>
        watchLedger({
          address,
          authority,
          clock: systemClock,
          onEnd: reason => {
            handlers.onEnd(reason);
          },
          onMessage: message => {
            if (message.full) connections += 1;
            handlers.onMessage(message);
          },
        }),
      expected: () => new Map(),
      clock: systemClock,
      random: Math.random,
      log: counting,
    });
    fleet.setReplicas(replica(true));
    await waitFor("the first connection", isKnown);
    fleet.onChange(() => {
      const { complete, replicas } = fleet.view();
      seen.push({ complete, replicas: replicas.length });
    });
  });
  afterEach(async () => {
    fleet.stop();
    way.stop();
    await rig.stop();
  });

  it("costs nothing that was known when the next one is there at once, and that one is what counts", async () => {
    for (let time = 2; time <= 6; time += 1) {
      way.cut();
      await waitFor("the end to be seen", () => lost === time - 1);
      expect([isKnown(), generation()], "meanwhile").to.deep.equal([true, time - 1]);
      rig.reports.compile(objectRefKey(ONE), time);
      await waitFor("what the next connection tells", () => connections === time && generation() === time);
    }
    expect(seen.length).to.be.at.least(5);
    expect(seen.filter(({ complete }) => !complete)).to.deep.equal([]);
  });

  it("is forgotten when it cannot be had again, at the first refusal", async () => {
    await rig.stopLedger();
    await waitFor("the refusal", () => lost >= 2);
    expect([fleet.view().complete, fleet.view().replicas.length]).to.deep.equal([false, 0]);
    await rig.startLedger();
    await waitFor("its return", isKnown);
  });

  it("is forgotten within seconds when nobody answers at all, and the replica is known again later", async () => {
    way.isDeaf = true;
    way.cut();
    await waitFor("the end to be seen", () => lost === 1);
    expect(isKnown()).to.equal(true);
    await waitFor("that it is forgotten", () => !isKnown());
    expect(lost, "connections that failed").to.equal(1);
    way.isDeaf = false;
    way.cut();
    await waitFor("its return", isKnown);
  });

  it("is told of when its rows go, though the replica is not ready by then: its proxies were counted until now", async () => {
    way.isDeaf = true;
    way.cut();
    await waitFor("the end to be seen", () => lost === 1);
    fleet.setReplicas(replica(false));
    const before = seen.length;
    await waitFor("the news", () => seen.length > before);
    expect(seen.at(-1)?.replicas).to.equal(0);
  });

  it("of a replica that takes no proxies any more is forgotten at once", async () => {
    fleet.setReplicas(replica(false));
    way.cut();
    await waitFor("the end to be seen", () => lost === 1);
    expect(fleet.view().replicas).to.deep.equal([]);
  });
});
