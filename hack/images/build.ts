import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import type { Progress } from "../cluster/progress";
import { cacheFolder, repositoryRoot } from "../cluster/settings";
import { capture, run } from "../cluster/shell";
import { contentHash, type Recipe } from "./recipes";
import { STAGES } from "./staging";

/** Debian release under every image, and the name its local copy goes by. */
const SUITE = "bookworm";
const LOCAL_BASE = `localhost/osm-pepr-base:${SUITE}`;

function folder(...parts: string[]): string {
  const made = path.join(cacheFolder(), ...parts);
  mkdirSync(made, { recursive: true });
  return made;
}

/** buildah with a store of its own in the cache, so that the machine's other images are neither seen nor touched. */
function buildah(args: readonly string[], note: (line: string) => void): Promise<string> {
  const store = ["--root", folder("buildah", "root"), "--runroot", folder("buildah", "run")];
  return capture("buildah", ["--storage-driver", "vfs", ...store, ...args], { onLine: note });
}

/** Runs the work with a staged build context: the Dockerfile's folder and what {@link STAGES} adds. */
export async function withContext<T>(
  recipe: Recipe,
  progress: Progress,
  work: (context: string) => Promise<T>,
): Promise<T> {
  const context = path.join(folder("build"), `context-${recipe.role}-${process.pid}`);
  rmSync(context, { recursive: true, force: true });
  cpSync(recipe.folder, context, { recursive: true });
  try {
    await STAGES[recipe.role]?.(context, progress);
    return await work(context);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}

async function build(context: string, name: string, note: (line: string) => void): Promise<void> {
  const how = ["--isolation", "chroot", "--pull-never", "--build-arg", `BASE=${LOCAL_BASE}`];
  await buildah(["bud", ...how, "-t", name, "-f", path.join(context, "Dockerfile"), context], note);
}

/** Makes the Debian base with debootstrap where the local store has none (half a minute, once). */
async function ensureBase(progress: Progress): Promise<void> {
  const found = await buildah(["images", "-q", LOCAL_BASE], () => undefined).catch(() => "");
  if (found.trim() !== "") return;
  await progress.step(`making a Debian ${SUITE} base image`, async note => {
    const context = path.join(folder("build"), `base-${process.pid}`);
    const tree = `${context}.tree`;
    try {
      mkdirSync(context, { recursive: true });
      await capture("debootstrap", ["--variant=minbase", "--include=ca-certificates", SUITE, tree], {
        onLine: note,
      });
      for (const waste of ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"]) {
        for (const entry of readdirSync(path.join(tree, waste))) {
          rmSync(path.join(tree, waste, entry), { recursive: true, force: true });
        }
      }
      await copyAptSources(tree);
      await capture("tar", ["-C", tree, "-cf", path.join(context, "base.tar"), "."]);
      cpSync(
        path.join(repositoryRoot(), "hack", "images", "base", "Dockerfile"),
        path.join(context, "Dockerfile"),
      );
      await build(context, LOCAL_BASE, note);
    } finally {
      for (const path of [context, tree]) rmSync(path, { recursive: true, force: true });
    }
  });
}

/** debootstrap knows the main suite only; security and updates come from what this machine uses for the same release. */
async function copyAptSources(tree: string): Promise<void> {
  const same = await run("grep", ["-q", `^VERSION_CODENAME=${SUITE}$`, "/etc/os-release"]);
  const sources = "etc/apt/sources.list.d/debian.sources";
  if (same.code !== 0 || !existsSync(`/${sources}`)) return;
  mkdirSync(path.dirname(path.join(tree, sources)), { recursive: true });
  cpSync(`/${sources}`, path.join(tree, sources));
  rmSync(path.join(tree, "etc/apt/sources.list"), { force: true });
}

/** Pushes the local Debian base under this name to a registry on this machine, be it without encryption. */
export async function publishBase(reference: string, progress: Progress): Promise<void> {
  await ensureBase(progress);
  const push = ["push", "--tls-verify=false", LOCAL_BASE, `docker://${reference}`];
  await progress.step(`pushing ${reference}`, note => buildah(push, note));
}

/** An image as a file that containerd imports. */
export interface Archive {
  readonly file: string;
  /** Content hash; the same hash is the same image. */
  readonly hash: string;
}

/** The image as a local archive; built only when its content hash has none in the cache. */
export async function ensureArchive(recipe: Recipe, progress: Progress): Promise<Archive> {
  const hash = await contentHash(recipe, LOCAL_BASE);
  const archives = folder("images");
  const file = path.join(archives, `${recipe.role}-${hash}.tar`);
  if (existsSync(file)) return { file, hash };
  if (recipe.onBase) await ensureBase(progress);
  await progress.step(`building image ${recipe.name}`, note =>
    withContext(recipe, progress, async context => {
      await build(context, recipe.name, note);
      const unfinished = `${file}.${process.pid}`;
      rmSync(unfinished, { force: true });
      await buildah(["push", recipe.name, `docker-archive:${unfinished}:${recipe.name}`], note);
      await buildah(["rmi", "--force", recipe.name], note);
      dropOlder(archives, recipe.role);
      renameSync(unfinished, file);
    }),
  );
  return { file, hash };
}

/** Keeps one archive an image: older content is quicker to build again than disks are large. */
function dropOlder(archives: string, role: string): void {
  const own = new RegExp(`^${role}-[0-9a-f]{16}\\.tar$`);
  for (const name of readdirSync(archives))
    if (own.test(name)) rmSync(path.join(archives, name), { force: true });
}
