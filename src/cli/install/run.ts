import { readFileSync, existsSync, statSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { MODULE } from "../../install/names";
import type { LiveDeployment } from "../../install/deployments";
import type { InstallObject } from "../../install/object";
import { DEFAULT_OSM_NAMESPACE, PEPR_NAMESPACE } from "../../model/mesh-words";
import { getIfThere } from "../../runtime/kube/read";
import type { CliContext } from "../context";
import { CommandError, UsageError } from "../failure";
import {
  applyAddOns,
  applyObjects,
  configureMesh,
  meshConfigPath,
  undo,
  waitForControlPlane,
  type Installer,
} from "./apply";
import { helmFlags, helmRelease, runHelm } from "./helm";
import { keeping } from "./kept";
import { imageLines, type ConfiguredImages } from "./images";
import { configuredObjects, meshVariables, readManifest } from "./manifest";
import { findMeshes } from "../mesh-found";
import { VERSION } from "../version";
import { refuseDowngrade } from "./downgrade";
import { preflight } from "./preflight";
import type { AddOn, Wanted } from "./set-values";

/** A duration as Go writes it: `5m`, `90s`, `1m30s`; milliseconds. Throws {@link UsageError} that names the option. */
export function durationOf(text: string, option: string): number {
  const [, hours = "0", minutes = "0", seconds = "0"] =
    /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  const ms = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000;
  if (ms > 0) return ms;
  throw new UsageError(`--${option}: ${JSON.stringify(text)} is no duration such as 90s or 5m`);
}

/** An {@link Installer} of a context. */
export async function installerOf(context: CliContext, timeoutMs: number): Promise<Installer> {
  return {
    kube: await context.kube(),
    now: () => context.now(),
    pause: ms => context.pause(ms),
    say: line => {
      context.say(line);
    },
    deadline: context.now() + timeoutMs,
  };
}

/** Beside the built program, or where the repository's build writes them. */
const ADD_ON_PLACES: readonly string[] = [
  path.join(__dirname, "osm-addons"),
  path.resolve(__dirname, "../../../dist/addons"),
];

/** Every add-on that an installation may have deployed, as far as its manifest is there. */
export function allAddOns(namespace: string, places = ADD_ON_PLACES): readonly InstallObject[] {
  const names = (["prometheus", "grafana", "jaeger"] as const).filter(name =>
    places.some(place => existsSync(path.join(place, `${name}.yaml`))),
  );
  return addOnObjects(names, namespace, places);
}

/** Manifests of add-ons with their default values, as the build wrote them. Throws {@link CommandError} when one is not there. */
export function addOnObjects(
  names: readonly AddOn[],
  namespace: string,
  places = ADD_ON_PLACES,
): readonly InstallObject[] {
  return names.flatMap(name => {
    const file = places.map(place => path.join(place, `${name}.yaml`)).find(one => existsSync(one));
    if (file === undefined)
      throw new CommandError(`there is no manifest of the add-on ${name}: npm run build:osm`);
    const text = readFileSync(file, "utf8").replaceAll(DEFAULT_OSM_NAMESPACE, namespace);
    return parseAllDocuments(text)
      .map(document => document.toJS() as InstallObject | null)
      .filter(object => object !== null);
  });
}

/** What installing is asked for. */
export interface InstallRequest {
  readonly wanted: Wanted;
  /** A chart's folder, or a manifest in place of the one that came with the program. */
  readonly source?: string | undefined;
  readonly timeoutMs: number;
  /** Leave nothing behind when it fails. */
  readonly atomic: boolean;
}

const isFolder = (place: string): boolean => existsSync(place) && statSync(place).isDirectory();

/** Applies the mesh and waits for it. Rejects with {@link CommandError}; with `atomic` what it made is gone again by then. */
async function applyAll(installer: Installer, request: InstallRequest): Promise<void> {
  const { wanted, atomic } = request;
  const objects = configuredObjects(readManifest(request.source), wanted);
  const namespace = wanted.environment["OSM_NAMESPACE"] ?? DEFAULT_OSM_NAMESPACE;
  const beside = addOnObjects(wanted.addOns, namespace);
  const made: InstallObject[] = [];
  try {
    await applyObjects(installer, objects, made);
    await waitForControlPlane(installer);
    await configureMesh(installer, wanted);
    await applyAddOns(installer, beside);
  } catch (error) {
    if (atomic) await undo(installer, made);
    throw error;
  }
}

/** By the chart: Helm makes the control plane, the rest is done here as without a chart. */
async function applyByHelm(
  context: CliContext,
  installer: Installer,
  request: InstallRequest,
  source: string,
): Promise<void> {
  const { wanted, timeoutMs, atomic } = request;
  const release = await helmRelease(installer.kube);
  const before = release === undefined ? undefined : await liveDeployment(installer);
  const where = release === undefined ? [] : ["--namespace", release.namespace];
  // What was set before stays, over the defaults of the new chart.
  const kept = release === undefined ? [] : ["--reset-then-reuse-values"];
  const flags = ["--timeout", `${timeoutMs / 1_000}s`, "--wait", ...(atomic ? ["--atomic"] : [])];
  const name = release?.name ?? "osm";
  runHelm(context, ["upgrade", "--install", name, source, ...where, ...kept, ...flags, ...helmFlags(wanted)]);
  await waitForControlPlane(installer);
  const after = await liveDeployment(installer);
  if (before !== undefined) await tellImages(installer, before, after);
  const { environment } = keeping(wanted, after, undefined);
  await configureMesh(installer, { ...wanted, environment });
  await applyAddOns(
    installer,
    addOnObjects(wanted.addOns, environment["OSM_NAMESPACE"] ?? DEFAULT_OSM_NAMESPACE),
  );
}

const liveDeployment = ({ kube }: Installer): Promise<LiveDeployment> =>
  kube.get<LiveDeployment>(`/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments/${MODULE}`);

/** Says which images stay and which change. */
async function tellImages(
  { kube, say }: Installer,
  before: LiveDeployment,
  after: LiveDeployment,
): Promise<void> {
  const path = meshConfigPath(meshVariables(after)["OSM_NAMESPACE"] ?? DEFAULT_OSM_NAMESPACE);
  const config = await getIfThere<{ readonly spec?: { readonly sidecar?: ConfiguredImages } }>(kube, path);
  for (const line of imageLines(before, after, config?.spec?.sidecar ?? {})) say(line);
}

/** Refuses what would end a mesh that runs: going back too far, and writing over what Helm keeps. */
async function refuseUpgrade(installer: Installer, byChart: boolean): Promise<void> {
  const mesh = (await findMeshes(installer.kube)).find(({ product }) => product === "osm-pepr");
  if (mesh !== undefined) await refuseDowngrade(installer.kube, mesh, VERSION);
  const release = await helmRelease(installer.kube);
  if (release !== undefined && !byChart)
    throw new CommandError(
      `Helm installed this mesh: helm upgrade ${release.name} --namespace ${release.namespace}, or --osm-chart-path with the chart's folder`,
    );
  if (release === undefined && byChart)
    throw new CommandError(
      "Helm did not install this mesh; without --osm-chart-path it is upgraded as it was installed",
    );
}

/** Installs the mesh, or with `upgrade`, its name, brings it to this version. Rejects with {@link CommandError}. */
export async function installMesh(
  context: CliContext,
  request: InstallRequest,
  upgrade?: string,
): Promise<void> {
  const { wanted, source } = request;
  const chart = source !== undefined && isFolder(source) ? source : undefined;
  // Before anything is asked of the cluster: what is to be applied is there.
  const manifest = chart === undefined ? readManifest(source) : undefined;
  for (const warning of wanted.warnings) context.warn(warning);
  const installer = await installerOf(context, request.timeoutMs);
  const version = await preflight(installer.kube, upgrade);
  if (upgrade !== undefined) await refuseUpgrade(installer, chart !== undefined);
  context.say(`Kubernetes ${version}: nothing stands in the way`);
  if (chart !== undefined) return applyByHelm(context, installer, request, chart);
  if (upgrade === undefined) return applyAll(installer, request);
  await applyOver(installer, request, manifest ?? []);
}

/** Applies a manifest over the mesh that runs, which keeps what it was installed with. */
async function applyOver(
  installer: Installer,
  request: InstallRequest,
  manifest: readonly InstallObject[],
): Promise<void> {
  const live = await liveDeployment(installer);
  const wanted = keeping(request.wanted, live, manifest);
  const next = configuredObjects(manifest, wanted).find(
    ({ kind, metadata }) => kind === "Deployment" && metadata.name === MODULE,
  );
  if (next !== undefined) await tellImages(installer, live, next as LiveDeployment);
  await applyAll(installer, { ...request, wanted });
}
