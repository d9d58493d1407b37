import { expect } from "chai";
import { planServing, planWorkload } from "../../src/certificate/plan";
import { MESH_ALPN, PORT_OUTBOUND } from "../../src/model/mesh-words";
import type { ServiceIdentity } from "../../src/model/identity";
import type { HttpRule, Leaf, Permission } from "../../src/policy/types";
import { type Mesh, startMesh, throwAwayAuthority, TRUST_DOMAIN } from "../support/mesh";
import {
  ANYBODY,
  inboundLeaves,
  outboundLeaves,
  serviceLeaves,
  type TestService,
} from "../support/mesh-leaves";
import type { Echo, TlsCall } from "../support/pod-operations";
import { waitFor } from "../support/wait";

const FRIEND = { namespace: "friends", serviceAccount: "friend" };
const STRANGER = { namespace: "strangers", serviceAccount: "stranger" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const SHOP = "10.98.0.1";
const NO_IDENTITIES: Permission = { kind: "allow", identities: [] };
const origins: [] = [];

const only = (...identities: ServiceIdentity[]): Permission => ({ kind: "allow", identities });

function rule(prefix: string, permission: Permission): HttpRule {
  const matches = [{ path: { kind: "prefix" as const, value: prefix }, methods: ["GET"], headers: [] }];
  return { name: prefix, matches, permission, backends: [{ cluster: "local|8080", weight: 1 }], origins };
}

/** What the server's sidecar gets when `friends` may use what is not open to everybody. */
function serverLeaves(friends: Permission, authorizationServer: string): Leaf[] {
  const server = { cluster: "authorization", address: authorizationServer, port: 9001 };
  return [
    ...outboundLeaves(true),
    {
      kind: "external-cluster",
      name: server.cluster,
      origins,
      address: server.address,
      port: server.port,
      http2: true,
    },
    ...inboundLeaves(SERVER, [
      {
        port: 8080,
        protocol: "http",
        rules: [rule("/open", ANYBODY), rule("/friends", friends), rule("/nobody", NO_IDENTITIES)],
      },
      {
        port: 8090,
        protocol: "http",
        rules: [{ ...rule("/", ANYBODY) }],
        externalAuthorization: { ...server, statPrefix: "authz", timeoutMs: 1000, failureModeAllow: false },
      },
      { port: 9000, protocol: "tcp", permission: friends },
      { port: 3306, protocol: "tcp", permission: friends },
      { port: 3307, protocol: "tcp", permission: NO_IDENTITIES },
    ]),
  ];
}

describe("what sidecars refuse", () => {
  let mesh: Mesh;
  const shop = (identities: readonly ServiceIdentity[], endpoint = mesh.ip("server")): TestService => ({
    name: "shop",
    addresses: [SHOP],
    endpoints: [endpoint],
    identities,
    ports: [
      { port: 80, targetPort: 8080, protocol: "http" },
      { port: 90, targetPort: 8090, protocol: "http" },
      { port: 83, targetPort: 9000, protocol: "tcp" },
      { port: 84, targetPort: 3306, protocol: "tcp" },
      { port: 85, targetPort: 3307, protocol: "tcp" },
    ],
  });
  const get = async (pod: string, path: string, port = 80, headers = {}): Promise<number> =>
    (await mesh.app(pod).callHttp({ host: SHOP, port, path, headers })).status;

  before(async () => {
    mesh = await startMesh({ friend: FRIEND, stranger: STRANGER, server: SERVER, outside: undefined });
    const app = mesh.app("server");
    await Promise.all([
      app.serveHttp(8080),
      app.serveTcp(9000, ""),
      app.serveTcp(3306, "welcome to"),
      app.serveTcp(3307, "welcome to"),
      mesh.app("outside").serveCollector(9411),
    ]);
    mesh.configure("server", serverLeaves(only(FRIEND), mesh.ip("outside")));
    for (const name of ["friend", "stranger"])
      mesh.configure(name, [...outboundLeaves(true), ...serviceLeaves(shop([SERVER]))]);
    for (const name of ["friend", "stranger"])
      await waitFor("configuration", async () => (await get(name, "/open").catch(() => 0)) === 200);
  });

  after(() => mesh.close());

  it("answers 403 to those a rule does not name, 404 where there is no rule", async () => {
    expect(await get("friend", "/friends")).to.equal(200);
    expect(await get("stranger", "/friends")).to.equal(403);
    expect(await get("friend", "/nobody")).to.equal(403);
    expect(await get("stranger", "/nobody")).to.equal(403);
    expect(await get("stranger", "/elsewhere")).to.equal(404);
  });

  it("closes TCP to those who may not, before the server has said a word", async () => {
    const call = (pod: string, port: number, send = ""): ReturnType<ReturnType<Mesh["app"]>["callTcp"]> =>
      mesh.app(pod).callTcp({ host: SHOP, port, send, until: "server" });
    expect(await call("friend", 83, "hello")).to.include({ outcome: "received" });
    expect(await call("stranger", 83, "hello")).to.deep.equal({ received: "", outcome: "closed" });
    expect(await call("friend", 84)).to.include({ outcome: "received" });
    expect(await call("stranger", 84)).to.deep.equal({ received: "", outcome: "closed" });
    expect(await call("friend", 85)).to.deep.equal({ received: "", outcome: "closed" });
  });

  describe("a caller that talks to the inbound port itself", () => {
    const identityOf = (identity: ServiceIdentity, authority = mesh.authority): TlsCall["offer"] => {
      const lifetime = { now: Date.now(), validityMs: 3_600_000 };
      const pair = authority.issue(planWorkload(identity, TRUST_DOMAIN, lifetime));
      return { certificate: pair.certPem, key: pair.keyPem, alpn: MESH_ALPN };
    };
    const call = (offer: TlsCall["offer"], path = "/open"): ReturnType<ReturnType<Mesh["app"]>["callTls"]> =>
      mesh.app("outside").callTls({
        host: mesh.ip("server"),
        port: 8080,
        send: `GET ${path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n`,
        offer,
      });
    const nothing = { received: "", outcome: "closed" };

    before(async () => {
      mesh.configure("server", serverLeaves(only(FRIEND), mesh.ip("outside")));
      await waitFor("the stranger refused", async () =>
        (await call(identityOf(STRANGER), "/friends")).received.startsWith("HTTP/1.1 403 "),
      );
    });

    it("is served with a workload's certificate", async () => {
      expect((await call(identityOf(STRANGER))).received).to.match(/^HTTP\/1\.1 200 /);
    });

    it("needs a certificate, of this mesh, of a workload", async () => {
      const serving = mesh.authority.issue(
        planServing(["osm-controller.pepr-system.svc"], { now: Date.now(), validityMs: 3_600_000 }),
      );
      expect(await call({ alpn: MESH_ALPN })).to.deep.equal(nothing);
      expect(await call(identityOf(FRIEND, throwAwayAuthority()))).to.deep.equal(nothing);
      expect(
        await call({ certificate: serving.certPem, key: serving.keyPem, alpn: MESH_ALPN }),
      ).to.deep.equal(nothing);
    });

    it("needs TLS 1.3 and the mesh's protocol name", async () => {
      expect(await call({ ...identityOf(STRANGER), maxVersion: "TLSv1.2" })).to.deep.equal(nothing);
      const { certificate = "", key = "" } = identityOf(STRANGER);
      expect(await call({ certificate, key })).to.deep.equal(nothing);
      expect(await call({ certificate, key, alpn: "h2" })).to.deep.equal(nothing);
    });

    for (const path of [
      "/open/../friends",
      "/open/%2e%2e/friends",
      "/open/..%2ffriends",
      "/open/..%5cfriends",
      "/open/..\\friends",
      "/open//../../friends",
      "//friends",
      "/%66riends",
    ]) {
      it(`does not get to another's rule by ${path}`, async () => {
        const answer = await call(identityOf(STRANGER), path);
        expect(answer.received).to.match(/^HTTP\/1\.1 40[034] /);
      });
    }
  });

  it("lets no caller set the mesh's own headers", async () => {
    const forged = {
      "x-envoy-upstream-rq-timeout-ms": "1",
      "x-envoy-original-path": "/admin",
      "x-envoy-retry-on": "5xx",
      "osm-stats-namespace": "bank",
      "x-request-id": "11111111-2222-4333-8444-555555555555",
      "x-forwarded-proto": "http",
    };
    const answer = await mesh
      .app("stranger")
      .callHttp({ host: SHOP, port: 80, path: "/open", headers: forged });
    const seen = (JSON.parse(answer.body) as Echo).headers;
    expect(seen).not.to.have.any.keys(
      "x-envoy-upstream-rq-timeout-ms",
      "x-envoy-original-path",
      "x-envoy-retry-on",
      "osm-stats-namespace",
    );
    expect(seen["x-request-id"]).to.equal(forged["x-request-id"]);
    expect(seen["x-forwarded-proto"]).to.equal("http");
  });

  it("asks the external authorization server, refuses when it does, and when it is not there", async () => {
    expect(await get("friend", "/shown", 90)).to.equal(403);
    await mesh.app("outside").serveAuthorization(9001, "/secret");
    await waitFor("200", async () => (await get("friend", "/shown", 90)) === 200);
    expect(await get("friend", "/secret", 90)).to.equal(403);
  });

  it("does not connect to itself without end", async () => {
    const answer = await mesh
      .app("friend")
      .callTcp({ host: "127.0.0.1", port: PORT_OUTBOUND, send: "hello", until: "never" });
    expect(answer).to.deep.equal({ received: "", outcome: "closed" });
  });

  it("sends spans to the collector", async () => {
    const tracing = {
      cluster: "tracing",
      address: mesh.ip("outside"),
      port: 9411,
      endpoint: "/api/v2/spans",
      protocol: "zipkin",
      samplingPercentage: 100,
    } as const;
    const traced = serviceLeaves(shop([SERVER])).map(
      (leaf): Leaf =>
        leaf.kind === "outbound-listener" && leaf.handling.kind === "http"
          ? { ...leaf, handling: { ...leaf.handling, tracing } }
          : leaf,
    );
    const collector: Leaf = {
      kind: "external-cluster",
      name: "tracing",
      origins,
      http2: false,
      address: tracing.address,
      port: 9411,
    };
    mesh.configure("friend", [...outboundLeaves(true), collector, ...traced]);
    await waitFor("a span", async () => {
      await get("friend", "/open");
      return /^\/api\/v2\/spans \[\{/.test(await mesh.app("outside").collected());
    });
  });

  it("follows a change of permission at once, also on open connections", async () => {
    const open = mesh.app("friend").callTcp({ host: SHOP, port: 84 });
    await waitFor(
      "the connection",
      async () => (await mesh.sidecar("server").stat("cluster.local|3306.upstream_cx_active")) > 0,
    );
    mesh.configure("server", serverLeaves(only(STRANGER), mesh.ip("outside")));
    await waitFor("403", async () => (await get("friend", "/friends")) === 403);
    await waitFor("200", async () => (await get("stranger", "/friends")) === 200);
    expect(await open).to.deep.equal({ received: "welcome to server\n", outcome: "closed" });
    const again = await mesh.app("friend").callTcp({ host: SHOP, port: 84 });
    expect(again).to.deep.equal({ received: "", outcome: "closed" });
  });

  it("talks to no server that is not who it should be", async () => {
    for (const identities of [[FRIEND], []]) {
      mesh.configure("stranger", [...outboundLeaves(true), ...serviceLeaves(shop(identities))]);
      await waitFor("503", async () => (await get("stranger", "/open")) === 503);
    }
    expect(await mesh.sidecar("stranger").stat("cluster.shop|80.ssl.fail_verify_san")).to.be.above(0);
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
