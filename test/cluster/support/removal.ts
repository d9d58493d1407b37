import { readFileSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../../hack/cluster/settings";

/** The commands under README's heading about removal, as a script for the shell. */
export function removalCommands(): string {
  const readme = readFileSync(path.join(repositoryRoot(), "README.md"), "utf8");
  const [, section = ""] = readme.split("\n## Removing the mesh\n");
  const [, commands] = /```sh\n([\s\S]*?)```/.exec(section) ?? [];
  if (commands === undefined) throw new Error("README has no commands for removal");
  return commands;
}
