import { once } from "node:events";
import { connect as tcp, type Socket } from "node:net";
import { connect as tls } from "node:tls";
import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { ADS_SAN } from "../../src/model/mesh-words";
import { listen, peerOf } from "../../src/runtime/ads/connections";
import { DEFAULT_ADS_LIMITS } from "../../src/runtime/ads/limits";
import { systemClock } from "../../src/runtime/clock";
import { TYPE_URLS } from "../../src/xds/resource";
import type { AdsClient } from "../support/ads-client";
import { AdsRig, snapshotOf, testResource } from "../support/ads-rig";
import { waitFor } from "../support/wait";

const { cluster } = TYPE_URLS;
/** By then a connection is closed that is closed at once; grpc-js would close one without streams after 60 s. */
const SOON_MS = 20_000;

describe("connections without a stream", () => {
  let rig: AdsRig;
  /** What the server's clock is ahead, milliseconds. */
  let ahead = 0;
  const start = async (options: Parameters<typeof AdsRig.start>[0] = {}): Promise<void> => {
    ahead = 0;
    // It stands: a machine that is slow for seconds must not make a connection old.
    const began = systemClock.now();
    const clock = {
      now: () => began + ahead,
      setTimeout: systemClock.setTimeout.bind(systemClock),
    };
    rig = await AdsRig.start({ ...options, clock });
    rig.world.set(snapshotOf([testResource(cluster, "shop", "1")]));
  };
  afterEach(() => rig.stop());
  const configured = async (client: AdsClient): Promise<AdsClient> => {
    client.send({ typeUrl: cluster });
    await waitFor("clusters", () => client.held.get(cluster)?.has("shop"));
    return client;
  };
  const ended = (client: AdsClient) => waitFor("the end of the stream", () => client.ended);
  const open = (count: number) =>
    waitFor(`${count} connections`, () => rig.server.stats().connections === count, SOON_MS);

  it("are closed five seconds after the pod had a newer one", async () => {
    await start();
    const [first] = [await configured(rig.connect("a")), await configured(rig.connect("a"))];
    await configured(rig.connect("a"));
    expect(await ended(first)).to.include({ code: status.RESOURCE_EXHAUSTED });
    ahead = 5_000;
    await open(2);
    expect(rig.server.stats().streams).to.equal(2);
  });

  it("are closed at once when the stream was one too many, unless another is on the same", async () => {
    await start({ maxStreams: 1 });
    const first = await configured(rig.connect("a"));
    const apart = rig.connect("b");
    expect(await ended(apart)).to.include({ code: status.RESOURCE_EXHAUSTED });
    await open(1);
    const beside = rig.connect("c", { beside: first });
    expect(await ended(beside)).to.include({ code: status.RESOURCE_EXHAUSTED });
    rig.server.setMaxStreams(2);
    await configured(rig.connect("d", { beside: first }));
    expect(first.ended).to.equal(undefined);
    expect(rig.server.stats()).to.include({ connections: 1, streams: 2 });
  });

  it("are closed five seconds after they were let in, though TLS stands", async () => {
    await start();
    const options = { host: "127.0.0.1", port: rig.server.port, ca: rig.authority.certPem };
    const mute = tls({ ...options, servername: ADS_SAN, ALPNProtocols: ["h2"] }).on("error", () => undefined);
    await once(mute, "secureConnect");
    await configured(rig.connect("a"));
    await open(2);
    ahead = 5_000;
    await open(1);
    expect(rig.server.stats().streams).to.equal(1);
  });

  it("are closed five seconds after the last stream", async () => {
    await start();
    const client = await configured(rig.connect("a"));
    ahead = 60_000;
    await configured(rig.connect("b"));
    await open(2);
    client.cancel();
    await waitFor("the end of the stream", () => rig.server.stats().streams === 1);
    ahead = 65_000;
    await open(1);
  });
});

describe("connections that have no accepted stream yet", () => {
  for (const [what, by] of [
    ["for a second and a half at most", 1_500],
    ["no longer than until the clock is put back", -60_000],
  ] as const)
    it(`are waited for by those of their address ${what}`, async () => {
      const admitted: Socket[] = [];
      let ahead = 0;
      const listener = await listen({
        host: "127.0.0.1",
        port: 0,
        limits: { ...DEFAULT_ADS_LIMITS, pendingPerAddress: 1 },
        clock: { now: () => ahead, setTimeout: systemClock.setTimeout.bind(systemClock) },
        onConnection: socket => admitted.push(socket),
      });
      const open = Array.from({ length: 20 }, () =>
        tcp({ port: listener.port, host: "127.0.0.1" }).on("error", () => undefined),
      );
      try {
        await waitFor("all", () => listener.open === open.length, SOON_MS);
        expect(admitted).to.have.length(1);
        ahead = by;
        await waitFor("the end of those that wait", () => listener.open === 1, SOON_MS);
        expect(admitted).to.have.length(1);
        expect(admitted[0]?.destroyed).to.equal(false);
      } finally {
        for (const socket of open) socket.destroy();
        listener.stop();
        listener.destroyAll();
      }
    });

  it("are so many of an address and no more; others wait, those of other addresses do not", async () => {
    const admitted: Socket[] = [];
    const listener = await listen({
      host: "127.0.0.1",
      port: 0,
      limits: { ...DEFAULT_ADS_LIMITS, pendingPerAddress: 2 },
      clock: { now: () => 0, setTimeout: systemClock.setTimeout.bind(systemClock) },
      onConnection: socket => admitted.push(socket),
    });
    const open: Socket[] = [];
    /** The port of the one that has come. */
    const connectFrom = async (localAddress: string): Promise<number | undefined> => {
      const options = { port: listener.port, host: "127.0.0.1", localAddress };
      const socket = tcp(options).on("error", () => undefined);
      open.push(socket);
      await waitFor("its arrival", () => listener.open === open.length, SOON_MS);
      return socket.localPort;
    };
    const ports = (): readonly (number | undefined)[] => admitted.map(({ remotePort }) => remotePort);
    try {
      const came: (number | undefined)[] = [];
      for (let n = 0; n < 5; n += 1) came.push(await connectFrom("127.0.0.1"));
      expect(ports()).to.deep.equal(came.slice(0, 2));
      const another = await connectFrom("127.0.0.2");
      expect(ports()).to.deep.equal([...came.slice(0, 2), another]);
      const [first = ""] = admitted.map(peerOf);
      // One is of use, which makes room for one: the newest, where many wait.
      listener.settle(first);
      listener.settle(first);
      expect(ports().slice(3)).to.deep.equal([came[4]]);
      // Another goes.
      admitted[1]?.destroy();
      await waitFor("the next", () => admitted.length === 5, SOON_MS);
      expect(ports().slice(4)).to.deep.equal([came[2]]);
    } finally {
      for (const socket of open) socket.destroy();
      listener.stop();
      listener.destroyAll();
    }
  });
});
