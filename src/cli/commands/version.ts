import type { Command } from "commander";
import type { CliContext } from "../context";
import { findMeshes } from "../mesh-found";
import { tableText } from "../output";
import { VERSION } from "../version";

interface VersionOptions {
  readonly clientOnly?: boolean;
  readonly versionOnly?: boolean;
}

async function showVersions(context: CliContext, options: VersionOptions): Promise<void> {
  if (options.versionOnly === true) {
    context.out.show(VERSION, () => VERSION);
    return;
  }
  const client = `CLI Version: ${VERSION}`;
  if (options.clientOnly === true) {
    context.out.show({ cli: VERSION }, () => client);
    return;
  }
  const meshes = await findMeshes(await context.kube());
  context.out.show({ cli: VERSION, meshes }, () => {
    if (meshes.length === 0) return `${client}\nNo mesh runs in this cluster.`;
    const rows = meshes.map(({ name, namespace, version }) => [name, namespace, version]);
    return `${client}\n\n${tableText({ head: ["MESH NAME", "MESH NAMESPACE", "VERSION"], rows })}`;
  });
}

/** `osm version`. */
export function addVersionCommand(program: Command, context: CliContext): void {
  program
    .command("version")
    .description("print the version of this command and of the meshes of the cluster")
    .option("--client-only", "do not ask the cluster")
    .option("--version-only", "the bare version of this command")
    .addHelpText(
      "after",
      "\nUnlike OSM's it asks no release server on the internet whether there is a newer one.",
    )
    .action((options: VersionOptions) => showVersions(context, options));
}
