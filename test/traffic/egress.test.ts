import { expect } from "chai";
import { planServing } from "../../src/certificate/plan";
import type { EgressPort, HttpRule, Leaf } from "../../src/policy/types";
import { type Mesh, startMesh, TRUST_DOMAIN } from "../support/mesh";
import { everyRequest } from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { PolicyOperations } from "../support/policy-operations";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const CLIENT = { namespace: "client", serviceAccount: "client" };
const origins: [] = [];

function leaves(world: string): Leaf[] {
  const [every] = everyRequest([{ cluster: "egress|api", weight: 1 }]);
  if (every === undefined) throw new Error("no rule");
  const get: HttpRule = {
    ...every,
    matches: [{ path: { kind: "prefix", value: "/v1" }, methods: ["GET"], headers: [] }],
  };
  const external = { kind: "external-cluster" as const, origins, address: world };
  const port = (number: number, kind: EgressPort["kind"], part: Partial<EgressPort> = {}): EgressPort => ({
    name: `${kind}-${number}-${part.cidrs?.join() ?? ""}`,
    port: number,
    kind,
    cidrs: [],
    origins,
    ...part,
  });
  const http = { routeTable: "egress|8080" };
  const dialled = { cluster: "dialled" };
  const egress = [
    port(8080, "http", http),
    // Mixed: what is HTTP is held to its hosts, other bytes go anywhere in the range.
    port(8081, "http", http),
    port(8081, "tcp", { ...dialled, cidrs: [`${world}/32`] }),
    port(8443, "tls", { cluster: "egress|tls", serverNames: ["api.example.com", "*.example.org"] }),
    port(8443, "tls", { cluster: "closed", serverNames: ["api.example.com"] }),
    port(8443, "tls", { ...dialled, serverNames: ["narrow.example.com"], cidrs: ["10.99.0.0/16"] }),
    port(3306, "tcp", { ...dialled, serverFirst: true, cidrs: [`${world}/32`] }),
    port(3307, "tcp", { ...dialled, cidrs: ["10.0.0.0/32"] }),
  ];
  return [
    { kind: "passthrough-cluster", name: "dialled", origins },
    { ...external, name: "egress|api", port: 8080 },
    { ...external, name: "egress|tls", port: 8443 },
    {
      kind: "outbound-catch-all",
      name: "outbound",
      origins,
      passthroughCluster: undefined,
      ipv6: true,
      egress,
    },
    {
      kind: "route-table",
      name: "egress|8080",
      direction: "egress",
      origins,
      trustDomain: TRUST_DOMAIN,
      rules: [],
      hosts: [{ name: "api", domains: ["api.example.com", "api.example.com:8080"], rules: [get] }],
    },
  ];
}

describe("egress", () => {
  let mesh: Mesh;
  let caller: PolicyOperations;
  const get = async (
    port: number,
    host: string,
    path = "/v1",
    address = mesh.ip("world"),
  ): Promise<number> => {
    const call = { host: address, port, path, headers: { host } };
    return (await mesh.app("client").callHttp(call)).status;
  };
  const tcp = async (port: number, send = ""): Promise<string> =>
    (
      await mesh.app("client").callTcp({ host: mesh.ip("world"), port, send, until: "world" })
    ).received.trim();

  before(async () => {
    mesh = await startMesh({ client: CLIENT, world: undefined });
    const app = mesh.app("world");
    const world = startProgram(mesh.network.pod("world"), "policy-app.ts") as PolicyOperations;
    caller = startProgram(mesh.network.pod("client"), "policy-app.ts") as PolicyOperations;
    const pair = mesh.authority.issue(planServing(["x"], { now: Date.now(), validityMs: 3_600_000 }));
    await Promise.all([
      app.serveHttp(8080),
      app.serveTcp(8081, ""),
      app.serveTcp(3306, "welcome to"),
      app.serveTcp(3307, "welcome to"),
      app.serveTcp(9999, "welcome to"),
      world.serveTls(8443, { certificate: pair.certPem, key: pair.keyPem }),
    ]);
    mesh.configure("client", leaves(mesh.ip("world")));
    await waitFor("egress", async () => (await get(8080, "api.example.com").catch(() => 0)) === 200);
  }).timeout(60_000);

  after(() => mesh.close());

  it("opens HTTP to its hosts and routes, and nothing else on the port", async () => {
    expect(await get(8080, "API.example.com:8080")).to.equal(200);
    expect(await get(8080, "other.example.com")).to.equal(404);
    expect(await get(8080, "api.example.com", "/v2")).to.equal(404);
  });

  it("goes where the host is, whatever address was dialled", async () => {
    expect(await get(8080, "api.example.com", "/v1", "192.0.2.1")).to.equal(200);
  });

  it("opens TLS by server name, and looks at each entry of the port", async () => {
    const call = (name: string): Promise<string> =>
      caller.callTls({ host: mesh.ip("world"), port: 8443 }, name);
    expect(await call("api.example.com")).to.equal("world api.example.com");
    expect(await call("a.b.example.org")).to.equal("world a.b.example.org");
    expect(await call("narrow.example.com")).to.equal("world narrow.example.com");
    expect(await call("other.example.com")).to.equal("");
    expect(await tcp(8443, "hello")).to.equal("");
  });

  it("opens TCP by range, without waiting where the server speaks first", async () => {
    const tries: number[] = [];
    // A filter that waited for the client's first bytes would hold up each of them for five seconds.
    while (tries.length < 3 && !tries.some(took => took < 4000)) {
      const started = Date.now();
      expect(await tcp(3306)).to.equal("welcome to world");
      tries.push(Date.now() - started);
    }
    expect(Math.min(...tries)).to.be.below(4000);
    expect(await tcp(3307)).to.equal("");
  });

  it("tells HTTP from other bytes where both are opened", async () => {
    expect(await tcp(8081, "hello\r\n\r\n")).to.equal("world hello");
    expect(await get(8081, "api.example.com")).to.equal(200);
    expect(await get(8081, "other.example.com")).to.equal(404);
  });

  it("opens no other port", async () => {
    expect(await tcp(9999)).to.equal("");
  });

  it("lets none of 50 destinations through where there is no way out, all of which are there to be reached (P-12)", async () => {
    const host = mesh.ip("world");
    const hosts = [
      "api.example.com",
      "API.EXAMPLE.COM.",
      // As a name of the mesh, of the control plane, and of this machine, that has come to lead to the world.
      "shop.shop.svc.cluster.local",
      "osm-controller.pepr-system.svc",
      "kubernetes.default.svc",
      "localhost",
      "127.0.0.1:15000",
      "169.254.169.254",
      "[::1]:8080",
      "0x7f000001",
      "2130706433",
      host,
      `${host}.nip.example`,
      `[::ffff:${host}]`,
      "user@api.example.com",
    ];
    const names = ["api.example.com", "a.b.example.org", "shop.shop.svc.cluster.local", "localhost", "x"];
    const app = mesh.app("client");
    const http = async (name: string): Promise<boolean> => {
      const { status } = await app.callHttp({ host, port: 8080, path: "/v1", headers: { host: name } });
      return status === 200;
    };
    const bytes = async (port: number, send: string): Promise<boolean> => {
      const { received } = await app.callTcp({ host, port, send, until: "world" });
      return received.includes("world");
    };
    const raw = (name: string): string[] => [
      `GET http://${name}/ HTTP/1.1\r\nHost: ${name}\r\n\r\n`,
      `GET / HTTP/1.0\r\nHost: ${name}\r\n\r\n`,
    ];
    const ways = [
      ...hosts.map(name => ({ what: `HTTP to ${name}`, try: () => http(name) })),
      ...hosts.flatMap(raw).map(text => ({ what: JSON.stringify(text), try: () => bytes(8081, text) })),
      ...names.map(name => ({
        what: `TLS to ${name}`,
        try: async () => (await caller.callTls({ host, port: 8443 }, name)) !== "",
      })),
      { what: "TCP", try: () => bytes(8081, "hello\r\n\r\n") },
      { what: "TCP, server first", try: () => bytes(3306, "") },
    ];
    const dialled: Leaf = { kind: "passthrough-cluster", name: "dialled", origins };
    const wayOut = (passthroughCluster: "dialled" | undefined): Leaf[] => [
      dialled,
      { kind: "outbound-catch-all", name: "outbound", origins, passthroughCluster, ipv6: true, egress: [] },
    ];
    mesh.configure("client", wayOut("dialled"));
    const isOpen = (port: number) => async (): Promise<boolean> => bytes(port, "x\r\n\r\n");
    await waitFor("the way out", isOpen(9999), 60_000);
    for (const way of ways) await waitFor(way.what, () => way.try().catch(() => false), 60_000);
    mesh.configure("client", wayOut(undefined));
    await waitFor("its end", async () => !(await isOpen(9999)().catch(() => false)), 60_000);
    const passed: string[] = [];
    for (const way of ways) if (await way.try().catch(() => false)) passed.push(way.what);
    verdict("P-12: egress off", passed.length === 0, {
      count: ways.length,
      failed: passed.length,
      bound: "0 through, by address, port, host, server name and bytes; all of them with egress on",
    });
    expect(ways.length).to.be.at.least(50);
    expect(passed).to.deep.equal([]);
  }).timeout(240_000);

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
