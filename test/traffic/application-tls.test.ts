import { expect } from "chai";
import { planGateway } from "../../src/certificate/plan";
import { DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../src/api/mesh-config";
import { meshConfig, namespace, service, slice, type TestObject } from "../support/objects";
import { PolicyMesh } from "../support/policy-mesh";
import type { PolicyOperations } from "../support/policy-operations";
import { DENY, tcpRoute, trafficTarget } from "../support/traffic-objects";
import { waitFor } from "../support/wait";

const CAST = {
  caller: { namespace: "web", serviceAccount: "caller" },
  thief: { namespace: "web", serviceAccount: "thief" },
  server: { namespace: "shop", serviceAccount: "server" },
} as const;
type Caller = "caller" | "thief";

const ADDRESS = "10.98.0.7";
const PORT = 443;
/** What the application's own TLS client asks for, which no sidecar looks at. */
const SERVER_NAME = "api.shop.example";
const ANSWER = `server ${SERVER_NAME}`;

const route = tcpRoute("shop", "secure", PORT);
const grant = trafficTarget({
  name: "caller",
  to: "shop/server",
  from: ["web/caller"],
  rules: ["TCPRoute/secure"],
});

function policy({ server }: { readonly server: string }): readonly TestObject[] {
  const ports = [{ name: "https", port: PORT }];
  return [
    namespace("web"),
    namespace("shop"),
    meshConfig(DENY),
    service({ namespace: "shop", name: "server", clusterIPs: [ADDRESS], ports }),
    slice({ namespace: "shop", service: "server", ports, endpoints: [{ address: server, pod: "server" }] }),
  ];
}

describe("TLS of an application itself", () => {
  let mesh: PolicyMesh;
  let apps: Readonly<Record<Caller, PolicyOperations>>;
  const call = (from: Caller): Promise<string> =>
    apps[from].callTls({ host: ADDRESS, port: PORT }, SERVER_NAME).catch(() => "");
  /** Also asks again: both workers of both sidecars have to say the same. */
  const becomes = (from: Caller, word: string): Promise<true> =>
    waitFor(
      `${from}: ${word === "" ? "no answer" : "an answer"}`,
      async () => {
        for (let n = 0; n < 8; n += 1) if ((await call(from)) !== word) return false;
        return true;
      },
      60_000,
    );

  before(async () => {
    mesh = await PolicyMesh.start(CAST, policy);
    const start = (name: string): PolicyOperations => mesh.program(name, "policy-app.ts") as PolicyOperations;
    apps = { caller: start("caller"), thief: start("thief") };
    const lifetime = { now: Date.now(), validityMs: 3_600_000 };
    const { certPem, keyPem } = mesh.authority.issue(planGateway([SERVER_NAME], lifetime));
    await start("server").serveTls(PORT, { certificate: certPem, key: keyPem });
  }).timeout(90_000);
  after(() => mesh.close());

  it("reaches nobody without a permission", async () => {
    await becomes("caller", "");
  }).timeout(90_000);

  it("goes end to end through both sidecars with a TCPRoute, for the one it is granted to (row 17)", async () => {
    mesh.write(route, grant);
    await becomes("caller", ANSWER);
    await becomes("thief", "");
    const own = await mesh.sidecar("server").stat("listener.0.0.0.0_15003.ssl.handshake");
    expect(own, "handshakes of the mesh around it").to.be.greaterThan(0);
  }).timeout(180_000);

  const tls = (sidecar: Partial<MeshConfigSpec["sidecar"]>): TestObject =>
    meshConfig({ ...DENY, sidecar: { ...DEFAULT_MESH_CONFIG.sidecar, ...sidecar } });
  const OLD = { tlsMinProtocolVersion: "TLSv1_1", tlsMaxProtocolVersion: "TLSv1_1" } as const;

  it("goes through a mesh that speaks TLS 1.1, if it is asked for with ciphers of its time (row 10)", async () => {
    mesh.write(tls({ ...OLD, cipherSuites: ["ECDHE-ECDSA-AES128-SHA"] }));
    await waitFor(
      "a handshake of TLS 1.1",
      async () => {
        await call("caller");
        return (await mesh.sidecar("server").stat("listener.0.0.0.0_15003.ssl.versions.TLSv1.1")) > 0;
      },
      60_000,
    );
    await becomes("caller", ANSWER);
  }).timeout(180_000);

  it("goes through none that speaks TLS 1.1 with the ciphers of today, and through one of today again (row 10)", async () => {
    mesh.write(tls(OLD));
    await becomes("caller", "");
    mesh.write(meshConfig(DENY));
    await becomes("caller", ANSWER);
  }).timeout(180_000);

  it("ends once it is withdrawn", async () => {
    mesh.drop(grant);
    await becomes("caller", "");
  }).timeout(90_000);

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
