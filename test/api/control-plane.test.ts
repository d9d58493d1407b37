import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { bootstrapProxy } from "../../src/cli/proxy";
import { ADS_SAN } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import { TYPE_URLS } from "../../src/xds/resource";
import { BenchMesh } from "../bench/mesh";
import { AdsClient } from "../support/ads-client";
import { watchOutput } from "../support/told-errors";
import { waitFor } from "../support/wait";
import { kubeconfigOf } from "../support/kubeconfig";

const SERVICES = 1;
const LIMIT_MS = 60_000;

interface Ready {
  readonly ready: boolean;
  readonly adsPort: number;
  readonly healthPort: number;
}

interface Conditioned {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
  };
}

describe("npm run control-plane on a real API server", function () {
  this.timeout(4 * LIMIT_MS);
  let mesh: BenchMesh;
  let folder: string;
  const running: ChildProcess[] = [];
  const clients: AdsClient[] = [];
  const file = (name: string): string => path.join(folder, name);

  before(async () => {
    mesh = await BenchMesh.start();
    await mesh.growTo(SERVICES);
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-outside-"));
    const { port, ca, token } = mesh.api.server;
    writeFileSync(file("kubeconfig"), kubeconfigOf({ server: `https://127.0.0.1:${port}`, ca, token }));
  });
  after(async () => {
    for (const client of clients) client.close();
    await Promise.all(running.map(end));
    await mesh.api.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const end = async (child: ChildProcess): Promise<number | null> => {
    if (child.exitCode !== null) return child.exitCode;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const [code] = (await gone) as [number | null];
    return code;
  };
  const start = async (...more: string[]): Promise<{ child: ChildProcess; ready: Ready }> => {
    const args = [
      "--kubeconfig",
      file("kubeconfig"),
      "--ads-address",
      "127.0.0.1:0",
      "--root-file",
      file("root.pem"),
      ...more,
    ];
    const child = spawn(process.execPath, ["--import", "tsx", "hack/control-plane/main.ts", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.push(child);
    const said: string[] = [];
    const watch = watchOutput("control plane");
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said.push(text);
      watch(text);
    });
    const gone = once(child, "exit").then(([code]) => {
      throw new Error(`the process ended with ${String(code)} before it was ready:\n${said.join("")}`);
    });
    gone.catch(() => undefined);
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), gone])) as [string];
    return { child, ready: JSON.parse(line) as Ready };
  };
  const proxy = (
    port: number,
    proof: Pick<ConstructorParameters<typeof AdsClient>[0], "token" | "certificate">,
  ): AdsClient => {
    const root = readFileSync(file("root.pem"), "utf8");
    const client = new AdsClient({ address: `127.0.0.1:${port}`, root, serverName: ADS_SAN, ...proof });
    clients.push(client);
    client.send({ typeUrl: TYPE_URLS.cluster });
    client.send({ typeUrl: TYPE_URLS.listener });
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: ["service-cert"] });
    return client;
  };
  const holds = (client: AdsClient, type: string, count = 1): boolean =>
    (client.held.get(type)?.size ?? 0) >= count;

  it("is ready when ADS is open, serves a pod by its token, writes status, and ends on SIGTERM", async () => {
    const { child, ready } = await start();
    const [token = ""] = mesh.tokens([0]);
    const client = proxy(ready.adsPort, { token });
    await waitFor(
      "listeners and a certificate",
      () => holds(client, TYPE_URLS.listener) && holds(client, TYPE_URLS.secret),
      LIMIT_MS,
    );
    const targets = "/apis/access.smi-spec.io/v1alpha3/namespaces/ns0/traffictargets";
    const account = { kind: "ServiceAccount", name: "s0", namespace: "ns0" };
    await mesh.api.kube.create(targets, {
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "all", namespace: "ns0" },
      spec: { destination: account, sources: [account] },
    });
    const accepted = await waitFor(
      "its status",
      async () => {
        const { status } = await mesh.api.kube.get<Conditioned>(`${targets}/all`);
        return status?.conditions?.find(({ type }) => type === "Accepted");
      },
      LIMIT_MS,
    );
    expect(accepted.status, accepted.message).to.equal("True");
    const metrics = await (await fetch(`http://127.0.0.1:${ready.healthPort}/metrics`)).text();
    expect(metrics).to.match(/^osm_proxy_connect_count 1$/m);
    expect(await end(child)).to.equal(0);
  });

  it("starts again beside what it left, and serves an external proxy by its certificate", async () => {
    const { child, ready } = await start();
    const { kube } = mesh.api;
    await kube.create("/apis/config.openservicemesh.io/v1alpha2/namespaces/ns0/externalworkloads", {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "ExternalWorkload",
      metadata: { name: "vm", namespace: "ns0" },
      spec: { serviceAccountName: "s0", addresses: ["192.0.2.7"] },
    });
    const setup = {
      adsAddress: `127.0.0.1:${ready.adsPort}`,
      folder: "/etc/osm",
      inboundExcludedPorts: [],
      outboundRanges: [],
      ipv6: false,
    };
    await bootstrapProxy({
      kube,
      clock: systemClock,
      workload: "ns0/vm",
      folder: file("vm"),
      say: () => undefined,
      setup,
    });
    const read = (name: string): string => readFileSync(path.join(file("vm"), name), "utf8");
    const client = proxy(ready.adsPort, {
      certificate: { certPem: read("client.crt"), keyPem: read("client.key") },
    });
    await waitFor(
      "listeners and a certificate",
      () => holds(client, TYPE_URLS.listener) && holds(client, TYPE_URLS.secret),
      LIMIT_MS,
    );
    const hooks = await kube.get<{ items: unknown[] }>(
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    );
    expect(hooks.items).to.deep.equal([]);
    expect(await end(child)).to.equal(0);
  });

  it("does not start beside the control plane of the cluster", async () => {
    const { kube } = mesh.api;
    const [namespace, name] = ["pepr-system", "pepr-osm-watcher"];
    await kube.create("/api/v1/namespaces", { metadata: { name: namespace } });
    const labels = { app: name };
    const template = { metadata: { labels }, spec: { containers: [{ name: "server", image: "none" }] } };
    await kube.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
      metadata: { name, namespace },
      spec: { replicas: 0, selector: { matchLabels: labels }, template },
    });
    const failed = await start().then(
      () => "it started",
      (error: unknown) => String(error),
    );
    expect(failed).to.contain("has a control plane already (Deployment pepr-system/pepr-osm-watcher)");
  });

  it("says in words what is wrong with how it is called", async () => {
    const child = spawn(
      process.execPath,
      ["--import", "tsx", "hack/control-plane/main.ts", "--ads-address", "nowhere"],
      {
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    running.push(child);
    const said: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => said.push(text));
    await once(child, "close");
    expect(said.join("")).to.contain("expected HOST:PORT, like 127.0.0.1:15128");
    expect(child.exitCode).to.equal(1);
  });
});
