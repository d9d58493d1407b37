import type { Command } from "commander";
import { API_KINDS } from "../../api/kinds";
import type { CliContext } from "../context";
import { addUpgrade } from "./install";
import { findMeshes, type FoundMesh } from "../mesh-found";
import { listNamespaces } from "../namespaces";
import { tableText } from "../output";

/** SMI kinds with the version under which they are read. */
function smiSupport(): Readonly<Record<string, string>> {
  const smi = API_KINDS.filter(({ group }) => group.endsWith(".smi-spec.io"));
  return Object.fromEntries(smi.map(({ kind, group, version }) => [kind, `${group}/${version}`]));
}

/** A mesh and the namespaces that belong to it. */
interface ListedMesh extends FoundMesh {
  readonly namespaces: readonly string[];
}

async function listMeshes(context: CliContext): Promise<readonly ListedMesh[]> {
  const kube = await context.kube();
  const [meshes, all] = await Promise.all([findMeshes(kube), listNamespaces(kube, undefined)]);
  const wanted = meshes.filter(({ name }) => (context.givenMeshName ?? name) === name);
  return wanted.map(mesh => ({
    ...mesh,
    namespaces: all.filter(row => row.mesh === mesh.name && !row.ignored).map(row => row.namespace),
  }));
}

/** Meshes as `osm mesh list` and `osm version` show them. */
export function meshTable(meshes: readonly ListedMesh[]): string {
  return tableText({
    head: ["MESH NAME", "MESH NAMESPACE", "VERSION", "READY", "ADDED NAMESPACES"],
    rows: meshes.map(mesh => [
      mesh.name,
      mesh.namespace,
      mesh.product === "osm" ? `${mesh.version} (Open Service Mesh)` : mesh.version,
      `${mesh.ready}/${mesh.wanted}`,
      mesh.namespaces.join(",") || "-",
    ]),
  });
}

/** `osm mesh …`. */
export function addMeshCommands(program: Command, context: CliContext): void {
  const group = program.command("mesh").description("list and upgrade meshes of the cluster");
  group
    .command("list")
    .description("list meshes of the cluster, their versions and namespaces")
    .action(async () => {
      const meshes = await listMeshes(context);
      const smi = smiSupport();
      context.out.show({ meshes, smi }, () => {
        if (meshes.length === 0) return "No mesh runs in this cluster.";
        const support = Object.entries(smi).map(([kind, version]) => [kind, version]);
        return `${meshTable(meshes)}\n\n${tableText({ head: ["SMI KIND", "SERVED AS"], rows: support })}`;
      });
    });
  if (context.config.kind !== "managed") addUpgrade(group, context);
}
