import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { cacheFolder } from "../../hack/cluster/settings";

/** A leaf to be judged. */
export interface GoQuestion {
  /** PEM, the leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly roots: string;
  /** The one name it has to have. */
  readonly uri: string;
}

const SOURCES = path.join(__dirname, "verify-leaves");

/** The program, built once into the cache; its name holds the hash of its source. */
function program(): string {
  const hash = createHash("sha256").update(readFileSync(path.join(SOURCES, "main.go")));
  const folder = path.join(cacheFolder(), "bin");
  const target = path.join(folder, `verify-leaves-${hash.digest("hex").slice(0, 12)}`);
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  const unfinished = `${target}.${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: "0" };
  execFileSync("go", ["build", "-trimpath", "-o", unfinished, "."], { cwd: SOURCES, env, stdio: "pipe" });
  renameSync(unfinished, target);
  return target;
}

/** What Go's crypto/x509 says of each leaf, in order: `ok`, or what is wrong. */
export function judgedByGo(questions: readonly GoQuestion[]): readonly string[] {
  const input = questions.map(question => `${JSON.stringify(question)}\n`).join("");
  const output = execFileSync(program(), { input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  return output.trimEnd().split("\n");
}
