import { expect } from "chai";
import type { AccessLog, InboundListenerLeaf, Leaf, Permission } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import { everyRequest, inboundLeaves, outboundLeaves } from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import type { PolicyOperations } from "../support/policy-operations";
import { statusAs } from "../support/tls-caller";
import { waitFor } from "../support/wait";

const BUYER = { namespace: "shoppers", serviceAccount: "buyer" };
const THIEF = { namespace: "shoppers", serviceAccount: "thief" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const LOGS_PORT = 4317;
const origins: [] = [];

const GRANTS: Permission = {
  kind: "grants",
  grants: [
    {
      name: "shop/buyers#0",
      identities: [BUYER],
      matches: [{ path: { kind: "any" }, methods: [], headers: [] }],
      origins,
    },
  ],
};

describe("access logs", () => {
  let mesh: Mesh;
  let collector: PolicyOperations;
  const status = (identity: typeof BUYER, path: string): Promise<number> =>
    statusAs(mesh, "server", identity, { port: 8080, path });
  const configure = (accessLog?: AccessLog): void => {
    const rules = everyRequest([{ cluster: "local|8080", weight: 1 }], GRANTS);
    const inbound = inboundLeaves(SERVER, [{ port: 8080, protocol: "http", rules }]).map((leaf): Leaf => {
      if (leaf.kind !== "inbound-listener" || accessLog === undefined) return leaf;
      const logged: InboundListenerLeaf = { ...leaf, accessLog };
      return logged;
    });
    mesh.configure("server", [
      ...outboundLeaves(true),
      {
        kind: "external-cluster",
        name: "collector",
        origins,
        address: mesh.ip("outside"),
        port: LOGS_PORT,
        http2: true,
      },
      ...inbound,
    ]);
  };
  const line = (part: string): Promise<string> =>
    waitFor(`a line with ${part}`, () =>
      mesh
        .sidecar("server")
        .output()
        .split("\n")
        .find(text => text.includes(part)),
    );
  const logged = async (path: string, part: string): Promise<string> => {
    // Requests of the new chain only: the old one goes on for a moment.
    await waitFor("the new format", async () => {
      await status(BUYER, path);
      return mesh.sidecar("server").output().includes(part);
    });
    return line(part);
  };

  before(async () => {
    mesh = await startMesh({ server: SERVER, outside: undefined });
    collector = startProgram(mesh.network.pod("outside"), "policy-app.ts") as PolicyOperations;
    await Promise.all([mesh.app("server").serveHttp(8080), collector.serveLogs(LOGS_PORT)]);
    configure();
    await waitFor("the server", async () => (await status(BUYER, "/")) === 200);
  }).timeout(60_000);

  after(() => mesh.close());

  it("say who was refused, and by which grant others were let in", async () => {
    expect(await status(THIEF, "/refused")).to.equal(403);
    expect(await status(BUYER, "/let-in")).to.equal(200);
    const refused = JSON.parse(await line("/refused")) as Record<string, unknown>;
    expect(refused).to.include({
      response_code: 403,
      response_code_details: "rbac_access_denied_matched_policy[none]",
      caller: "spiffe://cluster.local/ns/shoppers/sa/thief",
      grant: null,
    });
    const letIn = JSON.parse(await line("/let-in")) as Record<string, unknown>;
    expect(letIn).to.include({
      caller: "spiffe://cluster.local/ns/shoppers/sa/buyer",
      grant: "shop/buyers#0",
    });
  });

  it("have the text that is asked for, a line each", async () => {
    configure({ format: "text %REQ(:METHOD)% %REQ_WITHOUT_QUERY(:PATH)% %RESPONSE_CODE%" });
    expect(await logged("/text?secret=1", "text GET")).to.equal("text GET /text 200");
  });

  it("have the JSON that is asked for", async () => {
    configure({ format: '{"how": "%REQ(:METHOD)%", "inner": {"code": "%RESPONSE_CODE%"}}' });
    expect(JSON.parse(await logged("/json", '"how"'))).to.deep.equal({ how: "GET", inner: { code: 200 } });
  });

  it("go to a collector as well", async () => {
    configure({ openTelemetry: { cluster: "collector", attributes: { team: "shop-team" } } });
    await waitFor("records", async () => {
      await status(THIEF, "/collected");
      const records = await collector.logs();
      return records.includes("/collected") && records.includes("shop-team");
    });
    expect(await collector.logs()).to.include("spiffe://cluster.local/ns/shoppers/sa/thief");
    expect(await line("/collected")).to.include("403");
  });

  it("are of refused and failed requests alone where that is asked for", async () => {
    configure({ format: "quiet %REQ(:PATH)% %RESPONSE_CODE%", onlyFailures: true });
    const quiet = (): string[] =>
      mesh
        .sidecar("server")
        .output()
        .split("\n")
        .filter(text => text.startsWith("quiet "));
    await waitFor("the new format", async () => {
      await status(THIEF, "/before");
      return quiet().length > 0;
    });
    expect(await status(BUYER, "/fine")).to.equal(200);
    expect(await status(THIEF, "/after")).to.equal(403);
    await line("quiet /after 403");
    // Lines are written in the order of the requests, so the one in between would be there.
    expect(quiet().filter(text => text.includes("/fine"))).to.deep.equal([]);
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
