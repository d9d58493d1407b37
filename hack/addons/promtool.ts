/** Prometheus' own tool for rules, from Debian's package, unpacked into the cache: installing it would start a Prometheus. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import type { Progress } from "../cluster/progress";
import { cacheFolder } from "../cluster/settings";
import { capture, onPath, run } from "../cluster/shell";

/** Fetches the package into the folder; where the list of packages is missing or old, it is got first. */
async function download(folder: string): Promise<string> {
  const fetch = ["download", "-q", "prometheus"];
  if ((await run("apt-get", fetch, { cwd: folder })).code !== 0) {
    await capture("apt-get", ["update", "-q"]);
    await capture("apt-get", fetch, { cwd: folder });
  }
  const file = readdirSync(folder).find(name => name.endsWith(".deb"));
  if (file === undefined) throw new Error("apt-get has fetched no package prometheus");
  return path.join(folder, file);
}

/** Path of promtool: the one on PATH, otherwise Debian's, which is fetched once. Throws where there is neither. */
export async function ensurePromtool(progress: Progress): Promise<string> {
  const installed = await onPath("promtool");
  if (installed !== undefined) return installed;
  const target = path.join(cacheFolder(), "bin", "promtool-debian");
  if (existsSync(target)) return target;
  if ((await onPath("apt-get")) === undefined)
    throw new Error("promtool is not on PATH, and this is no Debian system that could fetch it");
  return progress.step("fetching promtool from Debian's package", async () => {
    mkdirSync(path.dirname(target), { recursive: true });
    const scratch = mkdtempSync(`${target}.`);
    try {
      await capture("dpkg-deb", ["-x", await download(scratch), scratch]);
      renameSync(path.join(scratch, "usr", "bin", "promtool"), target);
      return target;
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}
