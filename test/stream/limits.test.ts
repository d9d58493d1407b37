import { connect as tcp, type Socket } from "node:net";
import { connect as tls } from "node:tls";
import { once } from "node:events";
import http2 from "node:http2";
import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { ADS_SAN } from "../../src/model/mesh-words";
import { listen, type Listener } from "../../src/runtime/ads/connections";
import { DEFAULT_ADS_LIMITS } from "../../src/runtime/ads/limits";
import type { Clock } from "../../src/runtime/ports";
import { createMetrics } from "../../src/runtime/metrics";
import { observeStreams } from "../../src/runtime/observe";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { TYPE_URLS } from "../../src/xds/resource";
import { encodeRequest, type AdsClient } from "../support/ads-client";
import { AdsRig, plainAuthenticator, snapshotOf, testResource } from "../support/ads-rig";
import { waitFor } from "../support/wait";

const { cluster } = TYPE_URLS;

/** A clock that stands until a test moves it. */
class StandingClock implements Clock {
  private time = 0;
  private readonly timers = new Map<() => void, number>();

  now(): number {
    return this.time;
  }

  setTimeout(run: () => void, ms: number): { cancel(): void } {
    this.timers.set(run, this.time + ms);
    return { cancel: () => this.timers.delete(run) };
  }

  advance(ms: number): void {
    for (const end = this.time + ms; this.time < end; ) {
      this.time++;
      for (const [run, at] of [...this.timers]) {
        if (at > this.time || !this.timers.delete(run)) continue;
        run();
      }
    }
  }
}

describe("connections that come faster than they are let in", () => {
  const open: Socket[] = [];
  const admitted: string[] = [];
  let clock: StandingClock;
  let listener: Listener;

  beforeEach(async () => {
    clock = new StandingClock();
    admitted.length = 0;
    listener = await listen({
      host: "127.0.0.1",
      port: 0,
      limits: {
        ...DEFAULT_ADS_LIMITS,
        connectRate: 10,
        connectBurst: 1,
        maxPerAddress: 40,
        pendingPerAddress: 40,
      },
      clock,
      onConnection: ({ remoteAddress = "" }) => admitted.push(remoteAddress),
    });
  });

  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy();
    listener.stop();
    listener.destroyAll();
  });

  const connectFrom = (localAddress: string, count: number): Socket[] => {
    const sockets = Array.from({ length: count }, () =>
      tcp({ port: listener.port, host: "127.0.0.1", localAddress }).on("error", () => undefined),
    );
    open.push(...sockets);
    return sockets;
  };
  const opened = (count: number) => waitFor(`${count} connections`, () => listener.open === count);

  it("lets the addresses in by turns, each in its rate", async () => {
    connectFrom("127.0.0.1", 12);
    await opened(12);
    connectFrom("127.0.0.2", 1);
    await opened(13);
    expect(admitted).to.deep.equal(["127.0.0.1"]);
    clock.advance(200);
    expect(admitted, "two more in 200 ms").to.have.length(3);
    expect(admitted).to.include("127.0.0.2");
    clock.advance(1_000);
    expect(admitted).to.have.length(13);
  });

  it("closes those that have waited for a second and a half: who has given up after saying something is not seen to go", async () => {
    const hurried = connectFrom("127.0.0.1", 30);
    await opened(30);
    for (const socket of hurried) socket.end("hello");
    await Promise.all(hurried.map(socket => once(socket, "finish")));
    clock.advance(1_000);
    expect(admitted).to.have.length(11);
    expect(listener.open, "nothing tells that they have gone").to.equal(30);
    clock.advance(750);
    await waitFor("the end of the others", () => listener.open === admitted.length);
    expect(admitted).to.have.length.within(15, 18);
    const before = admitted.length;
    connectFrom("127.0.0.1", 1);
    await opened(before + 1);
    clock.advance(100);
    expect(admitted).to.have.length(before + 1);
  });

  it("spends nothing on connections that have gone while they waited", async () => {
    const hurried = connectFrom("127.0.0.1", 40);
    await opened(40);
    for (const socket of hurried.slice(1)) socket.destroy();
    await waitFor("the end of most", () => listener.open <= 1);
    const before = admitted.length;
    connectFrom("127.0.0.1", 1);
    await waitFor("the next", () => open.at(-1)?.readyState === "open" && listener.open >= 1);
    clock.advance(200);
    expect(admitted).to.have.length(before + 1);
  });

  it("keeps so many connections of an address and no more, and takes those of others", async () => {
    const many = connectFrom("127.0.0.1", 60);
    await waitFor("the refused ones", () => many.filter(socket => socket.destroyed).length === 20);
    expect(listener.open).to.equal(40);
    connectFrom("127.0.0.2", 1);
    await opened(41);
    many.find(socket => !socket.destroyed)?.destroy();
    await opened(40);
    connectFrom("127.0.0.1", 1);
    await opened(41);
  });
});

describe("the ADS server's limits", () => {
  let rig: AdsRig;
  const start = async (options: Parameters<typeof AdsRig.start>[0] = {}): Promise<void> => {
    rig = await AdsRig.start(options);
    rig.world.set(snapshotOf([testResource(cluster, "shop", "1")]));
  };
  afterEach(() => rig.stop());
  const configured = async (client: AdsClient): Promise<void> => {
    client.send({ typeUrl: cluster });
    await waitFor("clusters", () => client.held.get(cluster)?.has("shop"));
  };
  const endOf = (client: AdsClient) => waitFor("the end of the stream", () => client.ended);

  it("ends a stream whose node id changes", async () => {
    await start();
    const client = rig.connect("a");
    await configured(client);
    client.send({ typeUrl: cluster, nodeId: "somebody else" });
    expect(await endOf(client)).to.include({ code: status.PERMISSION_DENIED });
  });

  it("ends the streams of a deleted pod at once", async () => {
    await start();
    const [gone, stays] = [rig.connect("a"), rig.connect("b")];
    await configured(gone);
    await configured(stays);
    rig.world.removePod("uid-a");
    expect(await endOf(gone)).to.include({ code: status.PERMISSION_DENIED });
    expect(stays.ended).to.equal(undefined);
    expect(rig.server.stats().streams).to.equal(1);
  });

  it("ends a stream when its proof expires", async () => {
    await start();
    rig.world.addPod({ namespace: "shop", serviceAccount: "buyer" }, "a", "uid-a");
    const client = rig.open({ token: `shop/buyer/a/uid-a/${Date.now() + 500}` });
    await configured(client);
    expect(await endOf(client)).to.include({ code: status.UNAUTHENTICATED });
  });

  it("refuses a request above 1 MiB and one that is no request", async () => {
    await start();
    const large = rig.connect("a");
    large.send({ typeUrl: cluster, subscribe: ["x".repeat(1024 * 1024)] });
    expect(await endOf(large)).to.include({ code: status.RESOURCE_EXHAUSTED });
    const garbage = rig.connect("b");
    garbage.sendRaw(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x01]));
    expect(await endOf(garbage)).to.include({ code: status.INVALID_ARGUMENT });
    await configured(rig.connect("c"));
  });

  it("throttles a stream that asks too often, then ends it, while others go on", async () => {
    await start({ limits: { throttledMs: 300, requestBurst: 20 } });
    const noisy = rig.connect("a");
    const flood = setInterval(() => {
      for (let i = 0; i < 20; i += 1) noisy.send({ typeUrl: cluster, nonce: "stale" });
    }, 10);
    try {
      await configured(rig.connect("b"));
      expect(await endOf(noisy)).to.include({ code: status.RESOURCE_EXHAUSTED });
    } finally {
      clearInterval(flood);
    }
  });

  it("serves two streams per pod: the newest stay", async () => {
    await start();
    const clients = ["1", "2", "3"].map(() => rig.connect("a"));
    for (const client of clients) await configured(client).catch(() => undefined);
    await waitFor("two streams", () => rig.server.stats().streams === 2);
    expect(clients.filter(client => client.ended !== undefined)).to.have.length(1);
  });

  it("refuses a pod that opens streams in a loop", async () => {
    await start();
    const codes = new Set<status>();
    for (let i = 0; i < 30; i += 1) {
      const client = rig.connect("a");
      client.send({ typeUrl: cluster });
      await waitFor("an answer or the end", () => client.ended !== undefined || client.held.has(cluster));
      if (client.ended !== undefined) codes.add(client.ended.code);
    }
    expect([...codes]).to.include(status.RESOURCE_EXHAUSTED);
    await configured(rig.connect("b"));
  });

  it("lets any number in that prove who they are and wait for their pods, as often as a pod may come", async () => {
    let proven = 0;
    await start({
      limits: { pendingPerAddress: 2 },
      authenticator: {
        authenticate: async evidence => {
          await plainAuthenticator.authenticate(evidence);
          proven += 1;
          return new Promise(() => undefined);
        },
      },
    });
    const open = (pod: string): AdsClient => {
      const client = rig.connect(pod);
      client.send({ typeUrl: cluster });
      return client;
    };
    for (const pod of ["a", "b", "c", "d", "e"]) open(pod);
    await waitFor("five of two at a time", () => proven === 5);
    const again = Array.from({ length: 12 }, () => open("a"));
    await waitFor("a refusal", () => again.some(({ ended }) => ended?.code === status.RESOURCE_EXHAUSTED));
    expect(proven).to.be.below(5 + again.length);
  });

  it("refuses further proxies above the configured number, and counts refusals by status", async () => {
    await start({ maxStreams: 1 });
    await configured(rig.connect("a"));
    const second = rig.connect("b");
    expect(await endOf(second)).to.include({ code: status.RESOURCE_EXHAUSTED });
    rig.server.setMaxStreams(0);
    await configured(rig.connect("c"));
    const nobody = rig.open({});
    nobody.send({ typeUrl: cluster });
    expect(await endOf(nobody)).to.include({ code: status.UNAUTHENTICATED });
    const metrics = createMetrics();
    observeStreams(metrics, rig.server);
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(metrics.text().split("\n")).to.include.members([
        'osm_proxy_refused_streams_total{code="RESOURCE_EXHAUSTED"} 1',
        'osm_proxy_refused_streams_total{code="UNAUTHENTICATED"} 1',
        "osm_proxy_connect_count 2",
      ]);
    }
  });

  it("gives a storm of changes to a proxy at its pace, one that is told of others at once, and both the last", async () => {
    const [updateRate, updateBurst] = [20, 10];
    await start({ limits: { updateRate, updateBurst } });
    const stormy = rig.connect("a");
    await configured(stormy);
    const began = performance.now();
    let version = 1;
    const storm = setInterval(() => {
      version += 1;
      rig.world.set(snapshotOf([testResource(cluster, "shop", String(version))]));
    }, 2);
    try {
      await waitFor("a storm", () => version > 500);
      // Its own bucket is full: the storm of others does not slow it.
      const calm = rig.connect("b");
      const last = version;
      await configured(calm);
      const held = Number(calm.held.get(cluster)?.get("shop")?.version);
      expect(held).to.be.at.least(last);
    } finally {
      clearInterval(storm);
    }
    const seconds = (performance.now() - began) / 1_000;
    expect(stormy.responses.length).to.be.at.most(updateBurst + updateRate * seconds + 1);
    expect(stormy.responses.length).to.be.above(updateBurst);
    const last = String(version);
    await waitFor("the last version", () => stormy.held.get(cluster)?.get("shop")?.version === last);
  });

  it("answers what a proxy asks for at any pace", async () => {
    await start({ limits: { updateRate: 1, updateBurst: 1 } });
    rig.world.set(snapshotOf(["a", "b", "c", "d"].map(name => testResource(TYPE_URLS.endpoint, name, "1"))));
    const asking = rig.connect("a");
    for (const name of ["a", "b", "c", "d"]) {
      asking.send({ typeUrl: TYPE_URLS.endpoint, subscribe: [name] });
      await waitFor("an answer", () => asking.held.get(TYPE_URLS.endpoint)?.has(name));
    }
    rig.world.set(snapshotOf([testResource(TYPE_URLS.endpoint, "a", "2")]));
    await waitFor("a change", () => asking.held.get(TYPE_URLS.endpoint)?.get("a")?.version === "2");
  });

  it("tells a proxy of changes that asks for something all the time", async () => {
    await start({ limits: { updateRate: 9, updateBurst: 10 } });
    const asking = rig.connect("a");
    await configured(asking);
    const names = Array.from({ length: 400 }, (_, index) => `e${index}`);
    rig.world.set(
      snapshotOf([
        testResource(cluster, "shop", "1"),
        ...names.map(name => testResource(TYPE_URLS.endpoint, name, "1")),
      ]),
    );
    let asked = 0;
    const flood = setInterval(() => {
      asking.send({ typeUrl: TYPE_URLS.endpoint, subscribe: [names[asked++ % names.length] ?? ""] });
    }, 70);
    try {
      await waitFor("a bucket that is empty", () => asked > 30);
      for (const version of ["2", "3"]) {
        rig.world.set(snapshotOf([testResource(cluster, "shop", version)]));
        await waitFor("the change", () => asking.held.get(cluster)?.get("shop")?.version === version);
      }
    } finally {
      clearInterval(flood);
    }
    expect(asking.ended).to.equal(undefined);
  });

  it("cuts a proxy that does not answer, without queueing for it", async () => {
    await start({ limits: { stalledMs: 500 } });
    rig.world.set(snapshotOf([testResource(cluster, "shop", "1", { size: 2_000_000 })]));
    const stuck = rig.connect("a", { answer: () => false });
    stuck.send({ typeUrl: cluster });
    await waitFor("the response", () => stuck.responses.length === 1);
    for (let i = 2; i < 20; i += 1) {
      rig.world.set(snapshotOf([testResource(cluster, "shop", String(i), { size: 2_000_000 })]));
    }
    expect(await endOf(stuck)).to.include({ code: status.UNAVAILABLE });
    expect(stuck.responses).to.have.length(1);
  });

  it("resets the connection of a proxy that reads nothing at all, and no other", async () => {
    await start({ limits: { stalledMs: 500 } });
    rig.world.set(snapshotOf([testResource(cluster, "shop", "1", { size: 20_000_000 })]));
    rig.world.addPod({ namespace: "shop", serviceAccount: "buyer" }, "a", "uid-a");
    const deaf = http2.connect(`https://127.0.0.1:${rig.server.port}`, {
      ca: rig.authority.certPem,
      servername: ADS_SAN,
    });
    deaf.on("error", () => undefined);
    // Nobody listens for data, so HTTP/2's window is never opened again.
    const stream = deaf.request({
      ":method": "POST",
      ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
      "content-type": "application/grpc",
      te: "trailers",
      authorization: "Bearer shop/buyer/a/uid-a",
    });
    stream.on("error", () => undefined);
    const request = encodeRequest({ nodeId: "deaf", typeUrl: cluster });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(request.length, 1);
    stream.write(Buffer.concat([head, request]));
    await waitFor("the stream", () => rig.server.stats().streams === 1);
    rig.world.set(snapshotOf([testResource(cluster, "shop", "1")]));
    const first = rig.connect("b");
    await configured(first);
    first.cancel();
    const second = rig.connect("b", { beside: first });
    await configured(second);
    await waitFor("the reset", () => rig.server.stats().connections === 1, 60_000);
    expect(second.ended).to.equal(undefined);
    expect(rig.server.stats().streams).to.equal(1);
  });

  it("speaks TLS 1.3 only, under its own name, and replaces its certificate without a pause", async () => {
    await start();
    const options = {
      host: "127.0.0.1",
      port: rig.server.port,
      ca: rig.authority.certPem,
      servername: ADS_SAN,
    };
    const old = tls({ ...options, maxVersion: "TLSv1.2" });
    const [refusal] = (await once(old, "error").catch((error: unknown) => [error])) as [Error];
    expect(refusal.message).to.match(/alert|version|ECONNRESET/i);

    const open = rig.connect("a");
    await configured(open);
    const root = createRoot(Date.now());
    const next = loadAuthority(root.certPem, root.keyPem);
    const serving = issueServing(next, [ADS_SAN], { now: Date.now(), validityMs: 60_000 });
    rig.server.setServing({ ...serving, clientRoots: next.certPem });
    await configured(rig.connect("b", { root: next.certPem }));
    const pinned = rig.connect("c");
    pinned.send({ typeUrl: cluster });
    expect(await endOf(pinned)).to.include({ code: status.UNAVAILABLE });
    expect(open.ended).to.equal(undefined);
  });

  it("gives up on a connection that does not shake hands", async () => {
    await start();
    const mute = tcp(rig.server.port, "127.0.0.1");
    await once(mute, "connect");
    expect(rig.server.stats().connections).to.equal(1);
    await waitFor("the end of the connection", () => rig.server.stats().connections === 0, 60_000);
  });

  it("sends all proxies elsewhere when it drains", async () => {
    await start();
    const clients = ["a", "b", "c"].map(name => rig.connect(name));
    for (const client of clients) await configured(client);
    await rig.server.drain(200);
    for (const client of clients) expect(await endOf(client)).to.include({ code: status.UNAVAILABLE });
  });
});
