import { expect } from "chai";
import { type Mesh, startMesh } from "../support/mesh";
import {
  inboundLeaves,
  outboundLeaves,
  podLeaves,
  serviceLeaves,
  type TestInbound,
  type TestService,
} from "../support/mesh-leaves";
import type { Echo } from "../support/pod-operations";
import { waitFor } from "../support/wait";

const CLIENT = { namespace: "client", serviceAccount: "client" };
const SERVER = { namespace: "shop", serviceAccount: "server.v1" };
const SHOP = "10.98.0.1";
const SHOP6 = "fd98::1";
const SIX = "fd98::6";
const LEAVING = "10.98.0.3";
const OWN = "10.98.0.2";

const INBOUND: readonly TestInbound[] = [
  { port: 8080, protocol: "http" },
  { port: 8081, protocol: "http" },
  { port: 8082, protocol: "grpc" },
  { port: 9000, protocol: "tcp" },
  { port: 3306, protocol: "tcp" },
];

describe("traffic through two sidecars", () => {
  let mesh: Mesh;

  before(async () => {
    mesh = await startMesh({ client: CLIENT, server: SERVER, other: SERVER, outside: undefined });
    const shop: TestService = {
      name: "shop",
      addresses: [SHOP, SHOP6],
      endpoints: [mesh.ip("server"), mesh.ip("other")],
      identities: [SERVER],
      ports: [
        { port: 80, targetPort: 8080, protocol: "http" },
        { port: 81, targetPort: 8081, protocol: "http" },
        { port: 82, targetPort: 8082, protocol: "grpc" },
        { port: 83, targetPort: 9000, protocol: "tcp" },
        { port: 84, targetPort: 3306, protocol: "tcp" },
      ],
    };
    const own: TestService = {
      name: "own",
      addresses: [OWN],
      endpoints: [mesh.ip("client")],
      identities: [CLIENT],
      ports: [{ port: 80, targetPort: 8080, protocol: "http" }],
    };
    const six: TestService = { ...shop, name: "six", addresses: [SIX], endpoints: [mesh.ip6("server")] };
    const leaving: TestService = {
      ...shop,
      name: "leaving",
      addresses: [LEAVING],
      endpoints: [mesh.ip("server"), mesh.ip("outside")],
    };
    mesh.configure("client", [
      ...serviceLeaves(leaving),
      ...serviceLeaves(six),
      ...outboundLeaves(true),
      ...serviceLeaves(shop),
      ...podLeaves(shop),
      ...serviceLeaves(own),
      ...inboundLeaves(CLIENT, [{ port: 8080, protocol: "http" }]),
    ]);
    for (const name of ["server", "other"]) {
      mesh.configure(name, [...outboundLeaves(true), ...inboundLeaves(SERVER, INBOUND)]);
      const app = mesh.app(name);
      await Promise.all([
        app.serveHttp(8080),
        app.serveHttp2(8081),
        app.serveGrpc(8082),
        app.serveTcp(9000, ""),
        app.serveTcp(3306, "welcome to"),
      ]);
    }
    await mesh.app("client").serveHttp(8080);
    await mesh.app("outside").serveHttp(8080);
    await mesh.app("outside").serveTcp(3306, "welcome to");
    await waitFor("configuration in the client and in both servers", async () => {
      const pods = new Set<string>();
      for (let n = 0; n < 12; n += 1) {
        const call = mesh.app("client").callHttp({ host: SHOP, port: 80 });
        const answer = await call.catch(() => undefined);
        if (answer?.status !== 200) return false;
        pods.add(echo(answer.body).pod);
      }
      return pods.size === 2;
    });
  });

  after(() => mesh.close());

  const client = (): ReturnType<Mesh["app"]> => mesh.app("client");
  const echo = (body: string): Echo => JSON.parse(body) as Echo;

  it("carries HTTP/1.1, any Host, and tells the application who called", async () => {
    const answer = await client().callHttp({
      host: SHOP,
      port: 80,
      path: "/books?id=1",
      headers: {
        host: "bookstore.shop.svc.cluster.local.:80",
        "x-forwarded-client-cert": "URI=spiffe://forged",
      },
    });
    expect(answer.status).to.equal(200);
    expect(answer.headers["server"]).to.equal("test-app");
    const seen = echo(answer.body);
    expect(seen.version).to.equal("1.1");
    expect(seen.url).to.equal("/books?id=1");
    expect(seen.headers["host"]).to.equal("bookstore.shop.svc.cluster.local.:80");
    expect(seen.headers["x-forwarded-client-cert"]).to.match(
      /URI=spiffe:\/\/cluster\.local\/ns\/client\/sa\/client$/,
    );
    expect(seen.headers["x-forwarded-client-cert"]).not.to.include("forged");
  });

  it("tells the application no address of the caller but what X-Forwarded-For says", async () => {
    for (const forged of ["203.0.113.9", undefined]) {
      const headers = forged === undefined ? {} : { "x-forwarded-for": forged };
      const answer = await client().callHttp({ host: SHOP, port: 80, headers });
      const seen = echo(answer.body).headers;
      expect(seen).not.to.have.property("x-envoy-external-address");
      if (forged !== undefined) expect(seen["x-forwarded-for"]).to.match(/^203\.0\.113\.9,/);
    }
  });

  it("uses every endpoint", async () => {
    const pods = new Set<string>();
    await waitFor("an answer of both pods", async () => {
      pods.add(echo((await client().callHttp({ host: SHOP, port: 80 })).body).pod);
      return pods.size === 2;
    });
    expect([...pods].sort()).to.deep.equal(["other", "server"]);
  });

  it("sends a request elsewhere when an endpoint is gone", async () => {
    const calls = Array.from({ length: 10 }, () => client().callHttp({ host: LEAVING, port: 80 }));
    const pods = (await Promise.all(calls)).map(answer => `${answer.status} ${echo(answer.body).pod}`);
    expect(new Set(pods)).to.deep.equal(new Set(["200 server"]));
    expect(await mesh.sidecar("client").stat("cluster.leaving|80.upstream_rq_retry")).to.be.above(0);
  });

  it("carries HTTP/2 as HTTP/2", async () => {
    const answer = await client().callHttp2({ host: SHOP, port: 81, path: "/two" });
    expect(answer.status).to.equal(200);
    expect(echo(answer.body).version).to.equal("2.0");
  });

  it("carries gRPC calls and streams", async () => {
    expect(await client().callGrpc(`${SHOP}:82`, "hello")).to.match(/^(server|other):hello$/);
    expect(await client().countGrpc(`${SHOP}:82`, 50)).to.equal(50);
  });

  it("carries WebSocket", async () => {
    const answer = await client().callWebSocket(SHOP, 80, "ping through the mesh");
    expect(answer).to.deep.equal({ status: 101, echoed: "ping through the mesh" });
  });

  it("carries TCP where the client speaks first", async () => {
    const answer = await client().callTcp({ host: SHOP, port: 83, send: "hello", until: "hello" });
    expect(answer.received).to.match(/^(server|other) hello$/);
  });

  it("carries TCP where the server speaks first, without delay", async () => {
    const tries: number[] = [];
    // A filter that waited for the client's first bytes would hold up each of them for five seconds.
    while (tries.length < 3 && !tries.some(took => took < 4000)) {
      const started = Date.now();
      const answer = await client().callTcp({ host: SHOP, port: 84, until: "\n" });
      expect(answer.received).to.match(/^welcome to (server|other)\n$/);
      tries.push(Date.now() - started);
    }
    expect(Math.min(...tries)).to.be.below(4000);
  });

  it("reaches the very pod that was dialled, over HTTP and TCP", async () => {
    for (const name of ["server", "other"]) {
      const host = mesh.ip(name);
      expect(echo((await client().callHttp({ host, port: 8080 })).body).pod).to.equal(name);
      expect((await client().callTcp({ host, port: 3306, until: "\n" })).received).to.equal(
        `welcome to ${name}\n`,
      );
    }
  });

  it("reaches its own Service through both of its listeners", async () => {
    const answer = await client().callHttp({ host: OWN, port: 80 });
    const seen = echo(answer.body);
    expect(seen.pod).to.equal("client");
    expect(seen.headers["x-forwarded-client-cert"]).to.match(/\/ns\/client\/sa\/client$/);
  });

  it("carries IPv6, on either side of the mesh", async () => {
    expect((await client().callHttp({ host: SHOP6, port: 80 })).status).to.equal(200);
    expect(echo((await client().callHttp({ host: SIX, port: 80 })).body).pod).to.equal("server");
    expect((await client().callTcp({ host: SIX, port: 84, until: "\n" })).received).to.equal(
      "welcome to server\n",
    );
    const outside = await mesh
      .app("outside")
      .callTcp({ host: mesh.ip6("server"), port: 8080, send: "GET / HTTP/1.0\r\n\r\n" });
    expect(outside).to.deep.equal({ received: "", outcome: "closed" });
  });

  it("serves HTTP/1.0 clients", async () => {
    const send = "GET /old HTTP/1.0\r\nHost: shop\r\n\r\n";
    const answer = await client().callTcp({ host: SHOP, port: 80, send });
    expect(answer.received)
      .to.match(/^HTTP\/1\.[01] 200 /)
      .and.to.include("/old");
  });

  it("refuses plaintext from outside of the mesh", async () => {
    for (const name of ["server", "other"]) {
      const host = mesh.ip(name);
      const http = await mesh
        .app("outside")
        .callHttp({ host, port: 8080 })
        .then(answer => String(answer.status))
        .catch((error: unknown) => String(error));
      expect(http).to.match(/ECONNRESET|socket hang up/);
      const tcp = await mesh.app("outside").callTcp({ host, port: 3306, send: "hello", until: "\n" });
      expect(tcp).to.deep.equal({ received: "", outcome: "closed" });
    }
  });

  it("gives up on a caller from outside that waits for the server to speak", async () => {
    const answer = await mesh.app("outside").callTcp({ host: mesh.ip("server"), port: 3306, until: "\n" });
    expect(answer).to.deep.equal({ received: "", outcome: "closed" });
  });

  it("refuses a port that the pod does not serve in the mesh", async () => {
    await mesh.app("server").serveTcp(7777, "secret of");
    const call = { host: mesh.ip("server"), port: 7777, send: "hello", until: "\n" };
    const answer = await mesh.app("outside").callTcp(call);
    expect(answer).to.deep.equal({ received: "", outcome: "closed" });
  });

  it("speaks TLS 1.3 between pods, and nothing else", async () => {
    const stats = await mesh.sidecar("server").admin("/stats?filter=ssl.versions");
    expect(stats).to.match(/15003\.ssl\.versions\.TLSv1\.3: [1-9]/);
    expect(stats).not.to.match(/TLSv1\.2: [1-9]/);
  });

  it("writes one JSON line per request, without the query", async () => {
    await client().callHttp({ host: SHOP, port: 80, path: "/logged?token=secret" });
    const line = await waitFor("the line", () =>
      mesh
        .sidecar("client")
        .output()
        .split("\n")
        .find(text => text.includes("/logged")),
    );
    const fields = JSON.parse(line) as Record<string, unknown>;
    expect(fields["path"]).to.equal("/logged");
    expect(fields["response_code"]).to.equal(200);
    expect(fields["authority"]).to.equal(SHOP);
    expect(line).not.to.include("secret");
  });

  it("passes what is not of the mesh, or refuses it, as egress is set", async () => {
    const host = mesh.ip("outside");
    expect(echo((await client().callHttp({ host, port: 8080 })).body).pod).to.equal("outside");
    expect((await client().callTcp({ host, port: 3306, until: "\n" })).received).to.equal(
      "welcome to outside\n",
    );
    const inbound = inboundLeaves(SERVER, INBOUND);
    mesh.configure("other", [...outboundLeaves(false), ...inbound]);
    await waitFor("egress off", async () => {
      const answer = await mesh.app("other").callTcp({ host, port: 3306, until: "\n" });
      return answer.outcome === "closed" && answer.received === "";
    });
    mesh.configure("other", [...outboundLeaves(true), ...inbound]);
    await waitFor("egress on again", async () => {
      const answer = await mesh.app("other").callTcp({ host, port: 3306, until: "\n" });
      return answer.outcome === "received";
    });
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
