import type { Command } from "commander";
import { configPath } from "../config-file";
import type { CliContext } from "../context";

/** `osm env`. */
export function addEnvCommand(program: Command, context: CliContext): void {
  program
    .command("env")
    .description("print the settings this command works with")
    .addHelpText(
      "after",
      `
The file is ~/.osm/config.yaml, or the one that OSM_CONFIG names. "kind: managed" says that others install the mesh:
the commands install, mesh upgrade and dashboard are then left out.`,
    )
    .action(() => {
      const { kind, distribution } = context.config;
      const install = { kind, distribution, namespace: context.osmNamespace };
      const value = { install };
      context.out.show({ ...value, file: configPath(context.env) }, () =>
        [
          "---",
          "install:",
          ...Object.entries(install).map(([key, text]) => `  ${key}: ${text || '""'}`),
        ].join("\n"),
      );
    });
}
