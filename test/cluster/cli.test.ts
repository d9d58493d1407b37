import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { buildCommand } from "../../hack/osm/build";
import { osm, type Ended } from "../support/cli";
import { ClientPod, fetchText } from "./support/client-pod";
import { deployment, HTTP_PORT, service, TCP_PORT } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { OsmProcess } from "./support/osm-process";
import { Viewer } from "./support/viewer";

/** Lets pods of the Service itself in without the mesh: they stand for an ingress controller. */
const frontOf = (namespace: string): object => ({
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "IngressBackend",
  metadata: { name: "front" },
  spec: {
    backends: [{ name: "server", port: { number: HTTP_PORT, protocol: "http" } }],
    sources: [{ kind: "Service", name: "server", namespace }],
  },
});

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
      // Labelled as Grafana's pods are.
      deployment("osm-grafana", { program: "server-app" }),
    ];
    await shop.apply(...apps, service("server"), frontOf(shop.name));
    await shop.rolledOut("server", "client", "osm-grafana");
    client = (await shop.readyPod("client")).metadata.name;
    server = (await shop.readyPod("server")).metadata.name;
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  it("shows every proxy of the namespace by name, and that it has the current configuration", async () => {
    const current = await until("the status of all proxies", 120_000, async () => {
      const { code, stdout } = await run("status", "-n", shop.name, "-o", "json");
      if (code !== 0) return undefined;
      const { proxies } = JSON.parse(stdout) as {
        proxies: { pod: string; replica?: string; lateSince?: number; problems: string[] }[];
      };
      const isCurrent = (proxy: (typeof proxies)[number]): boolean =>
        proxy.replica !== undefined && proxy.lateSince === undefined && proxy.problems.length === 0;
      const names = proxies.filter(isCurrent).map(({ pod }) => pod);
      return names.length === 3 ? names.sort() : undefined;
    });
    expect(current).to.include.members([`${shop.name}/${client}`, `${shop.name}/${server}`]);
    const well = await must("status", "-n", shop.name, "--problems", "-o", "json");
    expect((JSON.parse(well) as { proxies: unknown[] }).proxies).to.deep.equal([]);
    // Other pods of the cluster may be on their way out: then it says which.
    const checked = await run("status", "--check");
    expect(checked.code).to.equal(checked.stdout.includes("All is well.") ? 0 : 1);
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
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-proxy-"));
    const file = path.join(folder, "answer");
    const into = [client, "-n", shop.name, "--file", file, "--local-port", "15000"];
    expect(await must("proxy", "get", "server_info", ...into)).to.equal("");
    expect(readFileSync(file, "utf8")).to.contain('"state": "LIVE"');
    expect(await must("proxy", "set", "logging?level=error", ...into)).to.equal("");
    expect(readFileSync(file, "utf8")).to.contain("main: error");
    rmSync(folder, { recursive: true });
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

  it("verifies that a host outside may be called, and says which object lets it out", async () => {
    const from = ["verify", "connectivity", "--from-pod", `${shop.name}/${client}`];
    const said = await must(...from, "--to-ext-host", "www.example.org", "--to-ext-port", "443");
    expect(said).to.match(/out to https:\/\/www\.example\.org:443: .*MeshConfig osm-system\/\S+/);
    expect(said).to.match(/Status: Success\n$/);
    const plain = ["--to-ext-host", "192.0.2.7", "--to-ext-port", "5432", "--app-protocol", "tcp"];
    expect(await must(...from, ...plain)).to.contain("tcp://192.0.2.7:5432");
    const half = await run(...from, "--to-ext-host", "www.example.org");
    expect([half.code, half.stderr]).to.deep.equal([
      2,
      "Error: --to-ext-host and --to-ext-port belong together\n",
    ]);
  });

  it("verifies that an IngressBackend lets callers in to a pod, and says what is wrong with another", async () => {
    const to = ["verify", "ingress", "--to-pod", `${shop.name}/${server}`, "--ingress-backend"];
    const whole = ["--to-service", "server", "--to-port", String(HTTP_PORT)];
    const accepted = ["--from-service", `${shop.name}/server`, "--app-protocol", "http"];
    await until("the IngressBackend in force", 120_000, async () => {
      const { code } = await run(...to, "front", ...whole, ...accepted);
      return code === 0 ? true : undefined;
    });
    expect(await must(...to, "front", ...whole)).to.match(/Status: Success\n$/);
    const port = await run(...to, "front", "--to-service", "server", "--to-port", "1");
    expect([port.code, port.stdout.includes("spec.backends holds no server with port 1")]).to.deep.equal([
      1,
      true,
    ]);
    const none = await run(...to, "nowhere");
    expect([none.code, none.stdout.includes("there is none")]).to.deep.equal([1, true]);
  });

  it("opens Grafana by a port of this machine, as OSM's dashboard did", async () => {
    const where = [
      "dashboard",
      "--grafana",
      "--no-open-browser",
      "--osm-namespace",
      shop.name,
      "--local-port",
      "0",
    ];
    const grafana = await OsmProcess.start(
      [...where, "--remote-port", String(HTTP_PORT)],
      mesh.cluster.kubeconfig,
    );
    try {
      expect(await fetchText(grafana.line)).to.contain("osm-grafana-");
    } finally {
      expect(await grafana.interrupt()).to.equal(0);
    }
    const none = await run("dashboard", "--grafana", "--osm-namespace", "default");
    expect([none.code, none.stderr]).to.deep.equal([
      1,
      "Error: no Grafana runs in namespace default (pods with label app=osm-grafana)\n",
    ]);
  });

  it("lists the mesh with its version, and tells who was refused", async () => {
    expect(await must("mesh", "list")).to.match(/^osm +osm-system +\d+\.\d+\.\d+ /m);
    const closed = "openservicemesh.io/permissive-traffic-policy-mode=disabled";
    await mesh.kubectl.must(["annotate", "namespace", shop.name, closed]);
    const { podIP } = (await shop.readyPod("client")).status;
    const caller = new ClientPod(podIP);
    // Sidecars write their logs every ten seconds.
    const [request, connection] = await until("refusals of both ports in the log", 120_000, async () => {
      for (const port of [HTTP_PORT, TCP_PORT]) await caller.get(`http://server.${shop.name}:${port}/`);
      const { stdout } = await run("logs", "--denied", "-n", shop.name, "-o", "json");
      const found = JSON.parse(stdout) as Record<"pod" | "caller" | "request" | "flags", string>[];
      const both = ["GET ", "TCP "].map(how => found.find(one => one.request.startsWith(how)));
      return both.every(one => one !== undefined) ? both : undefined;
    });
    expect(request).to.deep.include({ pod: server, code: 403, flags: "-" });
    expect(connection).to.deep.include({ pod: server, code: 0, flags: "NC" });
    expect(connection?.request).to.equal(`TCP server.${shop.name}.svc.cluster.local`);
    const identity = `spiffe://cluster.local/ns/${shop.name}/sa/default`;
    expect([request?.caller, connection?.caller]).to.deep.equal([identity, identity]);
    expect(await must("logs", "--denied", "-n", shop.name, "--since", "10m")).to.match(
      /^TIME +REFUSED BY +CALLER +REQUEST +CODE +FLAGS +WHY$/m,
    );
  });

  it("shows the mesh to who has the Role of the guide and nothing else, and refuses him the rest in one line", async () => {
    const viewer = await Viewer.create(mesh, shop.name);
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-viewer-"));
    try {
      const env = { ...process.env, KUBECONFIG: viewer.kubeconfig };
      const status = await osm(["status", "-n", shop.name], { env });
      expect([status.code, status.stderr]).to.deep.equal([0, ""]);
      expect(status.stdout).to.contain(`${shop.name}/${server}`);
      // Its page is built with the command.
      const program = await buildCommand(folder);
      const dashboard = await OsmProcess.start(
        ["dashboard", "--no-open-browser"],
        viewer.kubeconfig,
        program,
      );
      try {
        for (const page of ["status", "topology"])
          expect(JSON.parse(await fetchText(`${dashboard.line}api/${page}`)), page).to.be.an("object");
      } finally {
        await dashboard.interrupt();
      }
      const others = [
        ["namespace", "add", "default"],
        ["namespace", "list"],
        ["metrics", "enable", "--namespace", shop.name],
        ["proxy", "get", "config_dump", client, "-n", shop.name],
        ["logs", "--denied", "-n", shop.name],
        ["explain", "--from", `${client}.${shop.name}`, "--to", "server"],
        ["plan", "--delete", `IngressBackend/${shop.name}/front`],
        ["wait", `IngressBackend/${shop.name}/front`, "--timeout", "1s"],
        ["alpha", "certificate", "rotate", "-c", "any", "-y"],
      ];
      for (const args of others) {
        const { code, stdout, stderr } = await osm(args, { env });
        expect([code, stdout], args.join(" ")).to.deep.equal([1, ""]);
        expect(stderr, args.join(" ")).to.match(/^Error: [^\n]*(forbidden|may not)[^\n]*\n$/);
      }
      await viewer.loseRights();
      // The API server takes a moment to forget his rights, one after the other.
      const refusal =
        /^Error: you may not list pods in namespace pepr-system: ask for the Role of docs\/guides\/dashboard\.md\n$/;
      await until("the end of his rights", 60_000, async () => {
        const ended = await osm(["status"], { env });
        expect([ended.code, ended.stderr.match(refusal)?.length]).to.deep.equal([1, 1], ended.stderr);
        return true;
      });
    } finally {
      await viewer.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("gathers a report without secrets", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-report-"));
    const file = path.join(folder, "report.tar.gz");
    const parts = [
      "--app-pods",
      `${shop.name}/${client}`,
      "--app-deployments",
      `${shop.name}/server`,
      "--ingress",
    ];
    await must("support", "bug-report", ...parts, "-o", file);
    const text = gunzipSync(readFileSync(file)).toString("latin1");
    for (const pod of [client, server])
      expect(text).to.contain(`namespaces/${shop.name}/${pod}/config_dump.txt`);
    expect(text).to.contain(`ingress/${shop.name}/server/${server}/app.log`);
    expect(text).to.not.contain("PRIVATE KEY-----");
    // Of others' namespaces, something may be on its way out.
    const failed = [...text.matchAll(/[\w./-]+\.failed\0/g)].map(([name]) => name);
    expect(
      failed.filter(name => /control-plane|objects/.test(name) || name.includes(shop.name)),
    ).to.deep.equal([]);
    rmSync(folder, { recursive: true });
  });
});
