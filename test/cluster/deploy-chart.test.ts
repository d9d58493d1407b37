import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { buildChart } from "../../hack/chart/build";
import { chartValues, defaultTree } from "../../hack/chart/values";
import { ensureCluster, ensureHelm, kubectl } from "../../hack/cluster/index";
import { toStderr } from "../../hack/cluster/progress";
import { run, type RunResult } from "../../hack/cluster/shell";
import { MODULE, WATCHER } from "../../src/install/names";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { buildModule } from "./support/module";

const NAMESPACE = "pepr-system";

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly webhooks?: unknown[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

const documents = (text: string): Rendered[] =>
  parseAllDocuments(text)
    .map(document => document.toJS() as Rendered | null)
    .filter(object => object !== null);

describe("Helm chart of the real build", function () {
  this.timeout(600_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-chart-"));
  const chart = path.join(folder, "osm-pepr");
  let helm: string;
  let built: readonly Rendered[];
  let image: string;

  const template = async (...settings: string[]): Promise<{ code: number; out: string; error: string }> => {
    const flags = settings.flatMap(setting => ["--set", setting]);
    const result = await run(helm, ["template", "release", chart, "--kube-version", "1.34.0", ...flags]);
    return { code: result.code, out: result.stdout, error: result.stderr };
  };

  before(async () => {
    helm = await ensureHelm(toStderr);
    const manifest = await buildModule(folder);
    buildChart(manifest, chart, "1.2.3");
    built = documents(readFileSync(manifest, "utf8"));
    const { osm } = parse(readFileSync(path.join(chart, "values.yaml"), "utf8")) as {
      osm: { controllerImage: string };
    };
    image = osm.controllerImage;
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it("passes helm lint, and its values are the documented defaults", async () => {
    const lint = await run(helm, ["lint", "--strict", chart]);
    expect(lint.code, lint.stdout).to.equal(0);
    const values: unknown = parse(readFileSync(path.join(chart, "values.yaml"), "utf8"));
    expect(values).to.deep.equal(defaultTree(chartValues(image)));
  });

  it("renders Deployments in their final shape, so that the mesh changes nothing in them", async () => {
    const settings = [
      "osm.controller.replicas=3",
      "osm.imagePullSecrets[0].name=pull",
      "osm.enableEgress=false",
    ];
    const { out, error } = await template(...settings);
    expect(error).to.equal("");
    const specs = documents(out)
      .filter(({ kind }) => kind === "Deployment")
      .map(({ metadata, spec }) => [metadata.name, spec] as const);
    const { "pepr-osm": admission, "pepr-osm-watcher": watcher } = Object.fromEntries(specs);
    expect(admission).to.have.property("replicas", 3);
    expect(watcher).to.have.property("replicas", 1);
    expect(admission).to.have.nested.property("template.spec.terminationGracePeriodSeconds", 15);
    expect(admission).to.have.nested.property("template.spec.imagePullSecrets[0].name", "pull");
    const container = "template.spec.containers[0]";
    expect(admission).to.have.nested.property(`${container}.image`, image);
    expect(admission).to.have.nested.property(`${container}.resources.limits.cpu`, "1");
    expect(admission).to.have.nested.property(`${container}.startupProbe.failureThreshold`, 120);
    for (const variable of [
      { name: "OSM_EGRESS", value: "false" },
      { name: "PEPR_WATCH_MODE", value: "false" },
    ]) {
      expect(admission).to.have.nested.property(`${container}.env`).that.deep.includes(variable);
    }
  });

  it("brings no key and no webhook of Pepr's", async () => {
    const key = built.find(({ metadata }) => metadata.name === `${MODULE}-tls`)?.data?.["tls.key"] ?? "";
    expect(key.length).to.be.greaterThan(100);
    const { out } = await template();
    expect(out).to.not.include(key);
    expect(
      documents(out).find(({ kind }) => kind === "MutatingWebhookConfiguration")?.webhooks,
    ).to.deep.equal([]);
  });

  it("has all objects of the build", async () => {
    const { out } = await template();
    const names = (objects: readonly Rendered[]): string[] =>
      objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(names(documents(out))).to.have.members(names(built));
  });

  it("is taken by the API server of the cluster that the mesh runs in", async () => {
    const { kubeconfig } = await ensureCluster(toStderr);
    const { out } = await template();
    const taken = await kubectl(
      ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "name", "-f", "-"],
      {
        kubeconfig,
        input: out,
      },
    );
    expect(taken.trim().split("\n")).to.have.length(built.length);
  });

  const wrong = [
    "osm.controler.replicas=3",
    "osm.controller.replicas=0",
    "osm.envoyLogLevel=loud",
    "osm.meshName=My Mesh",
  ];
  for (const setting of wrong) {
    it(`refuses ${setting}`, async () => {
      const { code, error } = await template(setting);
      expect(code).to.not.equal(0);
      expect(error).to.include("osm");
    });
  }

  describe("on an API server without a mesh", () => {
    const SETTINGS = [
      "osm.meshName=shop",
      "osm.trustDomain=example.org",
      "osm.enablePermissiveTrafficPolicy=false",
      "osm.controller.replicas=4",
      "osm.controller.resources.limits.memory=2Gi",
      "osm.controller.nodeSelector.disk=fast",
    ];
    let server: TestApiServer;
    let kube: ClosableKubeClient;
    const helmThere = (...args: string[]): Promise<RunResult> => {
      const ca = path.join(folder, "ca.crt");
      writeFileSync(ca, server.ca);
      const where = [`--kube-apiserver=https://127.0.0.1:${server.port}`, `--kube-ca-file=${ca}`];
      return run(helm, [...args, ...where, `--kube-token=${server.token}`, "--namespace", "default"]);
    };
    const deployment = (name: string): Promise<Rendered> =>
      kube.get<Rendered>(`/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`);

    before(async () => {
      server = await startApiServerForTest();
      kube = server.client();
    });
    after(async () => {
      kube.close();
      await server.stop();
    });

    it("is installed, and what a user sets is in what is stored", async () => {
      const flags = SETTINGS.flatMap(setting => ["--set", setting]);
      const installed = await helmThere("install", "release", chart, ...flags);
      expect(installed.code, installed.stderr).to.equal(0);
      const pod = "template.spec";
      for (const name of [MODULE, WATCHER]) {
        const { spec } = await deployment(name);
        expect(spec).to.have.property("replicas", name === MODULE ? 4 : 1);
        expect(spec).to.have.nested.property(`${pod}.nodeSelector.disk`, "fast");
        expect(spec).to.have.nested.property(`${pod}.containers[0].resources.limits.memory`, "2Gi");
        const environment = [
          { name: "OSM_MESH_NAME", value: "shop" },
          { name: "OSM_TRUST_DOMAIN", value: "example.org" },
          { name: "OSM_PERMISSIVE", value: "false" },
        ];
        expect(spec)
          .to.have.nested.property(`${pod}.containers[0].env`)
          .that.deep.includes.members(environment);
      }
    });

    it("is upgraded to other values", async () => {
      const upgraded = await helmThere("upgrade", "release", chart, "--set", "osm.controller.replicas=2");
      expect(upgraded.code, upgraded.stderr).to.equal(0);
      expect((await deployment(MODULE)).spec).to.have.property("replicas", 2);
    });

    it("is uninstalled without a rest", async () => {
      const gone = await helmThere("uninstall", "release");
      expect(gone.code, gone.stderr).to.equal(0);
      const left = await deployment(MODULE).catch((error: unknown) => isNotFound(error));
      expect(left).to.equal(true);
    });
  });
});
