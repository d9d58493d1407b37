import { expect } from "chai";
import type { LocalHttpLimit } from "../../src/model/traffic";
import { rateLimitClusterName } from "../../src/policy/names";
import type { HttpRule, Leaf } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import { everyRequest, inboundLeaves, outboundLeaves } from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { PolicyOperations } from "../support/policy-operations";
import { requestText, statusAs, workloadOffer } from "../support/tls-caller";
import { waitFor } from "../support/wait";

const CALLER = { namespace: "shoppers", serviceAccount: "caller" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const HOUR_MS = 3_600_000;
const LIMITS_PORT = 9005;
/** A name as the mesh gives it: with characters that no `:authority` may have, so that a server that is called so resets streams. */
const LIMITS = rateLimitClusterName("limits.shop.svc.cluster.local", LIMITS_PORT);
const origins: [] = [];

const limit = (count: number, burst: number): LocalHttpLimit => ({
  count,
  burst,
  unitMs: HOUR_MS,
  status: 429,
  headers: [{ name: "x-limited", value: "yes" }],
});

function rule(prefix: string, part: Partial<HttpRule>): HttpRule {
  const matches = [{ path: { kind: "prefix" as const, value: prefix }, methods: [], headers: [] }];
  const [every] = everyRequest([{ cluster: "local|8080", weight: 1 }]);
  if (every === undefined) throw new Error("no rule");
  return { ...every, name: prefix, matches, ...part };
}

function serverLeaves(limits: string): Leaf[] {
  const external = { kind: "external-cluster" as const, origins, address: limits };
  const server = { cluster: LIMITS, host: limits, port: LIMITS_PORT };
  const service = { ...server, domain: "shop", timeoutMs: 1000, failOpen: false };
  const http = { ...service, xRateLimitHeaders: false, status: 429 };
  return [
    ...outboundLeaves(true),
    { ...external, name: LIMITS, port: LIMITS_PORT, http2: true },
    { ...external, name: "no-limits", port: LIMITS_PORT + 1, http2: true },
    ...inboundLeaves(SERVER, [
      {
        port: 8080,
        protocol: "http",
        rules: [rule("/own", { localLimit: limit(1, 0) }), rule("/", {})],
        table: { localLimit: limit(2, 1) },
      },
      {
        port: 8081,
        protocol: "http",
        rules: [
          rule("/asked", {
            descriptors: [
              [
                { kind: "genericKey", key: undefined, value: "all" },
                { kind: "requestHeader", name: "x-user", key: "user" },
                {
                  kind: "headerValueMatch",
                  key: undefined,
                  value: "agent",
                  expectMatch: false,
                  headers: [{ name: "user-agent", kind: "prefix", value: "curl" }],
                },
              ],
            ],
          }),
          rule("/", {}),
        ],
        terms: { globalHttpLimit: http },
      },
      {
        port: 8082,
        protocol: "http",
        rules: [rule("/", { descriptors: [[{ kind: "remoteAddress" }]] })],
        terms: { globalHttpLimit: { ...http, cluster: "no-limits", failOpen: true } },
      },
      {
        port: 8083,
        protocol: "http",
        rules: [rule("/", { descriptors: [[{ kind: "remoteAddress" }]] })],
        terms: { globalHttpLimit: { ...http, cluster: "no-limits" } },
      },
      { port: 9000, protocol: "tcp", terms: { localLimit: { count: 2, burst: 1, unitMs: HOUR_MS } } },
      {
        port: 9001,
        protocol: "tcp",
        terms: { globalTcpLimit: { ...service, descriptors: [[{ key: "tcp", value: "shop" }]] } },
      },
    ]),
  ];
}

describe("limits", () => {
  let mesh: Mesh;
  let limits: PolicyOperations;
  const status = (port: number, path: string, headers: [string, string][] = []): Promise<number> =>
    statusAs(mesh, "server", CALLER, { port, path, headers });
  const tcp = async (port: number): Promise<string> => {
    const offer = workloadOffer(mesh.authority, CALLER);
    const host = mesh.ip("server");
    return (await mesh.app("outside").callTls({ host, port, offer, send: "hello", until: "hello" })).received;
  };

  before(async () => {
    mesh = await startMesh({ server: SERVER, outside: undefined });
    limits = startProgram(mesh.network.pod("outside"), "policy-app.ts") as PolicyOperations;
    const app = mesh.app("server");
    await Promise.all([
      app.serveHttp(8080),
      app.serveTcp(9000, ""),
      app.serveTcp(9001, ""),
      limits.serveRateLimits(LIMITS_PORT, 2),
    ]);
    mesh.configure("server", serverLeaves(mesh.ip("outside")));
    await waitFor("the server", async () => (await status(8081, "/")) === 200);
  }).timeout(60_000);

  after(() => mesh.close());

  it("hold requests of a port to count and burst, and say so", async () => {
    for (const expected of [200, 200, 200, 429]) expect(await status(8080, "/")).to.equal(expected);
    const answer = await mesh.app("outside").callTls({
      host: mesh.ip("server"),
      port: 8080,
      send: requestText({ port: 8080 }),
      offer: workloadOffer(mesh.authority, CALLER),
    });
    expect(answer.received)
      .to.match(/^HTTP\/1\.1 429 /)
      .and.to.include("x-limited: yes");
  });

  it("hold requests of a rule of their own to that", async () => {
    for (const expected of [200, 429]) expect(await status(8080, "/own")).to.equal(expected);
  });

  it("hold new connections to count and burst", async () => {
    const received = [];
    for (let call = 0; call < 4; call += 1) received.push(await tcp(9000));
    expect(received).to.deep.equal(["server hello", "server hello", "server hello", ""]);
  });

  it("of a rate limit server: are asked with every entry, by route", async () => {
    for (const expected of [200, 200, 429])
      expect(await status(8081, "/asked", [["x-user", "ann"]])).to.equal(expected);
    expect(await status(8081, "/asked", [["x-user", "bob"]])).to.equal(200);
    expect(await status(8081, "/asked")).to.equal(200);
    expect(await status(8081, "/")).to.equal(200);
    const asked = (await limits.asked()).filter(question => question.includes("generic_key"));
    expect(asked).to.deep.equal([
      ...["ann", "ann", "ann", "bob"].map(user => `shop: generic_key=all,user=${user},header_match=agent`),
    ]);
  });

  it("of a rate limit server: hold connections", async () => {
    const received = [];
    for (let call = 0; call < 3; call += 1) received.push(await tcp(9001));
    expect(received).to.deep.equal(["server hello", "server hello", ""]);
    expect(await limits.asked()).to.include("shop: tcp=shop");
  });

  it("of a rate limit server that is not there: let pass or refuse, as told", async () => {
    expect(await status(8082, "/")).to.equal(200);
    expect(await status(8083, "/")).to.equal(500);
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
