import { expect } from "chai";
import { planServing } from "../../src/certificate/plan";
import type { EgressPort, HttpRule, Leaf } from "../../src/policy/types";
import { type Mesh, startMesh, TRUST_DOMAIN } from "../support/mesh";
import { everyRequest } from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { PolicyOperations } from "../support/policy-operations";
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

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
