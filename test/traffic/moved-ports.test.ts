import { expect } from "chai";
import type { Operations } from "../support/pod-operations";
import type { LoadOperations, LoadPlan, LoadResult } from "../support/load-operations";
import { meshConfig, namespace, service, slice, type TestObject } from "../support/objects";
import { PolicyMesh } from "../support/policy-mesh";
import type { StreamOperations } from "../support/stream-operations";
import { DENY, tcpRoute, trafficTarget } from "../support/traffic-objects";
import { LINGER_MS } from "../../src/runtime/engine";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const CAST = {
  caller: { namespace: "web", serviceAccount: "caller" },
  a: { namespace: "shop", serviceAccount: "a" },
  b: { namespace: "shop", serviceAccount: "b" },
} as const;
type Server = "a" | "b";

const ROOT = "10.98.0.1";
/** Moves there and back. */
const ROUNDS = Number(process.env["OSM_MOVES"] ?? (process.env["OSM_FULL"] === "1" ? "20" : "2"));
/** Requests per second, a third of them in each manner: few, so that they are answered by a machine that does much else. */
const LOAD = Number(process.env["OSM_LOAD"] ?? "60");
const PLANS: readonly LoadPlan[] = [
  { host: ROOT, port: 80, path: "/", perSecond: LOAD / 3, connections: "fresh" },
  { host: ROOT, port: 80, path: "/", perSecond: LOAD / 3, connections: "kept" },
  { host: ROOT, port: 81, path: "/", perSecond: LOAD / 3, connections: "http2" },
];
/** As long as the controller that writes EndpointSlices may take, milliseconds. */
const LATE_MS = 500;
/** Time between what an open stream says. */
const BEAT_MS = 20;
/** For the figures of docs/decisions/0040: how it was when nothing lingered. */
const LINGER = Number(process.env["OSM_LINGER_MS"] ?? LINGER_MS);
/** A request that takes longer says that the machine was held up, and then nothing about the mesh. */
const CALM_MS = 1000;

/** Where the Service leads. */
interface State {
  readonly server: Server;
  /** The application's port for HTTP/1.1; that for HTTP/2 is the next one. */
  readonly target: number;
  /** What the Service says of its ports; absent: what they are. */
  readonly protocols?: readonly [string, string] | undefined;
  /** Of a third port, behind which bytes are echoed. */
  readonly third?: string;
}
const FIRST: State = { server: "a", target: 8080 };
const MOVES: readonly (readonly [string, State])[] = [
  ["target port changes", { ...FIRST, target: 9090 }],
  ["selector changes", { ...FIRST, server: "b" }],
];

const AS_THEY_ARE = ["http", "kubernetes.io/h2c"] as const;
/** Says of the same ports that they carry something else: requests are right in either form. */
const PROTOCOLS: readonly (readonly [string, State])[] = [
  ["protocol changes to tcp", { ...FIRST, protocols: ["tcp", "tcp"] }],
  ["protocol changes to grpc", { ...FIRST, protocols: ["http", "grpc"] }],
];

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

describe("a Service that moves under load", () => {
  let mesh: PolicyMesh;
  let load: LoadOperations;
  let caller: Operations;

  const portsOf = ({ target, protocols: [one, two] = AS_THEY_ARE, third = "tcp" }: State) => [
    { name: "one", port: 80, targetPort: target, appProtocol: one },
    { name: "two", port: 81, targetPort: target + 1, appProtocol: two },
    { name: "three", port: 82, targetPort: 9000, appProtocol: third },
  ];
  const ofService = (state: State): TestObject =>
    service({
      namespace: "shop",
      name: "shop",
      selector: { app: state.server },
      clusterIPs: [ROOT],
      ports: portsOf(state),
    });
  const ofSlice = (state: State, ips: Readonly<Record<Server, string>>): TestObject =>
    slice({
      namespace: "shop",
      service: "shop",
      ports: portsOf(state).map(({ name, targetPort }) => ({ name, port: targetPort })),
      endpoints: [{ address: ips[state.server], pod: state.server }],
    });
  const place = (): Record<Server, string> => ({ a: mesh.place("a").ip, b: mesh.place("b").ip });

  before(async () => {
    mesh = await PolicyMesh.start(
      CAST,
      ips => [
        namespace("web"),
        namespace("shop"),
        meshConfig(DENY),
        tcpRoute("shop", "all"),
        ...(["a", "b"] as const).map(server =>
          trafficTarget({
            name: `to-${server}`,
            to: `shop/${server}`,
            from: ["web/caller"],
            rules: ["TCPRoute/all"],
          }),
        ),
        ofService(FIRST),
        ofSlice(FIRST, ips),
      ],
      LINGER,
    );
    caller = mesh.program("caller", "pod-app.ts") as Operations;
    load = mesh.program("caller", "load-app.ts") as LoadOperations;
    for (const name of ["a", "b"]) {
      const app = mesh.program(name, "pod-app.ts") as Operations;
      await Promise.all([8080, 9090].flatMap(port => [app.serveHttp(port), app.serveHttp2(port + 1)]));
      await app.serveTcp(9000, "");
    }
    await called();
  }).timeout(90_000);

  after(() => mesh.close());

  const called = (): Promise<unknown> =>
    waitFor("the Service to answer", async () => {
      const [one, two] = await Promise.all([
        caller.callHttp({ host: ROOT, port: 80 }).catch(() => undefined),
        caller.callHttp2({ host: ROOT, port: 81 }).catch(() => undefined),
      ]);
      return one?.status === 200 && two?.status === 200;
    });

  /** Moves the Service and gives the milliseconds until all sidecars have acknowledged it. */
  async function move(to: State, lateMs: number): Promise<number> {
    const began = Date.now();
    if (lateMs === 0) mesh.write(ofService(to), ofSlice(to, place()));
    else {
      mesh.write(ofService(to));
      await pause(lateMs);
      mesh.write(ofSlice(to, place()));
    }
    await mesh.settled();
    const ms = Date.now() - began;
    // What a chain that went still carried has ended then: a change of protocol is to be seen to its end.
    if (to.protocols !== undefined) await drained();
    return ms;
  }

  const drained = (): Promise<unknown> =>
    waitFor("chains to be gone", async () => {
      const draining = ["caller", "a"].map(pod =>
        mesh.sidecar(pod).stat("listener_manager.total_filter_chains_draining"),
      );
      return (await Promise.all(draining)).every(count => count === 0);
    });

  async function underLoad(work: () => Promise<void>): Promise<readonly LoadResult[]> {
    const running = await Promise.all(PLANS.map(plan => load.start(plan)));
    await work();
    const results = await Promise.all(running.map(number => load.stop(number)));
    for (const [index, { begun, failures, slowestMs }] of results.entries()) {
      const { connections } = PLANS[index] as LoadPlan;
      console.log(
        `        ${connections}: ${begun} requests, ${failures.length} failed, slowest ${slowestMs} ms`,
      );
    }
    return results;
  }

  const cases = [
    ...MOVES.flatMap(move => ([0, LATE_MS] as const).map(lateMs => [...move, lateMs] as const)),
    ...PROTOCOLS.map(change => [...change, 0] as const),
  ];
  for (const [what, other, lateMs] of cases) {
    it(`fails no request when its ${what}, ${ROUNDS} times and back, its endpoints ${lateMs} ms later`, async () => {
      const moves: number[] = [];
      const results = await underLoad(async () => {
        for (let round = 0; round < ROUNDS; round += 1) {
          moves.push(await move(other, lateMs));
          moves.push(await move({ ...FIRST, protocols: other.protocols && AS_THEY_ARE }, lateMs));
        }
      });
      await called();
      for (const { begun } of results) expect(begun).to.be.above(0);
      const failed = results.flatMap(({ failures }) => failures);
      const sum = (of: (result: LoadResult) => number): number => results.map(of).reduce((a, b) => a + b, 0);
      verdict(
        `a Service moves, ${ROUNDS} times and back: ${what}, endpoints ${lateMs} ms later`,
        failed.length === 0,
        {
          count: sum(({ begun }) => begun),
          leftOut: sum(({ leftOut }) => leftOut),
          failed: failed.length,
          longestMs: Math.max(...results.map(({ slowestMs }) => slowestMs)),
          bound: "0 failed of those that take less than a second",
        },
      );
      // Servers are waited for a second, and late endpoints five: who was held up longer than that says nothing.
      const held = results.some(({ slowestMs, heldUpMs }) => slowestMs > CALM_MS || heldUpMs > CALM_MS / 4);
      if (held || Math.max(...moves) > lateMs + CALM_MS / 2) return;
      expect(failed.map(failure => failure.what)).to.deep.equal([]);
    }).timeout(60_000 + ROUNDS * 10_000);
  }

  it("keeps connections of bytes that are open when their port becomes HTTP, and opens no others", async () => {
    const streams = mesh.program("caller", "stream-app.ts") as StreamOperations;
    const bytes = { host: ROOT, port: 82 };
    const answer = (): Promise<string> =>
      caller.callTcp({ ...bytes, send: "hello\n", until: "\n" }).then(
        ({ received }) => received,
        () => "",
      );
    const { stream } = await waitFor("an open stream", () =>
      streams.openTcp(bytes, BEAT_MS).then(
        stream => ({ stream }),
        () => undefined,
      ),
    );
    for (const third of ["http", "grpc", "tcp", "http"]) {
      await move({ ...FIRST, third }, 0);
      await drained();
      await waitFor(`a new connection taken for ${third}`, async () =>
        (third === "tcp" ? /^a hello/ : /^HTTP\/1\.1 400/).test(await answer()),
      );
      const { received } = await streams.state(stream);
      await waitFor("more of the stream", async () => (await streams.state(stream)).received > received + 50);
    }
    expect((await streams.state(stream)).open).to.equal(true);
    await streams.closeAll();
    await move(FIRST, 0);
  }).timeout(180_000);

  it("had nothing rejected by any Envoy, and no error in the engine", () => {
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
