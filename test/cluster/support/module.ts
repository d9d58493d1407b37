import { symlinkSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { run } from "../../../hack/cluster/shell";

/**
 * Builds the module as a user does, into `dist` below a folder that is empty; gives the path of the manifest. The folder
 * finds the repository's packages by a link.
 */
export async function buildModule(folder: string): Promise<string> {
  const root = repositoryRoot();
  symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
  const output = path.join(folder, "dist");
  const built = await run("npx", ["pepr", "build", "-o", output], { cwd: root, timeoutMs: 480_000 });
  if (built.code !== 0) throw new Error(`npx pepr build: exit ${built.code}\n${built.stderr.slice(-2_000)}`);
  return path.join(output, "pepr-module-osm.yaml");
}
