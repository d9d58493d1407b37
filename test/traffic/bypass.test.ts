import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { MESH_ALPN } from "../../src/model/mesh-words";
import { spiffeId } from "../../src/model/identity";
import type { BypassOperations, RawCall } from "../support/bypass-operations";
import { goFiles, nginxFiles, pythonFiles } from "../support/file-servers";
import { encodedBytes, forged, hosts, smuggled, traversals } from "../support/bypass-corpus";
import { requestPath } from "../../src/policy/request-path";
import { TRUST_DOMAIN } from "../support/mesh";
import { meshConfig, namespace, service, slice, type TestObject } from "../support/objects";
import { PolicyMesh } from "../support/policy-mesh";
import { workloadOffer } from "../support/tls-caller";
import { verdict } from "../support/verdict";
import { DENY, routeGroup, tcpRoute, trafficTarget } from "../support/traffic-objects";
import { waitFor } from "../support/wait";

/*
 * What test/traffic/protection.test.ts shows is not repeated: certificates of others or of none, TLS 1.2, no ALPN or
 * another, headers that reach the application. Nor is P-04 (probe and metrics listeners, admin), which is
 * test/traffic/injected-probes.test.ts, nor P-05 (differential.test.ts).
 */

const FULL = process.env["OSM_FULL"] === "1";
const THIEF = { namespace: "web", serviceAccount: "thief" };
const CLERK = { namespace: "web", serviceAccount: "clerk" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const CAST = { server: SERVER, outside: undefined } as const;
/** Application ports: a careless server of our own, file servers, bytes. */
const LENIENT = 8080;
const PYTHON = 8082;
const GO = 8083;
const NGINX = 8084;
const HTTP_PORTS = [LENIENT, PYTHON, GO, ...(FULL ? [NGINX] : [])];
const BYTES = 9000;
const SECRET = "protected";

/** The thief may GET below `/open`, and everything of Host `public.shop` that is below `/hosted`. */
function policy({ server }: { readonly server: string }): readonly TestObject[] {
  const ports = HTTP_PORTS.map(port => ({ name: `http-${port}`, port }));
  const all = [...ports, { name: "tcp-bytes", port: BYTES }];
  return [
    namespace("web"),
    namespace("shop"),
    meshConfig(DENY),
    service({ namespace: "shop", name: "server", clusterIPs: ["10.98.0.1"], ports: all }),
    slice({
      namespace: "shop",
      service: "server",
      ports: all,
      endpoints: [{ address: server, pod: "server" }],
    }),
    tcpRoute("shop", "all"),
    routeGroup("shop", "open", [
      { name: "open", pathRegex: "/open/", methods: ["GET", "POST"] },
      { name: "hosted", pathRegex: "/hosted/.*", methods: ["*"], headers: { host: "public[.]shop" } },
    ]),
    trafficTarget({ name: "thief", to: "shop/server", from: ["web/thief"], rules: ["HTTPRouteGroup/open"] }),
    trafficTarget({ name: "clerk", to: "shop/server", from: ["web/clerk"], rules: ["TCPRoute/all"] }),
  ];
}

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n`;

/** All of them with OSM_FULL=1, else every n-th. */
const some = <T>(all: readonly T[], every: number): readonly T[] =>
  FULL ? all : all.filter((_, index) => index % every === 0);

describe("bypasses of policy compiled from TrafficTargets", () => {
  let mesh: PolicyMesh;
  let attacker: BypassOperations;
  let files: string;
  const offers = new Map<object, ReturnType<typeof workloadOffer>>();

  /** A caller with its own TLS and without any redirection, as whoever owns a pod can be (P-09). */
  const as = (identity: typeof THIEF, port: number, send: string, tls: RawCall["tls"] = {}): RawCall => {
    const offer = offers.get(identity) ?? workloadOffer(mesh.authority, identity);
    offers.set(identity, offer);
    const { certificate = "", key = "" } = offer;
    return {
      host: mesh.place("server").ip,
      port,
      send,
      tls: { certificate, key, alpn: MESH_ALPN, serverName: "server.shop.svc.cluster.local", ...tls },
    };
  };
  const ask = async (call: RawCall): Promise<string> => (await attacker.calls([call]))[0] ?? "";

  before(async () => {
    files = mkdtempSync(path.join(os.tmpdir(), "osm-files-"));
    for (const folder of [SECRET, "open"]) mkdirSync(path.join(files, folder));
    writeFileSync(path.join(files, SECRET, "secret"), SECRET);
    writeFileSync(path.join(files, "open", "x"), "open");
    mesh = await PolicyMesh.start(CAST, policy);
    attacker = mesh.program("outside", "bypass-app.ts") as BypassOperations;
    const server = mesh.program("server", "bypass-app.ts") as BypassOperations;
    await Promise.all([server.serveLenient(LENIENT), server.serveLenient(BYTES)]);
    const scratch = `${files}-scratch`;
    mkdirSync(scratch);
    const commands = [pythonFiles(files, PYTHON), goFiles(files, GO)];
    if (FULL) commands.push(nginxFiles(files, NGINX, scratch));
    for (const command of commands) mesh.place("server").start([...command], { stdio: "ignore" });
    for (const port of [...HTTP_PORTS, BYTES])
      await waitFor(
        `the clerk let in at ${port}`,
        async () => (await ask(as(CLERK, port, get("/protected/secret")))).endsWith(SECRET),
        60_000,
      );
  }).timeout(90_000);

  after(async () => {
    await mesh.close();
    for (const folder of [files, `${files}-scratch`]) rmSync(folder, { recursive: true, force: true });
  });

  /** Prints how many of some attempts got through. */
  function judged(point: string, count: number, through: readonly unknown[]): void {
    verdict(`bypass ${point}`, through.length === 0, { count, failed: through.length, bound: "0 bypasses" });
  }

  /** Sends all of it as the thief; none may be answered with the protected content. */
  async function noneGetsThrough(
    point: string,
    port: number,
    sends: readonly string[],
  ): Promise<readonly string[]> {
    const answers = await attacker.calls(sends.map(send => as(THIEF, port, send)));
    const through = sends.filter((_, index) => (answers[index] ?? "").includes(secretBody(port)));
    judged(point, sends.length, through);
    expect(through).to.deep.equal([]);
    return answers;
  }
  /** How an answer with the protected content ends; a path that is echoed may contain the word. */
  const secretBody = (port: number): string => (port === LENIENT ? "\r\n\r\nprotected" : "\n\r\nprotected");

  for (const [name, port] of [
    ["a careless server", LENIENT],
    ["Python's file server", PYTHON],
    ["Go's file server", GO],
    ...(FULL ? ([["nginx", NGINX]] as const) : []),
  ] as const) {
    it(`by path, before ${name} (P-01)`, async () => {
      const paths = [...some(encodedBytes(), 11), ...some(traversals(), 2)];
      expect(await ask(as(THIEF, port, get("/open/x"))), "what is allowed").to.match(/^HTTP\/1\.[01] 200 /);
      const answers = await noneGetsThrough(`by path before ${name} (P-01)`, port, paths.map(get));
      const served = answers.filter(answer => / 200 /.test(answer.slice(0, 15))).length;
      console.log(`        ${paths.length} paths, ${served} of them taken for allowed ones`);
    }).timeout(FULL ? 900_000 : 120_000);
  }

  it("by Host, form or version (P-02)", async () => {
    const answers = await noneGetsThrough("by Host, form or version (P-02)", LENIENT, hosts());
    expect(
      answers.filter(answer => /^HTTP\/\S+ [123]/.test(answer) && !/^HTTP\/1.1 403/.test(answer)),
    ).to.deep.equal([]);
  }).timeout(60_000);

  it("by Host where Host decides (P-02)", async () => {
    const cases: readonly (readonly [string, number])[] = [
      ["public.shop", 200],
      ["PUBLIC.SHOP", 403],
      ["public.shop.", 403],
      ["public.shop.evil", 403],
      ["xpublic.shop", 403],
      ["publicxshop", 403],
      ["shop", 403],
      ["[::1]", 403],
    ];
    const requests = cases.map(
      ([host]) => `GET /hosted/x HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    );
    const answers = await attacker.calls(requests.map(request => as(THIEF, LENIENT, request)));
    const statuses = answers.map((answer, index) => [cases[index]?.[0], Number(answer.slice(9, 12))]);
    expect(statuses).to.deep.equal(cases);
  });

  it("by smuggling, and nobody else gets an answer that is not their own (P-02)", async () => {
    const sends = some(smuggled(), 2);
    const honest = sends.map((_, index) => as(CLERK, LENIENT, get(`/mine/${index}`)));
    const point = "by smuggling (P-02)";
    const [, own] = await Promise.all([noneGetsThrough(point, LENIENT, sends), attacker.calls(honest)]);
    const wrong = own.filter((answer, index) => !answer.endsWith(`seen /mine/${index}`));
    expect(wrong).to.deep.equal([]);
  }).timeout(60_000);

  it("by headers of trust (P-03)", async () => {
    const requests = some(forged(spiffeId(TRUST_DOMAIN, CLERK)), 4);
    const answers = await noneGetsThrough("by headers of trust (P-03)", LENIENT, requests);
    const statuses = new Set(answers.map(answer => answer.slice(9, 12)));
    expect([...statuses].filter(status => !["403", "400", "431", ""].includes(status))).to.deep.equal([]);
  }).timeout(60_000);

  it("by ports: bytes, the sidecar's own, and plaintext (P-09)", async () => {
    expect(await ask(as(THIEF, BYTES, get("/protected/secret")))).to.equal("");
    const { ip: host } = mesh.place("server");
    const ports = [
      ...HTTP_PORTS,
      BYTES,
      15000,
      15001,
      15003,
      15010,
      15050,
      15128,
      15901,
      15902,
      15903,
      15904,
    ];
    const plain = ports.map(port => ({ host, port, send: get("/protected/secret") }));
    const encrypted = ports
      .slice(HTTP_PORTS.length + 1)
      .map(port => as(THIEF, port, get("/protected/secret")));
    const answers = await attacker.calls([...plain, ...encrypted]);
    const answered = answers.filter(answer => answer !== "");
    judged("by ports, with a TLS stack of one's own (P-09)", answers.length, answered);
    expect(answered).to.deep.equal([]);
  }).timeout(60_000);

  it("by the handshake (P-10)", async () => {
    const request = get("/protected/secret");
    const weak = { ciphers: "AES128-SHA:DES-CBC3-SHA:NULL-SHA256:@SECLEVEL=0" } as const;
    const handshakes: readonly NonNullable<RawCall["tls"]>[] = [
      { maxVersion: "TLSv1", ciphers: "DEFAULT:@SECLEVEL=0" },
      { maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" },
      { maxVersion: "TLSv1.2" },
      { maxVersion: "TLSv1.2", ...weak },
      { alpn: "h2" },
      { alpn: "http/1.1" },
      { alpn: `${MESH_ALPN}x` },
    ];
    const refused = await attacker.calls(handshakes.map(offer => as(CLERK, LENIENT, request, offer)));
    const shaken = refused.filter(answer => answer !== "");
    judged("by the handshake (P-10)", refused.length, shaken);
    expect(shaken).to.deep.equal([]);
    const names = ["", "shop", "other.shop.svc.cluster.local", "a".repeat(200)];
    const named = await attacker.calls(names.map(serverName => as(THIEF, LENIENT, request, { serverName })));
    for (const answer of named) expect(answer === "" || answer.startsWith("HTTP/1.1 403 ")).to.equal(true);
  }).timeout(60_000);

  /** What the server's sidecar makes of escaped slashes from now on; resolves when no worker does anything else. */
  async function escapedSlashes(action: string, seen: RegExp): Promise<void> {
    const traffic = { ...DENY.traffic, pathWithEscapedSlashes: action };
    mesh.write(meshConfig({ traffic }));
    await mesh.settled();
    const probes = Array.from({ length: 32 }, () => as(THIEF, LENIENT, get("/open/a%2Fb")));
    await waitFor(
      `${String(seen)} with ${action}`,
      async () => (await attacker.calls(probes)).every(answer => seen.test(answer)),
      60_000,
    );
  }
  const escaped = [...some(encodedBytes(), 11), ...some(traversals(), 2)].concat(
    ["%2f", "%2F", "%5c", "%5C"].flatMap(slash => [
      `/open/..${slash}protected/secret`,
      `/open${slash}x`,
      `/open/${slash}${slash}x?y=${slash}`,
      `/protected${slash}..${slash}open/x`,
    ]),
  );

  it("by path, while escaped slashes are unescaped: rules and application see the same (P-01)", async () => {
    await escapedSlashes("UnescapeAndForward", /seen \/open\/a\/b$/);
    await noneGetsThrough("by path, slashes unescaped (P-01)", LENIENT, escaped.map(get));
    expect(await ask(as(THIEF, LENIENT, get("/open/a%2Fb%5Cc?d=%2F")))).to.match(
      /seen \/open\/a\/b\/c\?d=%2F$/,
    );
    expect(await ask(as(THIEF, LENIENT, get("/protected%2F..%2fopen/x")))).to.match(/seen \/open\/x$/);
  }).timeout(180_000);

  it("leaves a kept slash to the application, which gets the very path that rules have seen", async () => {
    await escapedSlashes("KeepUnchanged", /seen \/open\/a%2Fb$/);
    // A path with an escaped zero is refused in any case.
    const targets = escaped.filter(target => /^\/[^#?\s]*%(2f|5c)/i.test(target) && !target.includes("%00"));
    const answers = await attacker.calls(targets.map(target => as(THIEF, PYTHON, get(target))));
    expect(answers.filter(answer => !/^HTTP\/1\.[01] (403|404|200) /.test(answer))).to.deep.equal([]);
    const echoed = await attacker.calls(targets.map(target => as(THIEF, LENIENT, get(target))));
    const seen = echoed.map(answer => /seen ([^?]*)/.exec(answer)?.[1]);
    const judged = targets.map(target => requestPath(target, "keep") ?? "");
    // Of the others the application took the path for the protected one: that is what keeping them means.
    const different = targets.filter((_, index) => (seen[index] ?? judged[index]) !== judged[index]);
    expect(different).to.deep.equal([]);
    const refused = targets.filter((_, index) => (echoed[index] ?? "").startsWith("HTTP/1.1 403 "));
    expect(refused).to.deep.equal(targets.filter((_, index) => !(judged[index] ?? "").startsWith("/open/")));
    await escapedSlashes("RejectRequest", /^HTTP\/1\.1 400 /);
  }).timeout(180_000);

  it("leaves the server as it was, and nothing was rejected by any Envoy", async () => {
    expect(await ask(as(CLERK, LENIENT, get("/protected/secret")))).to.match(/protected$/);
    expect(await ask(as(THIEF, LENIENT, get("/open/x")))).to.match(/seen \/open\/x$/);
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
