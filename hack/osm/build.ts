import { chmodSync, copyFileSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { writeManifests } from "../addons/chart";
import { repositoryRoot } from "../cluster/settings";
import { buildPage } from "./page";

/** Names under which the command is found: by itself, and by kubectl as its plugin. */
const NAMES = ["osm", "kubectl-osm"] as const;

/**
 * Writes the command as one program that needs nothing but Node, and beside it the manifest of `pepr build` where there is one,
 * which `osm install` applies, and the add-ons. Gives the program's path.
 */
export async function buildCommand(folder: string): Promise<string> {
  const root = repositoryRoot();
  mkdirSync(folder, { recursive: true });
  const [program, ...copies] = NAMES.map(name => path.join(folder, name));
  if (program === undefined) throw new Error("no name");
  await build({
    entryPoints: [path.join(root, "src/cli/main.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    banner: { js: "#!/usr/bin/env node" },
    logLevel: "warning",
  });
  for (const copy of copies) copyFileSync(program, copy);
  for (const name of NAMES) chmodSync(path.join(folder, name), 0o755);
  await buildPage(folder);
  const manifest = path.join(root, "dist/pepr-module-osm.yaml");
  if (existsSync(manifest)) copyFileSync(manifest, path.join(folder, "osm-manifest.yaml"));
  writeManifests(path.join(folder, "osm-addons"));
  return program;
}

/** `npm run build:osm [FOLDER]`. */
async function main(): Promise<void> {
  const folder = path.resolve(process.argv[2] ?? path.join(repositoryRoot(), "dist/bin"));
  console.log(await buildCommand(folder));
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
