import { expect } from "chai";
import type { ConnectionTerms } from "../../src/model/traffic";
import type { HttpRule, Leaf, RouteTableLeaf, UpstreamClusterLeaf } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import { inboundLeaves, outboundLeaves, serviceLeaves, type TestService } from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { PolicyOperations } from "../support/policy-operations";
import { waitFor } from "../support/wait";

const CLIENT = { namespace: "client", serviceAccount: "client" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const SHOP = "10.98.0.1";

/** What a policy says to one client about the Service, over what there is without policy. */
interface Terms {
  readonly rule?: Partial<HttpRule>;
  readonly cluster?: Partial<UpstreamClusterLeaf>;
}

const UNLIMITED: ConnectionTerms = {
  maxConnections: undefined,
  connectTimeoutMs: undefined,
  maxRequests: undefined,
  maxPendingRequests: undefined,
  maxRetries: undefined,
  maxRequestsPerConnection: undefined,
};

function withTerms(leaves: readonly Leaf[], { rule = {}, cluster = {} }: Terms): Leaf[] {
  return leaves.map((leaf): Leaf => {
    if (leaf.kind === "upstream-cluster") return { ...leaf, ...cluster };
    if (leaf.kind !== "route-table") return leaf;
    const table: RouteTableLeaf = { ...leaf, rules: leaf.rules.map(item => ({ ...item, ...rule })) };
    return table;
  });
}

describe("resilience", () => {
  let mesh: Mesh;
  const servers = new Map<string, PolicyOperations>();
  const server = (pod: string): PolicyOperations => {
    const known =
      servers.get(pod) ?? (startProgram(mesh.network.pod(pod), "policy-app.ts") as PolicyOperations);
    servers.set(pod, known);
    return known;
  };
  const shop = (): TestService => ({
    name: "shop",
    addresses: [SHOP],
    endpoints: [mesh.ip("a"), mesh.ip("b")],
    identities: [SERVER],
    ports: [{ port: 80, targetPort: 8080, protocol: "http" }],
  });
  const call = async (headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { status, body } = await mesh.app("client").callHttp({ host: SHOP, port: 80, headers });
    return status === 200 ? `200 ${body}` : String(status);
  };
  const calls = (count: number): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => call()));
  const seen = async (): Promise<number> => {
    const all = await Promise.all(["a", "b"].map(pod => server(pod).seen(8080)));
    return all.reduce((sum, { requests }) => sum + requests, 0);
  };
  const answer = async (status: number, delayMs = 0): Promise<void> => {
    await Promise.all(["a", "b"].map(pod => server(pod).answer(8080, { status, delayMs })));
  };
  /** Gives the client these terms and waits until its sidecar has them. */
  const under = async (terms: Terms): Promise<void> => {
    mesh.configure("client", [...outboundLeaves(true), ...withTerms(serviceLeaves(shop()), terms)]);
    await waitFor("the terms", () => mesh.ads.settled("client"));
  };

  before(async () => {
    mesh = await startMesh({ client: CLIENT, a: SERVER, b: SERVER });
    for (const pod of ["a", "b"]) {
      await server(pod).serveHttp(8080, { status: 200 });
      mesh.configure(pod, [
        ...outboundLeaves(true),
        ...inboundLeaves(SERVER, [{ port: 8080, protocol: "http" }]),
      ]);
    }
    await under({});
    await waitFor("the service", async () => {
      const got = await calls(2).catch(() => []);
      return got.length === 2 && got.every(text => text.startsWith("200"));
    });
  }).timeout(60_000);

  after(() => mesh.close());
  afterEach(() => answer(200));

  it("ends a request after its time", async () => {
    await answer(200, 1500);
    await under({ rule: { timeoutMs: 200 } });
    expect(await call()).to.equal("504");
    await under({});
    expect(await call()).to.match(/^200/);
  });

  it("sends again as a policy asks, as often as it says", async () => {
    const retry = {
      retryOn: [],
      statusCodes: [418],
      perTryTimeoutMs: 5000,
      numRetries: 3,
      backoffBaseMs: 5,
    };
    await answer(418);
    await under({ rule: { retry } });
    const before = await seen();
    expect(await call()).to.equal("418");
    expect(await seen()).to.equal(before + 4);
    await under({ rule: { retry: { ...retry, retryOn: ["5xx"], statusCodes: [] } } });
    expect(await call()).to.equal("418");
    expect(await seen()).to.equal(before + 5);
  });

  it("injects delays and aborts, for the share that is asked for", async () => {
    await under({ rule: { fault: { delay: undefined, abort: { status: 451, percent: 100 } } } });
    const before = await seen();
    expect(await call()).to.equal("451");
    expect(await seen()).to.equal(before);
    await under({
      rule: { fault: { delay: { ms: 700, percent: 100 }, abort: { status: 451, percent: 0 } } },
    });
    const started = Date.now();
    expect(await call()).to.match(/^200/);
    expect(Date.now() - started).to.be.at.least(700);
    await under({});
    expect(await call()).to.match(/^200/);
  });

  it("breaks the circuit beyond what is allowed at a time", async () => {
    await answer(200, 500);
    await under({ cluster: { connection: { ...UNLIMITED, maxRequests: 1, maxPendingRequests: 1 } } });
    const got = await calls(6);
    expect(got.filter(text => text === "503")).not.to.deep.equal([]);
    expect(got.filter(text => text.startsWith("200"))).not.to.deep.equal([]);
    await under({ cluster: { connection: UNLIMITED } });
    expect((await calls(6)).filter(text => text === "503")).to.deep.equal([]);
  });

  it("uses a connection for as many requests as allowed", async () => {
    await under({ cluster: { connection: { ...UNLIMITED, maxRequestsPerConnection: 1 } } });
    const total = (): Promise<number> => mesh.sidecar("client").stat("cluster.shop|80.upstream_cx_total");
    const before = await total();
    for (let index = 0; index < 4; index += 1) await call();
    expect((await total()) - before).to.equal(4);
  });

  it("leaves out an endpoint that fails, for a while", async () => {
    await server("b").answer(8080, { status: 500 });
    await under({
      cluster: {
        outlier: { consecutiveErrors: 2, intervalMs: 100, baseEjectionMs: 60_000, maxEjectionPercent: 50 },
      },
    });
    await waitFor("the ejection", async () => {
      await calls(2);
      return (await mesh.sidecar("client").stat("cluster.shop|80.outlier_detection.ejections_active")) === 1;
    });
    await waitFor("none at it", async () => (await calls(8)).every(text => text === "200 a"));
    await under({});
  });

  it("sends the same header value to the same endpoint", async () => {
    await under({
      cluster: { loadBalancing: { kind: "hash", header: "x-user" } },
      rule: { hashHeader: "X-User" },
    });
    const of = async (user: string): Promise<string> => {
      const got = new Set<string>();
      for (let index = 0; index < 4; index += 1) got.add(await call({ "x-user": user }));
      expect(got.size, user).to.equal(1);
      return [...got].join();
    };
    const endpoints = new Set<string>();
    for (let user = 0; user < 12; user += 1) endpoints.add(await of(`user-${user}`));
    expect([...endpoints].sort()).to.deep.equal(["200 a", "200 b"]);
  });

  it("sends all of a caller's to the same endpoint", async () => {
    await under({ cluster: { loadBalancing: { kind: "source-address" } }, rule: { hashSource: true } });
    expect(new Set(await calls(8)).size).to.equal(1);
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
