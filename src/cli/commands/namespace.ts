import type { Command } from "commander";
import type { CliContext } from "../context";
import { UsageError } from "../failure";
import {
  addNamespaces,
  ignoreNamespaces,
  listNamespaces,
  removeNamespace,
  type MeshCommand,
} from "../namespaces";

/** What commands about namespaces work with. */
export async function meshCommand(context: CliContext): Promise<MeshCommand> {
  const { meshName, osmNamespace } = context;
  return {
    kube: await context.kube(),
    meshName,
    osmNamespace,
    say: line => {
      context.say(line);
    },
    warn: line => {
      context.warn(line);
    },
  };
}

interface AddOptions {
  readonly enableSidecarInjection?: boolean;
  readonly disableSidecarInjection?: boolean;
}

function addAdd(group: Command, context: CliContext): void {
  group
    .command("add")
    .description("put namespaces into the mesh: new pods get a sidecar")
    .argument("<namespace...>", "namespaces")
    .option("--enable-sidecar-injection", "new pods get a sidecar (this is the default)")
    .option("--disable-sidecar-injection", "in the mesh, but new pods get no sidecar")
    .addHelpText(
      "after",
      `
Examples:
  osm namespace add shop
  osm namespace add shop bank --mesh-name osm
  kubectl -n shop rollout restart deployment     # pods that run already`,
    )
    .action(async (names: readonly string[], options: AddOptions) => {
      const off = options.disableSidecarInjection === true;
      if (off && options.enableSidecarInjection === true)
        throw new UsageError(
          "--enable-sidecar-injection and --disable-sidecar-injection contradict each other",
        );
      await addNamespaces(await meshCommand(context), names, !off);
    });
}

function addList(group: Command, context: CliContext): void {
  group
    .command("list")
    .alias("ls")
    .description("list namespaces of the mesh (--mesh-name), or of all meshes")
    .action(async () => {
      const rows = await listNamespaces(await context.kube(), context.givenMeshName);
      context.out.show(rows, () =>
        rows.length === 0
          ? "No namespaces in a mesh."
          : {
              head: ["NAMESPACE", "MESH", "SIDECAR-INJECTION", "METRICS"],
              rows: rows.map(row => [
                row.namespace,
                row.mesh,
                row.ignored ? "ignored" : row.sidecarInjection,
                row.metrics ? "enabled" : "-",
              ]),
            },
      );
    });
}

/** `osm namespace …`. */
export function addNamespaceCommands(program: Command, context: CliContext): void {
  const group = program
    .command("namespace")
    .alias("ns")
    .description("put namespaces into the mesh and take them out");
  addAdd(group, context);
  group
    .command("remove")
    .description("take namespaces out of the mesh")
    .argument("<namespace...>", "namespaces")
    .action(async (names: readonly string[]) => {
      const command = await meshCommand(context);
      for (const name of names) await removeNamespace(command, name);
    });
  group
    .command("ignore")
    .description("keep namespaces out of the mesh, whatever else they say")
    .argument("<namespace...>", "namespaces")
    .action(async (names: readonly string[]) => {
      await ignoreNamespaces(await meshCommand(context), names);
    });
  addList(group, context);
}
