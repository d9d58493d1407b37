import { expect } from "chai";
import type { ServiceIdentity } from "../../src/model/identity";
import type { Leaf, Permission } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import {
  inboundLeaves,
  outboundLeaves,
  serviceLeaves,
  type TestInbound,
  type TestService,
} from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { StreamOperations, StreamState } from "../support/stream-operations";
import { requestText, workloadOffer } from "../support/tls-caller";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FRIEND = { namespace: "friends", serviceAccount: "friend" };
const RIVAL = { namespace: "friends", serviceAccount: "rival" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const SHOP = "10.98.0.1";
const BEAT_MS = 20;
const origins: [] = [];

/** Everything on each port to these callers, and to nobody else. */
function granted(callers: readonly ServiceIdentity[]): Permission {
  const matches = [{ path: { kind: "any" as const }, methods: [], headers: [] }];
  return { kind: "grants", grants: [{ name: "shop/target#0", identities: callers, matches, origins }] };
}

/** `version` changes the chains of every port, as a change of a limit does, and nothing of what is let through. */
function serverLeaves(callers: readonly ServiceIdentity[], version = 0): Leaf[] {
  const permission = granted(callers);
  const terms = { localLimit: { count: 1_000_000 + version, unitMs: 1000, burst: 0 } };
  return [
    ...outboundLeaves(true),
    ...inboundLeaves(SERVER, [
      { port: 8080, protocol: "http", permission, callers, terms },
      { port: 8082, protocol: "grpc", permission, callers, terms },
      { port: 8081, protocol: "http", permission, callers, terms },
      { port: 9000, protocol: "tcp", permission: { kind: "allow", identities: callers }, callers },
      { port: 3306, protocol: "tcp", permission: { kind: "allow", identities: callers }, callers },
    ]),
  ];
}

/** The same ports, open to the mesh; whoever is granted something has gates already, as the compiler makes them. */
const PERMISSIVE: readonly TestInbound[] = (
  [
    { port: 8080, protocol: "http" },
    { port: 8081, protocol: "http" },
    { port: 8082, protocol: "grpc" },
    { port: 9000, protocol: "tcp" },
    { port: 3306, protocol: "tcp" },
  ] as const
).map(port => ({ ...port, callers: [FRIEND], standby: true }));

interface Streams {
  readonly tcp: number;
  readonly webSocket: number;
  readonly grpc: number;
  readonly silent: number;
}

describe("revocation", () => {
  let mesh: Mesh;
  const programs = new Map<string, StreamOperations>();
  const program = (pod: string): StreamOperations => {
    const known =
      programs.get(pod) ?? (startProgram(mesh.network.pod(pod), "stream-app.ts") as StreamOperations);
    programs.set(pod, known);
    return known;
  };
  const get = async (pod: string): Promise<number> =>
    (await mesh.app(pod).callHttp({ host: SHOP, port: 80 })).status;
  /** A stream, as soon as one is let in: each port is open a moment before or after another one. */
  const opened = (open: () => Promise<number>): Promise<number> =>
    waitFor("a stream let in", () => open().catch(() => undefined));
  const openAll = async (pod: string): Promise<Streams> => {
    const client = program(pod);
    const [tcp, webSocket, grpc, silent] = await Promise.all([
      opened(() => client.openTcp({ host: SHOP, port: 83 }, BEAT_MS)),
      opened(() => client.openWebSocket({ host: SHOP, port: 80 }, BEAT_MS)),
      opened(() => client.openGrpc({ host: SHOP, port: 82 }, BEAT_MS)),
      opened(() => client.openTcp({ host: SHOP, port: 83 }, 0)),
    ]);
    return { tcp, webSocket, grpc, silent };
  };
  const states = async (pod: string, streams: Streams): Promise<Record<keyof Streams, StreamState>> => {
    const of = (stream: number): Promise<StreamState> => program(pod).state(stream);
    const [tcp, webSocket, grpc, silent] = await Promise.all([
      of(streams.tcp),
      of(streams.webSocket),
      of(streams.grpc),
      of(streams.silent),
    ]);
    return { tcp, webSocket, grpc, silent };
  };

  before(async () => {
    mesh = await startMesh({ friend: FRIEND, rival: RIVAL, server: SERVER, outside: undefined });
    const app = mesh.app("server");
    await Promise.all([
      app.serveHttp(8080),
      app.serveHttp2(8081),
      app.serveTcp(9000, ""),
      app.serveTcp(3306, "welcome to"),
      program("server").serveGrpc(8082),
    ]);
    const shop: TestService = {
      name: "shop",
      addresses: [SHOP],
      endpoints: [mesh.ip("server")],
      identities: [SERVER],
      ports: [
        { port: 80, targetPort: 8080, protocol: "http" },
        { port: 81, targetPort: 8081, protocol: "http" },
        { port: 82, targetPort: 8082, protocol: "grpc" },
        { port: 83, targetPort: 9000, protocol: "tcp" },
        { port: 84, targetPort: 3306, protocol: "tcp" },
      ],
    };
    mesh.configure("server", serverLeaves([FRIEND, RIVAL]));
    for (const name of ["friend", "rival"]) {
      mesh.configure(name, [...outboundLeaves(true), ...serviceLeaves(shop)]);
      await waitFor("configuration", async () => (await get(name).catch(() => 0)) === 200);
    }
  });

  after(() => mesh.close());

  it("tells applications nothing of the gates", async () => {
    const answer = await mesh
      .app("friend")
      .callHttp({ host: SHOP, port: 80, headers: { "osm-caller-gate": "inbound|8080|spiffe://forged" } });
    expect(answer.status).to.equal(200);
    expect(answer.body).not.to.include("osm-caller-gate");
  });

  it("ends every open stream of the pair, and nobody else's", async () => {
    const [friend, rival] = await Promise.all([openAll("friend"), openAll("rival")]);
    const offer = workloadOffer(mesh.authority, RIVAL);
    const server = { host: mesh.ip("server"), offer };
    const handMade = await program("outside").openTls({ ...server, port: 9000 }, "beat\n", BEAT_MS);
    const post = requestText({ port: 8080 }).replace(
      "connection: close",
      "connection: upgrade\r\nupgrade: websocket",
    );
    const handMadeHttp = await program("outside").openTls({ ...server, port: 8080 }, post, BEAT_MS);
    const at = Date.now();
    mesh.configure("server", serverLeaves([FRIEND]));
    await waitFor("403", async () => (await get("rival")) === 403, 10_000);
    const ended = await waitFor("the end of the rival's streams", async () => {
      const all = {
        ...(await states("rival", rival)),
        handMade: await program("outside").state(handMade),
        handMadeHttp: await program("outside").state(handMadeHttp),
      };
      return Object.values(all).every(({ open }) => !open) && all;
    });
    const times = Object.entries(ended).map(
      ([name, { lastByteAt, closedAt }]) => `${name} last byte ${lastByteAt - at}, closed ${closedAt - at}`,
    );
    console.log(`        ms after the write: ${times.join("; ")}`);
    for (const { lastByteAt, closedAt } of Object.values(ended)) {
      expect(lastByteAt - at).to.be.below(10_000);
      expect(closedAt - at).to.be.below(10_000);
    }
    const before = await states("friend", friend);
    await waitFor("more of the friend's streams", async () => {
      const now = await states("friend", friend);
      return (["tcp", "webSocket", "grpc"] as const).every(
        kind => now[kind].received > before[kind].received + 100,
      );
    });
    const kept = await states("friend", friend);
    expect(Object.values(kept).map(({ open }) => open)).to.deep.equal([true, true, true, true]);
    await program("friend").closeAll();
  });

  it("greets nobody who has no gate", async () => {
    const call = { host: SHOP, port: 84, until: "\n" };
    expect(await mesh.app("rival").callTcp(call)).to.deep.equal({ received: "", outcome: "closed" });
    expect((await mesh.app("friend").callTcp(call)).received).to.equal("welcome to server\n");
  });

  it("does not harm the requests of others, over twenty revocations", async () => {
    let over = false;
    const statuses: number[] = [];
    const load = Array.from({ length: 4 }, async () => {
      while (!over) statuses.push(await get("friend").catch(() => 0));
    });
    const delays: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      mesh.configure("server", serverLeaves([FRIEND, RIVAL]));
      await waitFor("200", async () => (await get("rival")) === 200);
      // Another port, another gate, on every worker: it may open a moment after that of HTTP.
      const stream = await opened(() => program("rival").openTcp({ host: SHOP, port: 83 }, BEAT_MS));
      const at = Date.now();
      mesh.configure("server", serverLeaves([FRIEND]));
      const state = await waitFor("the end", async () => {
        const now = await program("rival").state(stream);
        return !now.open && now;
      });
      delays.push(Math.max(0, state.lastByteAt - at));
    }
    over = true;
    await Promise.all(load);
    const p99Ms = quantile(delays, 0.99);
    verdict("last byte of an open TCP stream after its caller's gate went", p99Ms <= 1000, {
      count: delays.length,
      p50Ms: quantile(delays, 0.5),
      p99Ms,
      longestMs: Math.max(...delays),
      bound: "p99 of 1000 ms",
    });
    const harmed = statuses.filter(status => status !== 200);
    verdict("requests of others beside revocations", harmed.length === 0, {
      count: statuses.length,
      failed: harmed.length,
      bound: "0 failed",
    });
    expect(harmed).to.deep.equal([]);
    expect(Math.max(...delays)).to.be.below(10_000);
  }).timeout(60_000);

  it("harms no request when the chains themselves change", async () => {
    let over = false;
    const statuses: number[] = [];
    const call = { host: SHOP, port: 81 };
    const http2 = (): Promise<number> =>
      mesh
        .app("friend")
        .callHttp2(call)
        .then(({ status }) => status);
    const load = [() => get("friend"), () => get("friend"), http2, http2].map(async once => {
      while (!over) statuses.push(await once().catch(() => 0));
    });
    for (let version = 1; version <= 4; version += 1) {
      mesh.configure("server", serverLeaves([FRIEND], version));
      await waitFor("the old chains to be gone", async () => {
        const draining = await mesh.sidecar("server").stat("listener_manager.total_filter_chains_draining");
        return mesh.ads.settled("server") && draining === 0;
      });
    }
    over = true;
    await Promise.all(load);
    expect(statuses.length).to.be.above(20);
    expect(statuses.filter(status => status !== 200)).to.deep.equal([]);
  }).timeout(60_000);

  it("harms no request when a port that was open sends callers through their gates", async () => {
    const permissive = [...outboundLeaves(true), ...inboundLeaves(SERVER, PERMISSIVE)];
    for (let round = 0; round < 3; round += 1) {
      mesh.configure("server", permissive);
      await waitFor("permissive", async () => mesh.ads.settled("server") && (await get("rival")) === 200);
      let over = false;
      const statuses: number[] = [];
      const load = Array.from({ length: 3 }, async () => {
        while (!over) statuses.push(await get("friend").catch(() => 0));
      });
      const stream = await opened(() => program("rival").openWebSocket({ host: SHOP, port: 80 }, BEAT_MS));
      mesh.configure("server", serverLeaves([FRIEND]));
      await waitFor("403", async () => (await get("rival")) === 403);
      await waitFor("the end", async () => !(await program("rival").state(stream)).open);
      over = true;
      await Promise.all(load);
      expect(statuses.filter(status => status !== 200)).to.deep.equal([]);
    }
  }).timeout(60_000);

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
