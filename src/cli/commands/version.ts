import type { Command } from "commander";
import type { CliContext } from "../context";
import { VERSION } from "../version";

/** `osm version`. */
export function addVersionCommand(program: Command, context: CliContext): void {
  program
    .command("version")
    .description("print the version of this command and of the meshes of the cluster")
    .action(() => {
      context.out.show({ cli: VERSION }, () => `CLI Version: ${VERSION}`);
    });
}
