import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SCENES, stepsOf } from "./scene";

/** How golden files are treated; from the environment of the test run. */
export function goldenMode(env: Readonly<Record<string, string | undefined>>): "compare" | "rewrite" {
  if (env["UPDATE_GOLDEN"] !== "1") return "compare";
  if (env["CI"] !== undefined) throw new Error("golden files are never rewritten in CI");
  return "rewrite";
}

/** The golden text of a file, "" when there is none; rewritten (or removed when empty) first when that is asked for. */
export function golden(scene: string, file: string, actual: string): string {
  const target = path.join(SCENES, scene, file);
  if (goldenMode(process.env) === "rewrite") {
    if (actual === "") rmSync(target, { force: true });
    else writeFileSync(target, actual);
  }
  return existsSync(target) ? readFileSync(target, "utf8") : "";
}

/** Files in a scene's folder that nothing writes or reads. */
export function strayFiles(scene: string): readonly string[] {
  const steps = stepsOf(scene).flatMap(({ name }) =>
    [".yaml", ".calls.yaml", ".sent.yaml"].map(ending => path.join("steps", `${name}${ending}`)),
  );
  const known = new Set(["given.yaml", "calls.yaml", "policy.yaml", "envoy.yaml", "status.yaml", ...steps]);
  return readdirSync(path.join(SCENES, scene), { recursive: true, encoding: "utf8" }).filter(
    file => file !== "steps" && !known.has(file),
  );
}
