import { expect } from "chai";
import { planGateway } from "../../src/certificate/plan";
import type { IngressChain, Leaf, Permission, RouteTableLeaf } from "../../src/policy/types";
import { type Mesh, startMesh, throwAwayAuthority, TRUST_DOMAIN } from "../support/mesh";
import { everyRequest, inboundLeaves, outboundLeaves, type TestInbound } from "../support/mesh-leaves";
import type { TlsCall } from "../support/pod-operations";
import { requestText, statusAs, workloadOffer } from "../support/tls-caller";
import { waitFor } from "../support/wait";

const CALLER = { namespace: "shoppers", serviceAccount: "caller" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
/** What the test's TLS clients ask for. */
const SERVER_NAME = "shop.test.svc.cluster.local";
const GATEWAY = "gateway.ingress.svc";
const origins: [] = [];
const NOBODY: Permission = { kind: "allow", identities: [] };

function table(name: string, permission: Permission, part: Partial<RouteTableLeaf> = {}): RouteTableLeaf {
  const rules = everyRequest([{ cluster: "local|8080", weight: 1 }], permission);
  return {
    kind: "route-table",
    name,
    direction: "ingress",
    origins,
    trustDomain: TRUST_DOMAIN,
    rules,
    ...part,
  };
}

function serverLeaves(gatewayIp: string): Leaf[] {
  const cidrs = [`${gatewayIp}/32`, "fd00::/8"];
  const [rule] = everyRequest([{ cluster: "local|8080", weight: 1 }], { kind: "anyone" });
  if (rule === undefined) throw new Error("no rule");
  const tls = { verifyClient: false, serverNames: [SERVER_NAME] };
  const chain = (name: string, part: Partial<IngressChain> = {}): IngressChain => ({
    name,
    cidrs,
    tls: undefined,
    routeTable: name,
    origins,
    ...part,
  });
  const port = (number: number, ingress: IngressChain[], part: Partial<TestInbound> = {}): TestInbound => ({
    port: number,
    protocol: "http",
    rules: everyRequest([{ cluster: "local|8080", weight: 1 }]),
    terms: { ingress },
    ...part,
  });
  const hosts = [{ name: "shop", domains: ["shop", "shop:8080"], rules: [rule] }];
  return [
    ...outboundLeaves(true),
    table("plain", { kind: "anyone" }, { rules: [], hosts }),
    table("tls", { kind: "anyone" }),
    table("verified", { kind: "principals", names: [GATEWAY] }),
    table("migration", { kind: "anyone" }, { direction: "inbound" }),
    ...inboundLeaves(SERVER, [
      port(8080, [chain("plain"), chain("nobody", { cidrs: [], routeTable: "tls" })]),
      port(8443, [chain("tls", { tls })]),
      port(9443, [chain("verified", { tls: { verifyClient: true, serverNames: [] } })]),
      port(8081, [], { permission: NOBODY, terms: { plaintext: { routeTable: "migration" } } }),
      {
        port: 3306,
        protocol: "tcp",
        permission: NOBODY,
        callers: [],
        terms: { plaintext: { routeTable: undefined } },
      },
    ]),
  ];
}

describe("ingress and plaintext", () => {
  let mesh: Mesh;
  const plain = async (pod: string, port: number, host = "shop"): Promise<string> => {
    const send = requestText({ port, host });
    const { received } = await mesh.app(pod).callTcp({ host: mesh.ip("server"), port, send });
    return /^HTTP\/1\.1 (\d+) /.exec(received)?.[1] ?? received;
  };
  const overTls = async (port: number, offer: TlsCall["offer"], pod = "gateway"): Promise<string> => {
    const call = { host: mesh.ip("server"), port, send: requestText({ port }), offer };
    const { received } = await mesh.app(pod).callTls(call);
    return /^HTTP\/1\.1 (\d+) /.exec(received)?.[1] ?? received;
  };
  const certificate = (name: string, authority = mesh.authority): TlsCall["offer"] => {
    const pair = authority.issue(planGateway([name], { now: Date.now(), validityMs: 3_600_000 }));
    return { certificate: pair.certPem, key: pair.keyPem };
  };

  before(async () => {
    mesh = await startMesh({ server: SERVER, gateway: undefined, outside: undefined });
    await Promise.all([mesh.app("server").serveHttp(8080), mesh.app("server").serveTcp(3306, "welcome to")]);
    mesh.configure("server", serverLeaves(mesh.ip("gateway")));
    await waitFor("the server", async () => (await plain("gateway", 8080).catch(() => "")) === "200");
  }).timeout(60_000);

  after(() => mesh.close());

  it("let in plaintext of the gateway's address, for its hosts", async () => {
    expect(await plain("gateway", 8080)).to.equal("200");
    expect(await plain("gateway", 8080, "Shop:8080")).to.equal("200");
    expect(await plain("gateway", 8080, "other")).to.equal("404");
  });

  it("let in no other address", async () => {
    expect(await plain("outside", 8080)).to.equal("");
    expect(await overTls(8443, {}, "outside")).to.equal("");
  });

  it("take TLS without a client's certificate where that is said", async () => {
    expect(await overTls(8443, {})).to.equal("200");
    expect(await plain("gateway", 8443)).to.equal("");
  });

  it("look at the client's certificate where that is said", async () => {
    expect(await overTls(9443, certificate(GATEWAY))).to.equal("200");
    expect(await overTls(9443, certificate("other.ingress.svc"))).to.equal("403");
    expect(await overTls(9443, certificate(GATEWAY, throwAwayAuthority()))).to.equal("");
    expect(await overTls(9443, {})).to.equal("");
    const { certificate: cert, key } = workloadOffer(mesh.authority, CALLER);
    expect(await overTls(9443, { certificate: cert ?? "", key: key ?? "" })).to.equal("403");
  });

  it("leave the mesh its own chains, also where ingress has the server name", async () => {
    for (const port of [8080, 8443, 9443, 8081])
      expect(await statusAs(mesh, "server", CALLER, { port })).to.equal(200);
  });

  it("take plaintext during migration, also where the server speaks first", async () => {
    expect(await plain("outside", 8081)).to.equal("200");
    const call = { host: mesh.ip("server"), port: 3306, until: "\n" };
    expect((await mesh.app("outside").callTcp(call)).received).to.equal("welcome to server\n");
  });

  it("end no connection of other ports when the first port of bytes comes or goes", async () => {
    const server = mesh.sidecar("server");
    const inPlace = (): Promise<number> => server.stat("listener_manager.listener_in_place_updated");
    const changed = (): Promise<number> => server.stat("listener_manager.listener_modified");
    const [firstInPlace, first] = [await inPlace(), await changed()];
    const all = serverLeaves(mesh.ip("gateway"));
    const withoutBytes = all.map(
      (leaf): Leaf =>
        leaf.kind === "inbound-listener"
          ? { ...leaf, ports: leaf.ports.filter(({ port }) => port !== 3306) }
          : leaf,
    );
    for (const [index, leaves] of [withoutBytes, all].entries()) {
      mesh.configure("server", leaves);
      await waitFor("the listener", async () => (await changed()) === first + index + 1);
      expect(await inPlace(), "only its chains changed").to.equal(firstInPlace + index + 1);
    }
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
