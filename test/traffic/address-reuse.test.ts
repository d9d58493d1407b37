import { expect } from "chai";
import type { Echo, Operations } from "../support/pod-operations";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { PolicyMesh } from "../support/policy-mesh";
import { DENY, tcpRoute, trafficTarget } from "../support/traffic-objects";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const CAST = {
  caller: { namespace: "web", serviceAccount: "caller" },
  shop: { namespace: "shop", serviceAccount: "shop" },
  bank: { namespace: "bank", serviceAccount: "bank" },
} as const;
type Server = "shop" | "bank";
const SERVERS: readonly Server[] = ["shop", "bank"];
const SERVICE_IPS: Readonly<Record<Server, string>> = { shop: "10.98.0.1", bank: "10.98.0.2" };

/** The address that one pod after the other is given; each has another one of its own. */
const REUSED = "10.99.0.200";
const REUSES = process.env["OSM_FULL"] === "1" ? 200 : 6;
/** Requests at once while the caller's sidecar does not know yet, and again while it learns. */
const BURST = 4;
const HTTP = 8080;
const BYTES = 9000;
/** Of both Services. */
const PORTS = [
  { name: "http", port: 80, targetPort: HTTP, appProtocol: "http" },
  { name: "bytes", port: 82, targetPort: BYTES, appProtocol: "tcp" },
];

const other = (server: Server): Server => (server === "shop" ? "bank" : "shop");

/** Who answered; undefined: nobody, or an Envoy. */
type Answer = string | undefined;

describe("an address that another workload is given at once (R-18)", function () {
  this.timeout(120_000 + REUSES * 15_000);
  let mesh: PolicyMesh;
  let caller: Operations;

  /** Pods, and the endpoints of both Services, while the address is `owner`'s. */
  const owned = (owner: Server, ips: Readonly<Record<Server, string>>): readonly TestObject[] =>
    SERVERS.flatMap(name => {
      const isOwner = name === owner;
      const ports = [
        { name: "http", port: HTTP },
        { name: "bytes", port: BYTES },
      ];
      return [
        pod({
          namespace: name,
          name,
          ips: isOwner ? [ips[name], REUSED] : [ips[name]],
          labels: { app: name },
          serviceAccount: name,
        }),
        slice({
          namespace: name,
          service: name,
          ports,
          endpoints: [{ address: isOwner ? REUSED : ips[name], pod: name }],
        }),
      ];
    });
  const ips = (): Record<Server, string> => ({ shop: mesh.place("shop").ip, bank: mesh.place("bank").ip });

  before(async () => {
    mesh = await PolicyMesh.start(CAST, addresses => [
      meshConfig(DENY),
      namespace("web"),
      ...SERVERS.flatMap(name => [
        namespace(name),
        service({ namespace: name, name, clusterIPs: [SERVICE_IPS[name]], ports: PORTS }),
        tcpRoute(name, "all"),
        trafficTarget({
          name: "caller",
          to: `${name}/${name}`,
          from: ["web/caller"],
          rules: ["TCPRoute/all"],
        }),
      ]),
      ...owned("shop", addresses).filter(({ kind }) => kind === "EndpointSlice"),
    ]);
    caller = mesh.program("caller", "pod-app.ts") as Operations;
    for (const name of SERVERS) {
      const app = mesh.program(name, "pod-app.ts") as Operations;
      await Promise.all([app.serveHttp(HTTP), app.serveTcp(BYTES, "")]);
    }
    give("shop");
    await learns("shop");
  });
  after(() => mesh.close());

  /** Moves the address between the network namespaces of the pods, as a new pod would have it. */
  function give(to: Server): void {
    const from = mesh.place(other(to)).run(["ip", "-brief", "addr", "show", "dev", "eth0"]);
    if (from.includes(`${REUSED}/`))
      mesh.place(other(to)).run(["ip", "addr", "del", `${REUSED}/32`, "dev", "eth0"]);
    mesh.place(to).run(["ip", "addr", "add", `${REUSED}/32`, "dev", "eth0"]);
    // As a network of pods says at once where an address is now.
    mesh.place("caller").run(["ip", "neigh", "flush", "to", REUSED, "dev", "eth0"]);
  }

  /** The control plane hears of it, and the caller's sidecar from there. */
  async function learns(owner: Server): Promise<void> {
    mesh.write(...owned(owner, ips()));
    await Promise.all(
      SERVERS.map(name =>
        waitFor(`${name} where it is now`, async () => {
          const answers = [await byHttp(name), await byBytes(name)];
          return answers.every(answer => answer === name);
        }),
      ),
    );
  }

  const byHttp = async (server: Server): Promise<Answer> => {
    const call = { host: SERVICE_IPS[server], port: 80 };
    const answer = await caller.callHttp(call).catch(() => undefined);
    return answer?.status === 200 ? (JSON.parse(answer.body) as Echo).pod : undefined;
  };
  const byBytes = async (server: Server): Promise<Answer> => {
    const call = { host: SERVICE_IPS[server], port: 82, send: "hello\n", until: "\n" };
    const answer = await caller.callTcp(call).catch(() => undefined);
    return /^(\w+) hello/.exec(answer?.received ?? "")?.[1];
  };
  /** Calls of a Service, and who answered each. */
  const burst = (server: Server): Promise<readonly Answer[]> =>
    Promise.all([...Array.from({ length: BURST }, () => byHttp(server)), byBytes(server)]);

  /** Servers of the mesh to which the caller's sidecar has said that they are not who they should be. */
  async function strangers(): Promise<number> {
    const stats = await mesh.sidecar("caller").admin("/stats?filter=fail_verify_san");
    return [...stats.matchAll(/: (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  it(`answers for the one before in none of ${REUSES} reuses, for a caller that does not know yet`, async () => {
    const tries: { readonly asked: Server; readonly by: Answer }[] = [];
    const learnMs: number[] = [];
    const note = (asked: Server, answers: readonly Answer[]): void => {
      tries.push(...answers.map(by => ({ asked, by })));
    };
    let met = 0;
    for (let reuse = 0; reuse < REUSES; reuse += 1) {
      const [before, after]: readonly [Server, Server] =
        reuse % 2 === 0 ? ["shop", "bank"] : ["bank", "shop"];
      const refused = await strangers();
      give(after);
      // The endpoint is an old one until the control plane hears of it, and the first call may end a kept connection.
      await waitFor("the stranger at the address", async () => {
        note(before, await burst(before));
        return (await strangers()) > refused;
      });
      met += 1;
      const began = performance.now();
      const learning = learns(after);
      for (const server of [before, after, before]) note(server, await burst(server));
      await learning;
      learnMs.push(performance.now() - began);
    }
    const wrong = tries.filter(({ asked, by }) => by !== undefined && by !== asked);
    verdict(`R-18: ${REUSES} reuses of one address`, wrong.length === 0 && met === REUSES, {
      count: tries.length,
      failed: wrong.length,
      p50Ms: Math.round(quantile(learnMs, 0.5)),
      p99Ms: Math.round(quantile(learnMs, 0.99)),
      bound: `0 answered by the other workload; ${met} times it was met and refused by its name, ${tries.filter(({ by }) => by !== undefined).length} were answered by the right one`,
    });
    expect(wrong).to.deep.equal([]);
  });

  it("had nothing rejected by any Envoy, and no error in the engine", () => {
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
