import { expect } from "chai";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { buildChart, RELEASE_GATE, RELEASE_LIMIT } from "../../hack/chart/build";
import { chartValues, defaultTree } from "../../hack/chart/values";
import { ensureCluster, ensureHelm, kubectl } from "../../hack/cluster/index";
import { toStderr } from "../../hack/cluster/progress";
import { run, type RunResult } from "../../hack/cluster/shell";
import { sizedDeployment, type LiveDeployment } from "../../src/install/deployments";
import { MODULE, WATCHER } from "../../src/install/names";
import { readSettings } from "../../src/runtime/settings";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { report } from "./support/mesh";
import { buildModule } from "./support/module";

const NAMESPACE = "pepr-system";

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly webhooks?: unknown[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: object;
}

interface Ingress {
  readonly ports: readonly { readonly port: number }[];
  readonly from?: readonly object[];
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
    expect(admission).to.have.nested.property(`${container}.securityContext.readOnlyRootFilesystem`, true);
    const spread = "topologySpreadConstraints";
    expect(admission).to.have.nested.property(`template.spec.${spread}`).with.length(1);
    expect(watcher).to.not.have.nested.property(`template.spec.${spread}`);
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

  /** A setting that is wrong, and the word by which Helm has to name what is wrong with it. */
  const wrong: readonly (readonly [setting: string, named: string])[] = [
    ["osm.controler.replicas=3", "controler"],
    ["osm.controller.replicas=0", "replicas"],
    ["osm.controller.replicas=11", "replicas"],
    ["osm.envoyLogLevel=loud", "envoyLogLevel"],
    ["osm.controllerLogLevel=loud", "controllerLogLevel"],
    ["osm.meshName=My Mesh", "meshName"],
    ["osm.namespace=a.b", "namespace"],
    ["osm.trustDomain=Example", "trustDomain"],
    ["osm.sidecarImage=", "sidecarImage"],
    ["osm.enableEgress=perhaps", "enableEgress"],
    ["osm.imagePullSecrets[0].nam=pull", "nam"],
    ["osm.controller.resources.limits.cpu=much", "limits/cpu"],
    ["osm.controller.autoScale.maxReplicas=0", "maxReplicas"],
    ["osm.controller.autoScale.cpu.targetAverageUtilization=0", "targetAverageUtilization"],
    ["osm.controller.autoScale.memory.targetAverageUtilization=101", "targetAverageUtilization"],
    ["osm.controller.podLabels.app=mine", "propertyName 'app'"],
    ["osm.controller.tolerations[0].efect=NoSchedule", "efect"],
    ["osm.controller.affinity.nodeAfinity.x=y", "nodeAfinity"],
    ["osm.controller.topologySpreadConstraints[0].maxSkew=0", "maxSkew"],
    ["osm.networkPolicy.metrics[0].namespaceSelecter.x=y", "namespaceSelecter"],
  ];
  it("refuses what is no value, or out of bounds, by its name", async () => {
    const chartless = path.join(folder, "schema-only");
    cpSync(chart, chartless, { recursive: true });
    // The schema is looked at first; without templates and files each look is a tenth as long.
    for (const inner of ["templates", "files"]) rmSync(path.join(chartless, inner), { recursive: true });
    const look = (...flags: readonly string[]): Promise<RunResult> =>
      run(helm, ["template", "release", chartless, "--kube-version", "1.34.0", ...flags]);
    for (const [setting, named] of wrong) {
      const { code, stderr } = await look("--set", setting);
      expect(code, setting).to.not.equal(0);
      expect(stderr, setting).to.include("don't meet the specifications").and.include(named);
    }
    const fine = await look();
    expect(fine.code, fine.stderr).to.equal(0);
  });

  it("says of every value what it is, its type or its values, and its default", () => {
    for (const value of chartValues(image)) {
      const name = value.path.join(".");
      expect(value.comment, name).to.match(/^[A-Z].*\.$/);
      expect(Object.keys(value.schema), name).to.include("type");
    }
  });

  describe("on an API server without a mesh", () => {
    const SETTINGS = [
      "osm.meshName=shop",
      "osm.trustDomain=example.org",
      "osm.enablePermissiveTrafficPolicy=false",
      "osm.controller.replicas=4",
      "osm.controller.resources.limits.memory=2Gi",
      "osm.controller.nodeSelector.disk=fast",
      // Not as the API server stores it: nothing may come of that.
      "osm.controller.resources.limits.cpu=2000m",
      "osm.controller.podLabels.team=mesh",
      "osm.controller.priorityClassName=",
      "osm.controller.tolerations[0].operator=Exists",
      "osm.controller.affinity.podAntiAffinity=null",
      "osm.controller.topologySpreadConstraints=null",
      "osm.controller.autoScale.enable=true",
      "osm.controller.autoScale.memory.targetAverageUtilization=70",
      "osm.networkPolicy.enable=true",
      "osm.networkPolicy.apiServer[0].ipBlock.cidr=192.0.2.1/32",
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
        // The autoscaler decides how many; until then it is one.
        expect(spec).to.have.property("replicas", 1);
        expect(spec).to.have.deep.nested.property(`${pod}.nodeSelector`, {
          "kubernetes.io/os": "linux",
          disk: "fast",
        });
        expect(spec).to.have.deep.nested.property(`${pod}.tolerations`, [{ operator: "Exists" }]);
        expect(spec).to.have.nested.property("template.metadata.labels.team", "mesh");
        for (const none of ["priorityClassName", "topologySpreadConstraints"])
          expect(spec).to.not.have.nested.property(`${pod}.${none}`);
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

    it("brings the autoscaler and the network policy that were asked for", async () => {
      const scaler = await kube.get<Rendered>(
        `/apis/autoscaling/v2/namespaces/${NAMESPACE}/horizontalpodautoscalers/${MODULE}`,
      );
      const of = (name: string, averageUtilization: number): object => ({
        type: "Resource",
        resource: { name, target: { type: "Utilization", averageUtilization } },
      });
      expect(scaler.spec).to.deep.include({
        minReplicas: 2,
        maxReplicas: 5,
        metrics: [of("cpu", 80), of("memory", 70)],
      });
      const policy = await kube.get<{ spec: { ingress: readonly Ingress[] } }>(
        `/apis/networking.k8s.io/v1/namespaces/${NAMESPACE}/networkpolicies/${MODULE}`,
      );
      const ports = policy.spec.ingress.map(({ ports: [one], from }) => [one?.port, from?.length ?? "all"]);
      expect(ports).to.deep.equal([
        [15128, 1],
        [15129, 1],
        [3000, 1],
        [9091, "all"],
      ]);
      const labels = { "openservicemesh.io/monitored-by": "shop" };
      expect(policy.spec.ingress[0]?.from).to.deep.equal([{ namespaceSelector: { matchLabels: labels } }]);
    });

    it("is stored as the mesh wants it, whatever was set, so that the mesh writes nothing of it", async () => {
      for (const name of [MODULE, WATCHER]) {
        const live = (await deployment(name)) as unknown as LiveDeployment;
        const [container] = live.spec.template.spec.containers as unknown as readonly {
          readonly env: readonly { readonly name: string; readonly value: string }[];
        }[];
        const env = Object.fromEntries((container?.env ?? []).map(one => [one.name, one.value]));
        expect(sizedDeployment(live, readSettings(env, "/tmp").podSize), name).to.equal(undefined);
      }
    });

    it("keeps a release that leaves room in what Helm can keep", async () => {
      const secret = "/api/v1/namespaces/default/secrets/sh.helm.release.v1.release.v1";
      const { data } = await kube.get<{ data: { release: string } }>(secret);
      const length = Buffer.from(data.release, "base64").length;
      report(`the release takes ${((length / RELEASE_LIMIT) * 100).toFixed(1)} % of ${RELEASE_LIMIT} bytes`);
      expect(length / RELEASE_LIMIT).to.be.below(RELEASE_GATE);
    });

    it("is upgraded to other values", async () => {
      const upgraded = await helmThere("upgrade", "release", chart, "--set", "osm.controller.replicas=4");
      expect(upgraded.code, upgraded.stderr).to.equal(0);
      const { spec } = await deployment(MODULE);
      expect(spec).to.have.property("replicas", 4);
      expect(spec).to.have.nested.property("template.spec.priorityClassName", "system-node-critical");
    });

    it("is uninstalled without a rest", async () => {
      const gone = await helmThere("uninstall", "release");
      expect(gone.code, gone.stderr).to.equal(0);
      const left = await deployment(MODULE).catch((error: unknown) => isNotFound(error));
      expect(left).to.equal(true);
    });
  });
});
