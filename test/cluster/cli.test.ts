import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { osm, type Ended } from "../support/cli";
import { ClientPod } from "./support/client-pod";
import { deployment, HTTP_PORT, service } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";

/** What needs pods; all else is shown against a bare API server (test/api/cli-*). */
describe("the osm command on the real cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let client: string;
  let server: string;
  const run = (...args: readonly string[]): Promise<Ended> =>
    osm(args, { env: { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig } });
  const must = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    expect(code, `${args.join(" ")}: ${stderr}${stdout}`).to.equal(0);
    return stdout;
  };

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "cli", true);
    const apps = [
      deployment("server", { program: "server-app" }),
      deployment("client", { program: "client-app" }),
    ];
    await shop.apply(...apps, service("server"));
    await shop.rolledOut("server", "client");
    client = (await shop.readyPod("client")).metadata.name;
    server = (await shop.readyPod("server")).metadata.name;
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  it("shows every proxy of the namespace by name, and that it has the current configuration", async () => {
    const current = await until("the status of both proxies", 120_000, async () => {
      const { code, stdout } = await run("status", "-n", shop.name, "-o", "json");
      if (code !== 0) return undefined;
      const { proxies } = JSON.parse(stdout) as {
        proxies: { pod: string; replica?: string; lateSince?: number; problems: string[] }[];
      };
      const isCurrent = (proxy: (typeof proxies)[number]): boolean =>
        proxy.replica !== undefined && proxy.lateSince === undefined && proxy.problems.length === 0;
      const names = proxies.filter(isCurrent).map(({ pod }) => pod);
      return names.length === 2 ? names.sort() : undefined;
    });
    expect(current).to.deep.equal([`${shop.name}/${client}`, `${shop.name}/${server}`].sort());
    expect(await must("status", "-n", shop.name))
      .to.contain(client)
      .and.to.contain(server);
  });

  it("asks a sidecar's Envoy, which no port leads to, and changes its log level", async () => {
    const dump = JSON.parse(await must("proxy", "get", "config_dump", client, "-n", shop.name)) as {
      configs: unknown[];
    };
    expect(dump.configs.length).to.be.greaterThan(2);
    const changed = await must("proxy", "set", "logging?level=error", client, "-n", shop.name);
    expect(changed).to.contain("main: error");
    const { code, stderr } = await run("proxy", "get", "nonsense", client, "-n", shop.name);
    expect([code, stderr.split("\n").length]).to.deep.equal([1, 2]);
    expect(stderr).to.contain(`Envoy of pod ${shop.name}/${client} answers /nonsense with 404`);
    expect((await run("proxy", "get", "ready", "no-such", "-n", shop.name)).stderr).to.equal(
      'Error: pods "no-such" not found\n',
    );
  });

  it("verifies the control plane and a connection, and says what is in the way of another", async () => {
    expect(await must("verify", "control-plane-health")).to.match(/Status: Success\n$/);
    const from = ["verify", "connectivity", "--from-pod", `${shop.name}/${client}`];
    await until("the connection", 60_000, async () => {
      const { code } = await run(...from, "--to-pod", `${shop.name}/${server}`, "--to-service", "server");
      return code === 0 ? true : undefined;
    });
    const wrong = await run(...from, "--to-service", "nowhere");
    expect([wrong.code, wrong.stdout.includes("Status: Failure")]).to.deep.equal([1, true]);
    expect(wrong.stdout).to.contain(`knows service ${shop.name}/nowhere: no listener for it`);
  });

  it("lists the mesh with its version, and tells who was refused", async () => {
    expect(await must("mesh", "list")).to.match(/^osm +osm-system +\d+\.\d+\.\d+ /m);
    const closed = "openservicemesh.io/permissive-traffic-policy-mode=disabled";
    await mesh.kubectl.must(["annotate", "namespace", shop.name, closed]);
    const { podIP } = (await shop.readyPod("client")).status;
    const caller = new ClientPod(podIP);
    const url = `http://server.${shop.name}:${HTTP_PORT}/`;
    const denied = await until("a refusal in the log", 120_000, async () => {
      await caller.get(url);
      const { stdout } = await run("logs", "--denied", "-n", shop.name, "-o", "json");
      const found = JSON.parse(stdout) as { pod: string; caller: string; code: number }[];
      return found[0];
    });
    expect(denied).to.deep.include({ pod: server, code: 403 });
    expect(denied.caller).to.contain(`/ns/${shop.name}/sa/`);
  });

  it("gathers a report without secrets", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-report-"));
    const file = path.join(folder, "report.tar.gz");
    await must("support", "bug-report", "--app-pods", `${shop.name}/${client}`, "-o", file);
    const text = gunzipSync(readFileSync(file)).toString("latin1");
    expect(text).to.contain(`namespaces/${shop.name}/${client}/config_dump.txt`);
    expect(text).to.not.match(/PRIVATE KEY-----|\.failed\0/);
    rmSync(folder, { recursive: true });
  });
});
