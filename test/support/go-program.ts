import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { cacheFolder } from "../../hack/cluster/settings";

/** A Go program of one file, in a folder beside this one: built once into the cache, under a name with the hash of its source. */
export function goProgram(name: string): string {
  const sources = path.join(__dirname, name);
  const hash = createHash("sha256").update(readFileSync(path.join(sources, "main.go")));
  const folder = path.join(cacheFolder(), "bin");
  const target = path.join(folder, `${name}-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  const unfinished = `${target}.${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: "0" };
  execFileSync("go", ["build", "-trimpath", "-o", unfinished, "."], { cwd: sources, env, stdio: "pipe" });
  renameSync(unfinished, target);
  return target;
}
