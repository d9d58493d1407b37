import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { buildChart } from "../../hack/chart/build";
import { chartValues, defaultTree } from "../../hack/chart/values";
import { ensureHelm } from "../../hack/cluster/index";
import { toStderr } from "../../hack/cluster/progress";
import { run } from "../../hack/cluster/shell";

const IMAGE = "example.org/controller:v1";

function deployment(name: string, controller: string): object {
  const labels = { app: name, "pepr.dev/controller": controller };
  const container = {
    name: "server",
    image: IMAGE,
    env: [{ name: "PEPR_WATCH_MODE", value: "false" }],
    resources: { limits: { cpu: "500m" } },
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "pepr-system", labels },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
}

/** What `pepr build` writes, in small. */
const MANIFEST = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "pepr-system" } },
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "pepr-osm-tls", namespace: "pepr-system" },
    type: "kubernetes.io/tls",
    data: { "tls.crt": "Y2VydA==", "tls.key": "c2VjcmV0LWtleQ==" },
  },
  deployment("pepr-osm", "admission"),
  deployment("pepr-osm-watcher", "watcher"),
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "pepr-osm" },
    webhooks: [{ name: "pepr-osm.pepr.dev" }],
  },
];

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly webhooks?: unknown[];
  readonly spec?: object;
}

describe("Helm chart", function () {
  this.timeout(600_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-chart-"));
  const chart = path.join(folder, "osm-pepr");
  let helm: string;

  const template = async (...settings: string[]): Promise<{ code: number; out: string; error: string }> => {
    const flags = settings.flatMap(setting => ["--set", setting]);
    const result = await run(helm, ["template", "release", chart, "--kube-version", "1.34.0", ...flags]);
    return { code: result.code, out: result.stdout, error: result.stderr };
  };
  const rendered = (text: string): Rendered[] => parseAllDocuments(text).map(d => d.toJS() as Rendered);

  before(async () => {
    helm = await ensureHelm(toStderr);
    const manifest = path.join(folder, "manifest.yaml");
    writeFileSync(manifest, MANIFEST.map(object => stringify(object)).join("---\n"));
    buildChart(manifest, chart, "1.2.3");
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it("passes helm lint, and its values are the documented defaults", async () => {
    const lint = await run(helm, ["lint", "--strict", chart]);
    expect(lint.code, lint.stdout).to.equal(0);
    const values: unknown = parse(readFileSync(path.join(chart, "values.yaml"), "utf8"));
    expect(values).to.deep.equal(defaultTree(chartValues(IMAGE)));
  });

  it("renders Deployments in their final shape, so that the mesh changes nothing in them", async () => {
    const settings = [
      "osm.controller.replicas=3",
      "osm.imagePullSecrets[0].name=pull",
      "osm.enableEgress=false",
    ];
    const { out, error } = await template(...settings);
    expect(error).to.equal("");
    const specs = rendered(out)
      .filter(({ kind }) => kind === "Deployment")
      .map(({ metadata, spec }) => [metadata.name, spec] as const);
    const { "pepr-osm": admission, "pepr-osm-watcher": watcher } = Object.fromEntries(specs);
    expect(admission).to.have.property("replicas", 3);
    expect(watcher).to.have.property("replicas", 1);
    expect(admission).to.have.nested.property("template.spec.terminationGracePeriodSeconds", 15);
    expect(admission).to.have.nested.property("template.spec.imagePullSecrets[0].name", "pull");
    const container = "template.spec.containers[0]";
    expect(admission).to.have.nested.property(`${container}.image`, IMAGE);
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
    const { out } = await template();
    expect(out).to.not.include("c2VjcmV0LWtleQ==");
    expect(rendered(out).find(({ kind }) => kind === "MutatingWebhookConfiguration")?.webhooks).to.deep.equal(
      [],
    );
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
});
