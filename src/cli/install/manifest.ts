/** The objects that `osm install` applies: what `pepr build` wrote, in the shape the mesh keeps it in. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { DEFAULT_POD_SIZE, sizedDeployment, type LiveDeployment } from "../../install/deployments";
import type { InstallObject } from "../../install/object";
import { CommandError } from "../failure";
import type { Wanted } from "./set-values";

/** Where the manifest is: beside the built program, or where `npx pepr build` writes it in the repository. */
const PLACES = [
  path.join(__dirname, "osm-manifest.yaml"),
  path.resolve(__dirname, "../../../dist/pepr-module-osm.yaml"),
];

/** Reads a manifest; by default the one that came with the program. Throws {@link CommandError} when there is none. */
export function readManifest(file?: string): readonly InstallObject[] {
  const found = file ?? PLACES.find(place => existsSync(place));
  if (found === undefined)
    throw new CommandError("there is no manifest of the mesh: npx pepr build, then npm run build:osm");
  if (!existsSync(found)) throw new CommandError(`there is no file ${found}`);
  const objects = parseAllDocuments(readFileSync(found, "utf8"))
    .map(document => document.toJS() as InstallObject | null)
    .filter(object => object !== null);
  if (!objects.some(({ kind }) => kind === "Deployment"))
    throw new CommandError(`${found} holds no Deployment; is it what pepr build wrote?`);
  return objects;
}

interface Variable {
  readonly name: string;
  readonly value?: string;
}

interface Container {
  readonly image?: string;
  readonly env?: readonly Variable[];
}

/** Variables of the containers of a Deployment that the mesh's settings are read from. */
export function meshVariables(deployment: LiveDeployment): Readonly<Record<string, string>> {
  const containers = deployment.spec.template.spec.containers as readonly Container[];
  const all = containers.flatMap(({ env = [] }) => env).filter(({ name }) => name.startsWith("OSM_"));
  return Object.fromEntries(all.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}

function withVariables(
  container: Readonly<Record<string, unknown>>,
  wanted: Wanted,
): Readonly<Record<string, unknown>> {
  const { env = [] } = container as Container;
  const added = Object.entries(wanted.environment).map(([name, value]) => ({ name, value }));
  const kept = env.filter(({ name }) => !added.some(one => one.name === name));
  return {
    ...container,
    ...(wanted.controllerImage === undefined ? {} : { image: wanted.controllerImage }),
    env: [...kept, ...added],
  };
}

function sized(deployment: LiveDeployment, { environment }: Wanted): LiveDeployment {
  const size = {
    cpuRequest: environment["OSM_CPU_REQUEST"] ?? DEFAULT_POD_SIZE.cpuRequest,
    memoryRequest: environment["OSM_MEMORY_REQUEST"] ?? DEFAULT_POD_SIZE.memoryRequest,
    cpuLimit: environment["OSM_CPU_LIMIT"] ?? DEFAULT_POD_SIZE.cpuLimit,
    memoryLimit: environment["OSM_MEMORY_LIMIT"] ?? DEFAULT_POD_SIZE.memoryLimit,
  };
  return (sizedDeployment(deployment, size) ?? deployment) as LiveDeployment;
}

/** Init containers run the same image. */
function unpackers({ initContainers }: LiveDeployment["spec"]["template"]["spec"], wanted: Wanted): object {
  const { controllerImage: image } = wanted;
  if (initContainers === undefined || image === undefined) return {};
  return { initContainers: initContainers.map(container => ({ ...container, image })) };
}

function configured(object: LiveDeployment, wanted: Wanted): InstallObject {
  const deployment = sized(object, wanted);
  const { template } = deployment.spec;
  const isAdmission = deployment.metadata.labels?.["pepr.dev/controller"] === "admission";
  const pull = wanted.imagePullSecrets.map(name => ({ name }));
  return {
    ...deployment,
    spec: {
      ...deployment.spec,
      ...(isAdmission && wanted.replicas !== undefined ? { replicas: wanted.replicas } : {}),
      template: {
        ...template,
        spec: {
          ...template.spec,
          ...(pull.length === 0 ? {} : { imagePullSecrets: pull }),
          ...unpackers(template.spec, wanted),
          containers: template.spec.containers.map(container => withVariables(container, wanted)),
        },
      },
    },
  };
}

/**
 * The objects with the user's values in them. Webhook configurations are left out: the mesh brings its own, with its own
 * certificate, and an empty or foreign one would stand in its way for a moment.
 */
export function configuredObjects(
  objects: readonly InstallObject[],
  wanted: Wanted,
): readonly InstallObject[] {
  return objects
    .filter(({ kind }) => !kind.endsWith("WebhookConfiguration"))
    .map(object => (object.kind === "Deployment" ? configured(object as LiveDeployment, wanted) : object));
}
