import type { Command } from "commander";
import type { CliContext } from "../context";
import { CommandError } from "../failure";
import { allAddOns, installMesh, installerOf, durationOf } from "../install/run";
import { switchOf, wantedBy } from "../install/set-values";
import { helmRelease } from "../install/helm";
import { uninstallMesh } from "../install/uninstall";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient } from "../../runtime/kube";
import { findMeshes, type FoundMesh } from "../mesh-found";

interface InstallOptions {
  readonly osmChartPath?: string;
  readonly namespace?: string;
  readonly set: readonly string[];
  readonly timeout: string;
  readonly atomic: boolean;
  readonly [flag: string]: unknown;
}

/** Flags of older versions of OSM's command, and the value each stands for. */
const SHORTHANDS = [
  ["--enable-permissive-traffic-policy", "enablePermissiveTrafficPolicy"],
  ["--enable-egress", "enableEgress"],
  ["--enable-debug-server", "enableDebugServer"],
  ["--enable-prometheus", "deployPrometheus"],
  ["--deploy-prometheus", "deployPrometheus"],
  ["--enable-grafana", "deployGrafana"],
  ["--deploy-grafana", "deployGrafana"],
  ["--deploy-jaeger", "deployJaeger"],
] as const;

const repeated = (text: string, before: readonly string[]): readonly string[] => [...before, text];

function addSourceOptions(command: Command): Command {
  return command
    .option("--osm-chart-path <path>", "folder of a chart (needs Helm), or a manifest of pepr build")
    .option("--set <name=value>", "a value, by OSM's names; repeatable, or several by comma", repeated, [])
    .option("--timeout <duration>", "how long it may take", "5m");
}

/** The settings that flags and options stand for; `--set` wins. */
function settingsOf(context: CliContext, options: InstallOptions): readonly string[] {
  const shorthand = SHORTHANDS.flatMap(([flag, value]) => {
    const name = flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const given = options[name];
    if (given === undefined) return [];
    return [`${value}=${String(given === true || switchOf(flag, given as string))}`];
  });
  const namespace = options.namespace ?? context.osmNamespace;
  return [`meshName=${context.meshName}`, `namespace=${namespace}`, ...shorthand, ...options.set];
}

const INSTALL_HELP = `
Before anything is changed it looks whether Kubernetes is new enough (1.30), whether you have the rights, and whether another mesh
runs. The control plane lives in pepr-system; MeshConfig and the CA in --namespace. When it fails, --atomic also takes webhooks and
policies back; custom resource definitions and --namespace, once the control plane has made them, stay. Values:
  meshName, namespace, trustDomain, sidecarImage, initImage, controllerImage, imagePullSecrets[0].name,
  osmController.replicaCount, osmController.resource.{requests,limits}.{cpu,memory},
  deployPrometheus, deployGrafana, deployJaeger, and what MeshConfig has under OSM's names
  (enableEgress, enablePermissiveTrafficPolicy, outboundIPRangeExclusionList={10.0.0.0/8}, tracing.address …).

Examples:
  osm install
  osm install --set=OpenServiceMesh.enablePermissiveTrafficPolicy=false --set osm.trustDomain=example.org
  osm install --mesh-name shop-mesh --namespace mesh-system --enable-grafana`;

function addInstall(program: Command, context: CliContext): void {
  const command = addSourceOptions(
    program.command("install").description("install the mesh into the cluster"),
  )
    .option("--namespace <namespace>", "the same as --osm-namespace")
    .option("--enforce-single-mesh [boolean]", "accepted: a cluster has one control plane")
    .option("--atomic", "when it fails, delete what it made", false);
  for (const [flag, value] of SHORTHANDS)
    command.option(`${flag} [boolean]`, `the same as --set ${value}=true`);
  command.addHelpText("after", INSTALL_HELP).action(async (options: InstallOptions) => {
    const wanted = wantedBy(settingsOf(context, options));
    const timeoutMs = durationOf(options.timeout, "timeout");
    const { atomic, osmChartPath: source } = options;
    await installMesh(context, { wanted, timeoutMs, atomic, source });
    const { OSM_NAMESPACE: namespace = "", OSM_MESH_NAME: mesh = "" } = wanted.environment;
    context.say(`OSM installed successfully in namespace [${namespace}] with mesh name [${mesh}]`);
  });
}

/** `osm mesh upgrade`, below the group of that name. */
export function addUpgrade(group: Command, context: CliContext): void {
  addSourceOptions(group.command("upgrade").description("bring the mesh to the version of this command"))
    .addHelpText(
      "after",
      `
What the mesh was installed with stays (image, replicas and pull secrets too), unless --set says otherwise; MeshConfig stays as it is. Pods keep their sidecars, and the
replicas of the control plane are replaced one after the other. To go back, run it from the older version; that is refused once
the control plane's own root has been rotated, because sidecars would not trust what an older version presents.

Example:
  osm mesh upgrade --mesh-name osm --set osm.sidecarImage=registry.example.org/envoy:v2`,
    )
    .action(async (options: InstallOptions) => {
      const timeoutMs = durationOf(options.timeout, "timeout");
      const request = { wanted: wantedBy(options.set), timeoutMs, atomic: false };
      await installMesh(context, { ...request, source: options.osmChartPath }, context.meshName);
      context.say(`OSM successfully upgraded mesh [${context.meshName}]`);
    });
}

interface UninstallOptions {
  readonly force: boolean;
  readonly deleteClusterWideResources: boolean;
  readonly deleteNamespace: boolean;
  readonly timeout: string;
}

function questionOf(context: CliContext, options: UninstallOptions, osmNamespace: string): string {
  const more = [
    ...(options.deleteClusterWideResources
      ? ["custom resource definitions with all their objects, in every namespace"]
      : []),
    ...(options.deleteNamespace ? [`namespaces ${osmNamespace} and ${PEPR_NAMESPACE}`] : []),
  ];
  const whole = more.length === 0 ? "" : `, ${more.join(", and ")}`;
  return `Uninstall mesh ${context.meshName}${whole}? Pods that keep a sidecar keep its last configuration until its certificate ends.`;
}

/** The mesh that is to go; undefined: it has gone already, or in part. Throws {@link CommandError} where another one runs. */
async function meshToRemove(context: CliContext, kube: KubeClient): Promise<FoundMesh | undefined> {
  const meshes = await findMeshes(kube);
  const mesh = meshes.find(({ product }) => product === "osm-pepr");
  if (mesh !== undefined && mesh.name !== context.meshName)
    throw new CommandError(`mesh ${context.meshName} does not run in this cluster, ${mesh.name} does`);
  const classic = meshes.find(({ product }) => product === "osm");
  if (mesh === undefined && classic !== undefined)
    throw new CommandError(
      `mesh ${classic.name} in ${classic.namespace} is Open Service Mesh ${classic.version}: its own command uninstalls it`,
    );
  return mesh;
}

async function uninstall(context: CliContext, options: UninstallOptions): Promise<void> {
  const kube = await context.kube();
  const mesh = await meshToRemove(context, kube);
  const release = await helmRelease(kube);
  if (release !== undefined)
    throw new CommandError(
      `Helm installed this mesh: helm uninstall ${release.name} --namespace ${release.namespace} --wait`,
    );
  const osmNamespace = mesh?.namespace ?? context.osmNamespace;
  if (!options.force && !(await context.confirm(questionOf(context, options, osmNamespace), "--force"))) {
    context.say("Nothing was changed.");
    return;
  }
  const installer = await installerOf(context, durationOf(options.timeout, "timeout"));
  const left = await uninstallMesh(installer, {
    meshName: context.meshName,
    osmNamespace,
    namespaces: options.deleteNamespace,
    clusterWide: options.deleteClusterWideResources,
    addOns: allAddOns(osmNamespace),
  });
  context.say(`OSM [mesh name: ${context.meshName}] uninstalled`);
  if (!options.deleteClusterWideResources)
    context.say("Custom resource definitions and their objects were left; -a deletes them too.");
  if (left.length > 0)
    throw new CommandError(
      `left, because you have not the rights: ${left.join(", ")}; somebody who has them runs the same command again`,
    );
}

function addUninstall(program: Command, context: CliContext): void {
  const group = program
    .command("uninstall")
    .aliases(["delete", "del"])
    .description("take the mesh out of the cluster");
  group
    .command("mesh")
    .description("take the mesh out of the cluster: first what would repair or refuse, then the rest")
    .option("-f, --force", "do not ask", false)
    .option(
      "-a, --delete-cluster-wide-resources",
      "custom resource definitions with all their objects too",
      false,
    )
    .option("--delete-namespace", "the mesh's namespaces too, with MeshConfig and the CA", false)
    .option("--timeout <duration>", "how long it may take", "5m")
    .option("-p, --local-port <port>", "without effect: no local port is opened")
    .option("--ca-bundle-secret-name <name>", "without effect: the Secret is called osm-ca-bundle")
    .addHelpText(
      "after",
      `
Take namespaces out first (osm namespace remove NS) and restart their pods. Definitions and namespaces that the mesh did not make stay,
and pepr-system as long as others have something in it; while Open Service Mesh itself is in the cluster, -a and --delete-namespace
are refused.

Examples:
  osm uninstall mesh
  osm uninstall mesh --force --delete-namespace -a     # nothing that it made is left`,
    )
    .action((options: UninstallOptions) => uninstall(context, options));
}

/** `osm install` and `osm uninstall mesh`. */
export function addInstallCommands(program: Command, context: CliContext): void {
  if (context.config.kind !== "managed") addInstall(program, context);
  addUninstall(program, context);
}
