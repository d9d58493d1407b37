import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import type { KubeObject } from "../../src/runtime/kube";
import { ANNOTATION_INJECTION, LABEL_IGNORE, LABEL_MONITORED_BY } from "../../src/model/mesh-words";
import { cliCluster, type CliCluster } from "../support/cli-cluster";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const ANNOTATION_METRICS = "openservicemesh.io/metrics";

/** The admission Deployment as an installation leaves it, as far as the command reads it. */
function controlPlane(
  env: Readonly<Record<string, string>>,
  name = "pepr-osm",
): KubeObject & { spec: unknown } {
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "pepr-system", labels: { ...labels, meshName: "classic" } },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [
            {
              name: "server",
              image: "example.org/mesh/osm-controller:v1.2.4",
              env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
            },
          ],
        },
      },
    },
  };
}

describe("osm namespace, metrics, mesh and version against a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let cli: CliCluster;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    cli = cliCluster(server);
    for (const name of ["shop", "bank", "left-alone", "pepr-system", "osm-system"]) {
      await kube.create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    }
  });
  after(async () => {
    cli.remove();
    kube.close();
    await server.stop();
  });
  const marks = async (name: string): Promise<readonly unknown[]> => {
    const { metadata } = await kube.get<KubeObject>(`/api/v1/namespaces/${name}`);
    return [
      metadata.labels?.[LABEL_MONITORED_BY],
      metadata.annotations?.[ANNOTATION_INJECTION],
      metadata.labels?.[LABEL_IGNORE],
      metadata.annotations?.[ANNOTATION_METRICS],
    ];
  };
  const no = undefined;

  it("adds before there is a mesh, and warns", async () => {
    const { code, stdout, stderr } = await cli.osm(["namespace", "add", "shop", "bank"]);
    expect(code, stderr).to.equal(0);
    expect(stdout).to.equal(
      "Namespace [shop] successfully added to mesh [osm]\nNamespace [bank] successfully added to mesh [osm]\n",
    );
    expect(stderr).to.match(/^Warning: no mesh runs in this cluster yet/);
    expect(await marks("shop")).to.deep.equal(["osm", "enabled", no, no]);
    expect(await cli.must(["mesh", "list"])).to.equal("No mesh runs in this cluster.\n");
  });

  it("says what pods must be made anew", async () => {
    const containers = [{ name: "web", image: "web" }];
    const metadata = { name: "web", namespace: "shop" };
    await kube.create("/api/v1/namespaces/shop/pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata,
      spec: { containers },
    } as KubeObject);
    expect(await cli.must(["ns", "add", "shop", "--enable-sidecar-injection"])).to.contain(
      "1 of its pods have no sidecar yet: kubectl -n shop rollout restart deployment",
    );
  });

  it("lists meshes, also Open Service Mesh's own, with their namespaces", async () => {
    const path = "/apis/apps/v1/namespaces/pepr-system/deployments";
    await kube.create(path, controlPlane({ OSM_MESH_NAME: "osm", OSM_NAMESPACE: "osm-system" }));
    await kube.create(path, controlPlane({}, "osm-controller"));
    const { meshes } = JSON.parse(await cli.must(["mesh", "list", "-o", "json"])) as {
      meshes: Readonly<Record<string, unknown>>[];
    };
    expect(meshes).to.have.length(2);
    expect(meshes[0]).to.deep.include({ name: "osm", namespace: "osm-system", namespaces: ["bank", "shop"] });
    expect(meshes[1]).to.deep.include({ name: "classic", product: "osm", version: "v1.2.4" });
    const table = await cli.must(["mesh", "list", "--mesh-name", "osm"]);
    expect(table).to.match(/^MESH NAME +MESH NAMESPACE +VERSION +READY +ADDED NAMESPACES\nosm +osm-system /);
    expect(table).to.match(/TrafficSplit +split\.smi-spec\.io\/v1alpha2/);
    expect(await cli.must(["version"])).to.match(/^CLI Version: \d+\.\d+\.\d+\n\nMESH NAME/);
    expect(await cli.must(["version", "--client-only"])).to.match(/^CLI Version: \d+\.\d+\.\d+\n$/);
    expect(await cli.must(["version", "--version-only"])).to.match(/^\d+\.\d+\.\d+\n$/);
  });

  it("keeps out what does not belong into the mesh, and then changes nothing", async () => {
    await cli.must(["namespace", "ignore", "left-alone"]);
    const refused: readonly (readonly [readonly string[], string])[] = [
      [["add", "osm-system"], "namespace osm-system cannot be added: it belongs to a control plane"],
      [["add", "nowhere"], "there is no namespace nowhere"],
      [["add", "left-alone"], `its label ${LABEL_IGNORE} keeps it out`],
      [
        ["add", "shop", "--mesh-name", "other"],
        "mesh other does not run in this cluster (osm, classic does)",
      ],
      [["add", "shop", "--mesh-name", "classic"], "to mesh classic: it belongs to mesh osm"],
      [["remove", "shop", "--mesh-name", "classic"], "namespace shop belongs to mesh osm, not to classic"],
      [["remove", "left-alone"], "namespace left-alone belongs to no mesh"],
    ];
    for (const [args, words] of refused) {
      const { code, stderr } = await cli.osm(["namespace", ...args]);
      expect([code, stderr.split("\n").length], args.join(" ")).to.deep.equal([1, 2]);
      expect(stderr).to.contain(words);
    }
    const both = ["ns", "add", "shop", "--enable-sidecar-injection", "--disable-sidecar-injection"];
    expect((await cli.osm(both)).code).to.equal(2);
    expect(await marks("shop")).to.deep.equal(["osm", "enabled", no, no]);
    expect(await marks("osm-system")).to.deep.equal([no, no, no, no]);
  });

  it("switches metrics, lists, and takes namespaces out without a trace", async () => {
    await cli.must(["namespace", "add", "bank", "--disable-sidecar-injection"]);
    await cli.must(["metrics", "enable", "--namespace", "shop,bank"]);
    expect(await cli.must(["namespace", "list"])).to.equal(
      [
        "NAMESPACE   MESH   SIDECAR-INJECTION   METRICS",
        "bank        osm    disabled            enabled",
        "shop        osm    enabled             enabled",
        "",
      ].join("\n"),
    );
    const outside = await cli.osm(["metrics", "enable", "--namespace", "left-alone"]);
    expect(outside.stderr).to.equal(
      "Error: namespace left-alone belongs to no mesh: osm namespace add left-alone\n",
    );
    await cli.must(["metrics", "disable", "--namespace", "bank"]);
    expect(await marks("bank")).to.deep.equal(["osm", "disabled", no, no]);
    await cli.must(["namespace", "remove", "shop"]);
    await cli.must(["namespace", "remove", "bank"]);
    expect([await marks("shop"), await marks("bank")]).to.deep.equal([
      [no, no, no, no],
      [no, no, no, no],
    ]);
    expect(await cli.must(["namespace", "list"])).to.equal("No namespaces in a mesh.\n");
  });

  it("reports whole namespaces, or all of the mesh", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-report-"));
    const file = path.join(folder, "report.tar.gz");
    const reported = async (...args: readonly string[]): Promise<readonly string[]> => {
      await cli.must(["support", "bug-report", ...args, "-o", file]);
      const names = execFileSync("tar", ["tzf", file], { encoding: "utf8" }).split("\n");
      return names.filter(name => /^namespaces\/[^/]+\/pods\.txt$/.test(name)).sort();
    };
    await cli.must(["namespace", "add", "shop", "bank"]);
    expect(await reported("--app-namespaces", "left-alone")).to.deep.equal([
      "namespaces/left-alone/pods.txt",
    ]);
    expect(await reported("--all")).to.deep.equal(["namespaces/bank/pods.txt", "namespaces/shop/pods.txt"]);
    rmSync(folder, { recursive: true });
  });

  it("says in one line what the API server refuses", async () => {
    const env = { KUBECONFIG: "/nonexistent" };
    expect((await cli.osm(["version"], { env })).stderr).to.match(/^Error: no cluster: .*\n$/);
    const { stderr, code } = await cli.osm(["version", "--context", "other"]);
    expect([code, stderr]).to.deep.equal([1, 'Error: kubeconfig has no context "other"\n']);
  });
});
