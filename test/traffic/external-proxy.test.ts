import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect } from "chai";
import { planExternal } from "../../src/certificate/plan";
import type { ExternalEnvoy, ProxyCredentials } from "../support/external-proxy";
import { externalWorkload } from "../support/external-workload";
import { meshConfig, namespace, service, slice, type TestObject } from "../support/objects";
import type { Operations } from "../support/pod-operations";
import { PolicyMesh } from "../support/policy-mesh";
import { DENY, routeGroup, trafficTarget } from "../support/traffic-objects";
import { waitFor } from "../support/wait";

/** `vm` is no pod: nobody injects it, and it runs what `osm proxy bootstrap` writes. */
const CAST = {
  buyer: { namespace: "web", serviceAccount: "buyer" },
  thief: { namespace: "web", serviceAccount: "thief" },
  bank: { namespace: "web", serviceAccount: "bank" },
  vm: undefined,
} as const;

const STORE = "10.98.1.1";
const BANK = "10.98.1.2";
const http = [{ name: "http", port: 80, targetPort: 8080, appProtocol: "http" }];
const DAY = 86_400_000;

const policy = ({ bank }: { readonly bank: string }): readonly TestObject[] => [
  namespace("web"),
  namespace("shop"),
  meshConfig(DENY),
  service({ namespace: "shop", name: "store", clusterIPs: [STORE], ports: http, selector: { app: "store" } }),
  service({ namespace: "web", name: "bank", clusterIPs: [BANK], ports: http, selector: { app: "bank" } }),
  slice({
    namespace: "web",
    service: "bank",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ address: bank, pod: "bank" }],
  }),
  routeGroup("shop", "all", [{ name: "all", pathRegex: "/.*", methods: ["GET"] }]),
  routeGroup("web", "all", [{ name: "all", pathRegex: "/.*", methods: ["GET"] }]),
];
const sells = trafficTarget({
  name: "sells",
  to: "shop/store",
  from: ["web/buyer"],
  rules: ["HTTPRouteGroup/all"],
});
const pays = trafficTarget({
  name: "pays",
  to: "web/bank",
  from: ["shop/store"],
  rules: ["HTTPRouteGroup/all"],
});

/** A key, and how an object names it. */
function newKey(): { readonly pem: string; readonly der: Buffer; readonly publicKey: string } {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return {
    pem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    der,
    publicKey: der.toString("base64"),
  };
}

describe("a proxy outside of the cluster", () => {
  const key = newKey();
  let mesh: PolicyMesh;
  let apps: Record<keyof typeof CAST, Operations>;
  let vm: ExternalEnvoy;
  const workload = (more: object = {}): TestObject =>
    externalWorkload({
      namespace: "shop",
      name: "vm",
      uid: "uid-vm",
      addresses: [mesh.place("vm").ip],
      labels: { app: "store" },
      serviceAccount: "store",
      publicKey: key.publicKey,
      ...more,
    });
  const proxy = { namespace: "shop", name: "vm", uid: "uid-vm" };
  const credentials = (validityMs = DAY, own = key): ProxyCredentials => ({
    certificate: mesh.authority.certify(planExternal(proxy, { now: Date.now(), validityMs }), own.der),
    key: own.pem,
    trust: mesh.authority.certPem,
  });
  const status = (from: keyof typeof CAST, host: string): Promise<number> =>
    apps[from].callHttp({ host, port: 80 }).then(
      answer => answer.status,
      () => 0,
    );
  /** Both workers of all that is in between have to say the same. */
  const becomes = (from: keyof typeof CAST, host: string, ok: (status: number) => boolean): Promise<true> =>
    waitFor(
      `${from} to ${host}`,
      async () => {
        for (let n = 0; n < 8; n += 1) if (!ok(await status(from, host))) return false;
        return true;
      },
      60_000,
    );
  const works = (code: number): boolean => code === 200;
  const fails = (code: number): boolean => code !== 200;
  const connected = (is: boolean): Promise<true> =>
    waitFor("its stream", () => (mesh.connected.includes("vm") === is ? true : undefined), 60_000);
  const refusals = (code: string): number => mesh.refusedStreams[code] ?? 0;

  before(async () => {
    mesh = await PolicyMesh.start(CAST, policy);
    const start = (name: string): Operations => mesh.program(name, "pod-app.ts") as Operations;
    apps = { buyer: start("buyer"), thief: start("thief"), bank: start("bank"), vm: start("vm") };
    await Promise.all([apps.bank.serveHttp(8080), apps.vm.serveHttp(8080)]);
    vm = await mesh.startExternal("vm", credentials());
  }).timeout(300_000);
  after(() => mesh.close());

  it("is not let in before it is declared, nor while another key is named", async () => {
    // Not known yet: it may be a moment until the control plane has seen the object.
    await waitFor("a refusal", () => refusals("UNAVAILABLE") > 0, 60_000);
    mesh.write(workload({ publicKey: newKey().publicKey }));
    await waitFor("a refusal", () => refusals("PERMISSION_DENIED") > 0, 60_000);
    expect(mesh.connected).to.not.include("vm");
  }).timeout(150_000);

  it("joins once it is its own", async () => {
    mesh.write(workload());
    await connected(true);
    await waitFor("its listeners", async () => (await vm.admin("/ready")).startsWith("LIVE"), 60_000);
  }).timeout(90_000);

  it("is called by mutual TLS as an endpoint of the Service that selects it, by whom a TrafficTarget lets in", async () => {
    await becomes("buyer", STORE, fails);
    mesh.write(sells);
    await becomes("buyer", STORE, works);
    await becomes("thief", STORE, fails);
    const answer = await apps.buyer.callHttp({ host: STORE, port: 80 });
    expect(JSON.parse(answer.body)).to.include({ pod: "vm" });
    expect(await vm.stat("listener.0.0.0.0_15003.ssl.handshake")).to.be.greaterThan(0);
  }).timeout(200_000);

  it("is not called by who comes without a certificate of the mesh", async () => {
    const { ip } = mesh.place("vm");
    const answer = await apps.thief.callHttp({ host: ip, port: 8080 }).then(
      ({ status: code }) => code,
      () => 0,
    );
    expect(answer).to.not.equal(200);
  });

  it("calls the mesh with its identity, which a TrafficTarget lets in", async () => {
    await becomes("vm", BANK, fails);
    mesh.write(pays);
    await becomes("vm", BANK, works);
    mesh.drop(pays);
    await becomes("vm", BANK, fails);
    mesh.write(pays);
    await becomes("vm", BANK, works);
  }).timeout(250_000);

  it("takes a renewed certificate without a restart, and goes on", async () => {
    vm.present(credentials(60_000));
    const updates = "cluster.osm-controller.client_ssl_socket_factory.ssl_context_update_by_sds";
    const seen = await vm.stat(updates);
    vm.present(credentials());
    await waitFor("the new certificate", async () => (await vm.stat(updates)) > seen, 60_000);
    await becomes("buyer", STORE, works);
  }).timeout(150_000);

  it("is cut off when another key is named, and in again with that", async () => {
    const next = newKey();
    mesh.write(workload({ publicKey: next.publicKey }));
    await connected(false);
    vm.present(credentials(DAY, next));
    await connected(true);
    mesh.write(workload());
    await connected(false);
    vm.present(credentials());
    await connected(true);
    await becomes("buyer", STORE, works);
  }).timeout(200_000);

  it("is cut off when it is deleted, and refused for good, also when one of its name is declared anew", async () => {
    mesh.drop(workload());
    await connected(false);
    await becomes("buyer", STORE, fails);
    mesh.write(workload({ uid: "uid-of-another" }));
    const before = refusals("PERMISSION_DENIED");
    await waitFor("a refusal", () => refusals("PERMISSION_DENIED") > before, 60_000);
    expect(mesh.connected).to.not.include("vm");
  }).timeout(200_000);

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
