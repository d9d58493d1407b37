import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { parseAllDocuments, stringify } from "yaml";
import { DEFAULT_POD_SIZE, sizedDeployment } from "../../src/install/deployments";
import type { LiveDeployment } from "../../src/install/deployments";
import { buildAddonsChart, writeManifests } from "../addons/chart";
import { chartValues, schemaTree, valuesYaml } from "./values";
import type { Manifest } from "./templates";
import { deploymentTemplate, expand, moduleFiles, moduleTemplate, plainTemplate } from "./templates";

const ROOT = path.resolve(__dirname, "..", "..");
/** Helm keeps chart and manifest together in one Secret, which Kubernetes limits to this many bytes. */
const RELEASE_LIMIT = 1_048_576;

const NOTES = `The mesh {{ .Values.osm.meshName }} is being installed: its control plane makes its own definitions, configuration and
webhooks within a minute.
  kubectl -n pepr-system rollout status deployment/pepr-osm
  kubectl -n {{ .Values.osm.namespace }} get meshconfig osm-mesh-config
Put a namespace into it:
  kubectl annotate namespace NAME openservicemesh.io/sidecar-injection=enabled
`;

function templateOf(object: Manifest): Manifest {
  if (moduleFiles(object).size > 0) return moduleTemplate(object);
  if (object.kind !== "Deployment") return plainTemplate(object);
  const deployment = object as Parameters<typeof deploymentTemplate>[0];
  const labels = deployment.spec.selector.matchLabels;
  const sized = sizedDeployment(deployment as unknown as LiveDeployment, DEFAULT_POD_SIZE, labels);
  return deploymentTemplate(deployment, (sized ?? deployment) as typeof deployment);
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
  const write = (name: string, text: string): void => {
    writeFileSync(path.join(folder, name), text);
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
  const templates = objects.map(object => ({
    object,
    text: expand(stringify(templateOf(object), { lineWidth: 0, aliasDuplicateObjects: false })),
  }));
  for (const { object, text } of templates) {
    write(`templates/${object.kind.toLowerCase()}-${object.metadata.name}.yaml`, text);
  }
  const files = objects.flatMap(object => [...moduleFiles(object)]);
  for (const [name, content] of files) writeFileSync(path.join(folder, name), content);
  const text = gzipSync(templates.map(template => template.text).join("---\n")).length;
  const once = files.reduce((sum, [, content]) => sum + content.length, text);
  // Templates and files, and the manifest made of them; the bundle does not compress a second time.
  const release = Math.ceil((2 * once * 4) / 3);
  console.log(`chart in ${folder}: a release takes about ${release} of ${RELEASE_LIMIT} bytes`);
  if (release > RELEASE_LIMIT) throw new Error("the bundle is too large for a Helm release");
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
