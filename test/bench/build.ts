/** The programs of the benchmark, built into the cache: the fleet by Go, the control plane as one bundle, as Pepr makes it. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { buildSync } from "esbuild";
import { cacheFolder } from "../../hack/cluster/settings";

/** Where programs and results of the benchmark are kept. */
export function benchFolder(): string {
  const folder = path.join(cacheFolder(), "bench");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Builds a Go program of the benchmark, `fleet` or `load`, on first use; returns the program. */
export function buildGo(name: "fleet" | "load"): string {
  const sources = path.join(__dirname, name);
  const hash = createHash("sha256");
  for (const file of readdirSync(sources).sort()) hash.update(readFileSync(path.join(sources, file)));
  const target = path.join(benchFolder(), `${name}-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(target)) return target;
  const unfinished = `${target}.${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: "0" };
  execFileSync("go", ["build", "-trimpath", "-o", unfinished, "."], { cwd: sources, env, stdio: "pipe" });
  renameSync(unfinished, target);
  return target;
}

const bundled = new Map<string, string>();

/** Bundles a program, once, with the options of `pepr build`, so that what is measured is what runs in a pod. */
export function bundle(entry: string): string {
  const file = path.resolve(entry);
  const known = bundled.get(file) ?? bundleAnew(file);
  bundled.set(file, known);
  return known;
}

function bundleAnew(entry: string): string {
  const name = path.basename(entry, ".ts");
  const outfile = path.join(benchFolder(), `${name}.${process.pid}.cjs`);
  buildSync({
    bundle: true,
    entryPoints: [entry],
    format: "cjs",
    keepNames: true,
    minify: process.env["OSM_BENCH_PROFILE"] === undefined,
    outfile,
    platform: "node",
    logLevel: "error",
  });
  process.once("exit", () => {
    rmSync(outfile, { force: true });
  });
  return outfile;
}
