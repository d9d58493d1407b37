import { readFileSync, existsSync, statSync } from "node:fs";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { MODULE } from "../../install/names";
import type { LiveDeployment } from "../../install/deployments";
import type { InstallObject } from "../../install/object";
import { DEFAULT_OSM_NAMESPACE, PEPR_NAMESPACE } from "../../model/mesh-words";
import type { CliContext } from "../context";
import { CommandError, UsageError } from "../failure";
import { applyAddOns, applyObjects, configureMesh, undo, waitForControlPlane, type Installer } from "./apply";
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

/** `--osm-chart-path` with a chart: Helm does it. */
function runHelm(context: CliContext, args: readonly string[]): void {
  const ran = spawnSync("helm", args, { stdio: "inherit", env: { ...context.env } });
  if (ran.error !== undefined)
    throw new CommandError("a chart needs the program helm, which is not in the PATH");
  if (ran.status !== 0) throw new CommandError(`helm ${args[0] ?? ""} ended with ${String(ran.status)}`);
}

/** What installing is asked for. */
export interface InstallRequest {
  readonly wanted: Wanted;
  /** A chart's folder, or a manifest in place of the one that came with the program. */
  readonly source?: string | undefined;
  /** `--set` as given, for Helm. */
  readonly settings: readonly string[];
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

/** Installs the mesh, or with `upgrade`, its name, brings it to this version. Rejects with {@link CommandError}. */
export async function installMesh(
  context: CliContext,
  request: InstallRequest,
  upgrade?: string,
): Promise<void> {
  const { wanted, source, settings, atomic } = request;
  for (const warning of wanted.warnings) context.warn(warning);
  const installer = await installerOf(context, request.timeoutMs);
  const version = await preflight(installer.kube, upgrade);
  if (upgrade !== undefined) {
    const mesh = (await findMeshes(installer.kube)).find(({ product }) => product === "osm-pepr");
    if (mesh !== undefined) await refuseDowngrade(installer.kube, mesh, VERSION);
  }
  context.say(`Kubernetes ${version}: nothing stands in the way`);
  if (source !== undefined && isFolder(source)) {
    const values = settings.flatMap(setting => ["--set", setting.replace(/^OpenServiceMesh\./, "osm.")]);
    const flags = ["--timeout", `${request.timeoutMs / 1_000}s`, "--wait", ...(atomic ? ["--atomic"] : [])];
    runHelm(context, ["upgrade", "--install", "osm", source, ...flags, ...values]);
    return;
  }
  await applyAll(installer, request);
}

/** What the mesh that runs was installed with, so that an upgrade keeps it. */
export async function liveEnvironment(context: CliContext): Promise<Readonly<Record<string, string>>> {
  const path = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments/${MODULE}`;
  return meshVariables(await (await context.kube()).get<LiveDeployment>(path));
}
