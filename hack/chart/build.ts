import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { parseAllDocuments, stringify } from "yaml";
import { DEFAULT_POD_SIZE, sizedDeployment } from "../../src/install/deployments";
import type { LiveDeployment } from "../../src/install/deployments";
import { buildAddonsChart, writeManifests } from "../addons/chart";
import { ADDED_TEMPLATES } from "./added-templates";
import { chartValues, schemaTree, valuesYaml } from "./values";
import type { Manifest } from "./templates";
import { deploymentTemplate, expand, moduleFiles, moduleTemplate, plainTemplate } from "./templates";

const ROOT = path.resolve(__dirname, "..", "..");
/** Helm keeps chart and manifest together in one Secret, which Kubernetes limits to this many bytes. */
export const RELEASE_LIMIT = 1_048_576;
/** Share of it that a release may take: what a user sets is kept too. */
export const RELEASE_GATE = 0.95;

const NOTES = `The mesh {{ .Values.osm.meshName }} is being installed: its control plane makes its own definitions, configuration and
webhooks within a minute.
  kubectl -n pepr-system rollout status deployment/pepr-osm
  kubectl -n {{ .Values.osm.namespace }} get meshconfig osm-mesh-config
Put a namespace into it:
  kubectl annotate namespace NAME openservicemesh.io/sidecar-injection=enabled
`;

function templateOf(object: Manifest): Manifest {
  if (object.kind !== "Deployment") return plainTemplate(object);
  const deployment = object as Parameters<typeof deploymentTemplate>[0];
  const sized = sizedDeployment(deployment as unknown as LiveDeployment, DEFAULT_POD_SIZE);
  return deploymentTemplate(deployment, (sized ?? deployment) as typeof deployment);
}

type Texts = ReadonlyMap<string, string | Buffer>;

/** Length of the release that Helm will keep: the chart and what was rendered from it, packed and printed as base64. */
function releaseLength(chart: Texts, rendered: Texts): number {
  const printed = (content: string | Buffer): string => Buffer.from(content).toString("base64");
  const kept = [...chart].map(([name, content]) => ({ name, data: printed(content) }));
  const texts = [...rendered.values()].map(content =>
    typeof content === "string" ? content : printed(content),
  );
  const record = JSON.stringify({ chart: kept, manifest: texts.join("---\n") });
  return Math.ceil((gzipSync(record, { level: 9 }).length * 4) / 3);
}

function controllerImage(objects: readonly Manifest[]): string {
  const deployment = objects.find(object => object.kind === "Deployment") as
    | { spec: { template: { spec: { containers: { image: string }[] } } } }
    | undefined;
  const image = deployment?.spec.template.spec.containers[0]?.image;
  if (image === undefined) throw new Error("no Deployment in the manifest of pepr build");
  return image;
}

/** Makes the chart from the manifest that `pepr build` wrote; returns its folder. */
export function buildChart(manifestFile: string, folder: string, version: string): string {
  const objects = parseAllDocuments(readFileSync(manifestFile, "utf8")).map(
    document => document.toJS() as Manifest,
  );
  const values = chartValues(controllerImage(objects));
  rmSync(folder, { recursive: true, force: true });
  for (const inner of ["templates", "files"]) mkdirSync(path.join(folder, inner), { recursive: true });
  const written = new Map<string, string | Buffer>();
  const write = (name: string, content: string | Buffer): void => {
    writeFileSync(path.join(folder, name), content);
    written.set(name, content);
  };
  const chart = {
    apiVersion: "v2",
    name: "osm-pepr",
    description: "Open Service Mesh on Pepr, an Envoy service mesh for Kubernetes",
    type: "application",
    version,
    appVersion: version,
    kubeVersion: ">=1.29.0-0",
  };
  write("Chart.yaml", stringify(chart));
  write("values.yaml", valuesYaml(values));
  write("values.schema.json", `${JSON.stringify(schemaTree(values), null, 2)}\n`);
  write("templates/NOTES.txt", NOTES);
  const files = new Map(objects.flatMap(object => [...moduleFiles(object)]));
  const templates = new Map(ADDED_TEMPLATES);
  for (const object of objects) {
    const own = moduleFiles(object);
    const template = own.size > 0 ? moduleTemplate(object, own) : templateOf(object);
    const text = expand(stringify(template, { lineWidth: 0, aliasDuplicateObjects: false }));
    templates.set(`templates/${object.kind.toLowerCase()}-${object.metadata.name}.yaml`, text);
  }
  for (const [name, text] of templates) write(name, text);
  for (const [name, content] of files) write(name, content);
  const release = releaseLength(written, new Map<string, string | Buffer>([...templates, ...files]));
  const share = `${((release / RELEASE_LIMIT) * 100).toFixed(1)} %`;
  console.log(`chart in ${folder}: a release takes about ${release} of ${RELEASE_LIMIT} bytes: ${share}`);
  if (release > RELEASE_GATE * RELEASE_LIMIT) throw new Error("the bundle is too large for a Helm release");
  return folder;
}

function main(): void {
  const manifest = path.join(ROOT, "dist", "pepr-module-osm.yaml");
  if (!existsSync(manifest)) {
    console.error(`${manifest} is missing: run "npx pepr build" first`);
    process.exitCode = 1;
    return;
  }
  const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as {
    version: string;
  };
  buildChart(manifest, path.join(ROOT, "dist", "chart", "osm-pepr"), version);
  buildAddonsChart(path.join(ROOT, "dist", "chart", "osm-addons"), version);
  writeManifests(path.join(ROOT, "dist", "addons"));
}

if (require.main === module) main();
