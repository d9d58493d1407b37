import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { CommandError } from "../../src/cli/failure";
import { bootstrapProxy, renewProxy, type BootstrapCommand } from "../../src/cli/proxy";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { systemClock } from "../../src/runtime/clock";
import { ensureDefinitions } from "../../src/runtime/control-plane/bootstrap";
import { ExternalProxyKeeper } from "../../src/runtime/control-plane/external-proxies";
import { KubeError, type KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { silentLog } from "../../src/runtime/log";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { readSettings } from "../../src/runtime/settings";
import { cliCluster } from "../support/cli-cluster";
import { newPublicKey } from "../support/external-workload";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

const COLLECTION = "/apis/config.openservicemesh.io/v1alpha2/namespaces/default/externalworkloads";
const HOUR = 3_600_000;

interface Workload extends KubeObject {
  readonly spec: { readonly publicKey?: string; readonly serviceAccountName: string };
  readonly status?: {
    readonly proxy?: { readonly certificate: string; readonly trust: string; readonly notAfter: string };
  };
}

describe("osm proxy and the certificates of external proxies on a real API server", function () {
  this.timeout(180_000);
  const { certPem, keyPem } = createRoot(Date.now());
  const authority = loadAuthority(certPem, keyPem);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let keeper: ExternalProxyKeeper;
  let folder: string;
  let ahead = 0;
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  const startKeeper = (): ExternalProxyKeeper =>
    new ExternalProxyKeeper({
      kube,
      clock,
      log: silentLog,
      random: Math.random,
      authority,
      rootsPem: () => authority.certPem,
    });

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-proxy-"));
    const settings = readSettings({}, folder);
    const bootstrap = { kube, clock: systemClock, log: silentLog, settings, mayChange: true };
    await ensureDefinitions(bootstrap, EMBEDDED_CRDS);
    keeper = startKeeper();
  });
  after(async () => {
    keeper.stop();
    kube.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const at = (name: string): string => `${COLLECTION}/${name}`;
  const read = (name: string): Promise<Workload> => kube.get<Workload>(at(name));
  const declare = (name: string, spec: object = {}): Promise<unknown> =>
    kube.create(COLLECTION, {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "ExternalWorkload",
      metadata: { name, namespace: "default" },
      spec: { serviceAccountName: "store", addresses: ["192.0.2.7"], ...spec },
    });
  const command = (name: string, more: Partial<BootstrapCommand> = {}): BootstrapCommand => ({
    kube,
    clock: systemClock,
    workload: `default/${name}`,
    folder: path.join(folder, name),
    say: () => undefined,
    setup: {
      adsAddress: "mesh.example:15128",
      folder: "/etc/osm",
      inboundExcludedPorts: [22],
      outboundRanges: ["10.96.0.0/12"],
      ipv6: false,
    },
    ...more,
  });
  const file = (name: string, what: string): string => readFileSync(path.join(folder, name, what), "utf8");
  const failure = (run: Promise<unknown>): Promise<string> =>
    run.then(
      () => "nothing",
      (error: unknown) =>
        error instanceof CommandError || error instanceof KubeError ? error.message : `? ${String(error)}`,
    );

  it("makes a key that stays in the folder, has it certified, and writes what an Envoy needs", async () => {
    await declare("vm");
    await bootstrapProxy(command("vm"));
    expect(readdirSync(path.join(folder, "vm")).sort()).to.deep.equal([
      ...["ca.crt", "client-sds.json", "client.crt", "client.key", "envoy.env", "envoy.json"],
      ...["redirect.sh", "root-sds.json", "run"],
    ]);
    expect(statSync(path.join(folder, "vm", "client.key")).mode & 0o777).to.equal(0o600);
    const certificate = new X509Certificate(file("vm", "client.crt"));
    const { metadata, spec, status } = await read("vm");
    expect(certificate.subjectAltName).to.equal(
      `URI:urn:openservicemesh:external-proxy:default:vm:${metadata.uid ?? ""}`,
    );
    expect(certificate.checkPrivateKey(createPrivateKey(file("vm", "client.key")))).to.equal(true);
    expect(certificate.verify(new X509Certificate(file("vm", "ca.crt")).publicKey)).to.equal(true);
    const left = Date.parse(certificate.validTo) - Date.now();
    expect(left).to.be.within(23 * HOUR, 24 * HOUR);
    const own = createPublicKey(file("vm", "client.key")).export({ type: "spki", format: "der" });
    expect(spec.publicKey).to.equal(own.toString("base64"));
    expect(Date.parse(status?.proxy?.notAfter ?? "")).to.equal(Date.parse(certificate.validTo));
    expect(JSON.stringify(await read("vm"))).to.not.contain("PRIVATE");
    expect(file("vm", "envoy.json")).to.contain("mesh.example").and.to.contain("/etc/osm/client-sds.json");
    const service = `${spec.serviceAccountName}.default`;
    expect(JSON.parse(file("vm", "envoy.json"))).to.have.deep.property("node", {
      id: "vm.default",
      cluster: service,
    });
    expect(file("vm", "envoy.env")).to.equal(
      `OTEL_RESOURCE_ATTRIBUTES=service.name=${service},service.instance.id=vm,k8s.namespace.name=default\n`,
    );
    expect(file("vm", "redirect.sh")).to.contain("10.96.0.0/12").and.to.contain("22");
  });

  it("writes what the options say", async () => {
    await declare("vm-options");
    const cli = cliCluster(server);
    const place = path.join(folder, "vm-options");
    const options = ["--at", "/etc/mesh", "--inbound-exclude", "22,2222", "--ipv6"];
    const ranges = ["--outbound-ranges", "10.96.0.0/12,fd00::/8"];
    const join = ["proxy", "bootstrap", "default/vm-options", "--ads", "mesh.example", ...options, ...ranges];
    try {
      expect(await cli.must([...join, "--folder", place])).to.contain("default/vm-options may join the mesh");
      const other = path.join(folder, "vm-other");
      const refused = await cli.osm([...join, "--folder", other]);
      expect([refused.code, refused.stderr.includes("--replace-key")]).to.deep.equal([1, true]);
      await cli.must([...join, "--folder", other, "--replace-key"]);
    } finally {
      cli.remove();
    }
    expect(file("vm-options", "envoy.json")).to.contain("/etc/mesh/client-sds.json").and.to.contain("15128");
    expect(file("vm-options", "envoy.json")).to.contain('"::"');
    const redirect = file("vm-options", "redirect.sh");
    for (const part of ["2222", "10.96.0.0/12", "fd00::/8"]) expect(redirect).to.contain(part);
  });

  it("changes nothing when it is done again, and refuses another folder until it is told to replace the key", async () => {
    const before = file("vm", "client.crt");
    await bootstrapProxy(command("vm"));
    expect(file("vm", "client.crt")).to.equal(before);
    const elsewhere = command("vm", { folder: path.join(folder, "elsewhere") });
    expect(await failure(bootstrapProxy(elsewhere))).to.contain("--replace-key");
    await bootstrapProxy({ ...elsewhere, replaceKey: true });
    expect((await read("vm")).spec.publicKey).to.not.equal(undefined);
    expect(await failure(renewProxy(command("vm")))).to.contain("no certificate for the key");
    await bootstrapProxy(command("vm", { replaceKey: true }));
  });

  it("is renewed at half its life by the watcher, a new one included, and fetched by reading alone", async () => {
    const before = file("vm", "client.crt");
    const again = (): Promise<string> =>
      waitFor("another certificate", async () => {
        const { status } = await read("vm");
        return status?.proxy?.certificate === before ? undefined : status?.proxy?.certificate;
      });
    keeper.stop();
    ahead = 9 * HOUR;
    keeper = startKeeper();
    await declare("later", { publicKey: newPublicKey() });
    await waitFor("the later one", async () => (await read("later")).status?.proxy);
    expect((await read("vm")).status?.proxy?.certificate, "long before half of its life").to.equal(before);
    keeper.stop();
    ahead = 13 * HOUR;
    keeper = startKeeper();
    const renewed = await again();
    const reader = { get: kube.get.bind(kube), mergePatch: () => Promise.reject(new Error("reads only")) };
    await renewProxy({ ...command("vm"), kube: reader });
    expect(file("vm", "client.crt")).to.equal(renewed);
    ahead = 0;
  });

  it("is issued anew for an object made anew, and for another key", async () => {
    await declare("twice", { publicKey: newPublicKey() });
    const issued = (other?: string): Promise<string> =>
      waitFor("a certificate", async () => {
        const found = (await read("twice")).status?.proxy?.certificate;
        return found === other ? undefined : found;
      });
    const first = await issued();
    const publicKey = newPublicKey();
    await kube.mergePatch(at("twice"), { spec: { publicKey } });
    const second = await issued(first);
    const own = new X509Certificate(second).publicKey.export({ type: "spki", format: "der" });
    expect(own.toString("base64")).to.equal(publicKey);
    await kube.delete(at("twice"));
    await declare("twice", { publicKey });
    const third = await issued();
    expect(new X509Certificate(third).subjectAltName).to.contain((await read("twice")).metadata.uid);
    expect(third).to.not.equal(second);
  });

  it("declares its key though others write to the object at the same time, and gives up in the end", async () => {
    await declare("busy");
    let disturbances = 0;
    const disturbing = (times: number): BootstrapCommand["kube"] => ({
      get: async <T>(at: string): Promise<T> => {
        const object = await kube.get<T>(at);
        if (disturbances < times) {
          disturbances += 1;
          await kube.mergePatch(at, { metadata: { labels: { busy: `${times}-${disturbances}` } } });
        }
        return object;
      },
      mergePatch: kube.mergePatch.bind(kube),
    });
    expect(await failure(bootstrapProxy(command("busy", { kube: disturbing(100) })))).to.contain("modified");
    expect((await read("busy")).spec.publicKey).to.equal(undefined);
    disturbances = 0;
    await bootstrapProxy(command("busy", { kube: disturbing(4) }));
    expect(disturbances).to.equal(4);
    expect(file("busy", "client.crt")).to.contain("BEGIN CERTIFICATE");
  });

  it("replaces what somebody else has written into the status", async () => {
    await declare("forged", { publicKey: newPublicKey() });
    const issued = (): Promise<string> =>
      waitFor("a certificate", async () => {
        const found = (await read("forged")).status?.proxy?.certificate;
        return found === undefined || found === "forged" ? undefined : found;
      });
    await issued();
    await kube.mergePatch(`${at("forged")}/status`, { status: { proxy: { certificate: "forged" } } });
    expect(new X509Certificate(await issued()).subjectAltName).to.contain(":forged:");
  });

  it("says what there is to mend", async () => {
    expect(await failure(bootstrapProxy(command("nobody")))).to.equal(
      "there is no ExternalWorkload default/nobody",
    );
    expect(await failure(renewProxy(command("nobody")))).to.contain("osm proxy bootstrap");
    expect(await failure(renewProxy({ ...command("vm"), workload: "vm" }))).to.equal(
      "vm is not NAMESPACE/NAME",
    );
    await declare("waiting");
    keeper.stop();
    expect(await failure(bootstrapProxy(command("waiting", { waitMs: 0 })))).to.contain("is it running?");
    keeper = startKeeper();
    await bootstrapProxy(command("waiting"));
    writeFileSync(path.join(folder, "waiting", "client.crt"), "lost");
    await renewProxy(command("waiting"));
    expect(file("waiting", "client.crt")).to.contain("BEGIN CERTIFICATE");
  });

  const wrong: readonly (readonly [string, object, string])[] = [
    ["no address", { addresses: [] }, "addresses"],
    ["a name for an address", { addresses: ["vm.example"] }, "IPv4 or IPv6"],
    ["loopback", { addresses: ["127.0.0.1"] }, "machine"],
    ["two of one family", { addresses: ["192.0.2.1", "192.0.2.2"] }, "one address of each family"],
    ["a key of another kind", { publicKey: "MCowBQYDK2VwAyEA" }, "P-256"],
    ["a key written in another way", { publicKey: newPublicKey().replace(/.==$/, "/==") }, "P-256"],
  ];
  for (const [what, spec, words] of wrong) {
    it(`is refused by its schema: ${what}`, async () => {
      expect(await failure(declare("wrong", spec))).to.contain(words);
    });
  }

  it("keeps its identity: the account cannot be changed", async () => {
    const change = kube.mergePatch(at("vm"), { spec: { serviceAccountName: "bank" } });
    expect(await failure(change)).to.contain("cannot be changed");
  });
});
