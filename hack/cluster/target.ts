import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { kubeconfigFile } from "./credentials";
import { Progress, type Log } from "./progress";
import { kubectlPath } from "./binaries";
import { clusterSettings } from "./settings";
import { capture } from "./shell";

/** The cluster that a command works on. */
export type Target =
  | { readonly kind: "embedded"; readonly kubeconfig: string }
  | {
      readonly kind: "own";
      /** A copy that knows the confirmed context only, so that nothing that is done later can reach another cluster. */
      readonly kubeconfig: string;
      readonly context: string;
    };

/** How {@link selectTarget} decides. */
export interface TargetQuestion {
  /** Go on without asking, for scripts (`--yes`). */
  readonly yes: boolean;
  readonly log: Log;
}

async function confirm(context: string, server: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new Error(`use --yes to work on context ${context} (${server}) without being asked`);
  }
  const dialogue = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await dialogue.question(`Work on context ${context} (${server})? Type its name: `);
    return answer.trim() === context;
  } finally {
    dialogue.close();
  }
}

/**
 * Writes the confirmed context to a kubeconfig of its own, which goes when this process ends. kubectl could be told
 * `--context`, but `pepr deploy` takes the current one, and another shell may change that while we work.
 */
function pin(minified: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-context-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const file = path.join(folder, "kubeconfig");
  writeFileSync(file, minified, { mode: 0o600 });
  return file;
}

/**
 * The embedded cluster, unless `OSM_CLUSTER=kubeconfig` asks for the user's own: then its context is shown and confirmed.
 * A KUBECONFIG that merely happens to be exported never selects anything.
 *
 * Throws when the user says no, or for another value of `OSM_CLUSTER`.
 */
export async function selectTarget(
  question: TargetQuestion,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Target> {
  const wanted = env["OSM_CLUSTER"] ?? "embedded";
  if (wanted === "embedded") {
    return { kind: "embedded", kubeconfig: kubeconfigFile(clusterSettings(env), "admin") };
  }
  if (wanted !== "kubeconfig") {
    throw new Error(
      `OSM_CLUSTER=${wanted}: "kubeconfig" selects your own cluster, "embedded" (the default) ours`,
    );
  }
  const kubectl = await kubectlPath(new Progress(question.log));
  const chosen = env["KUBECONFIG"];
  const config = (...args: string[]): Promise<string> =>
    capture(kubectl, ["config", ...args], chosen === undefined ? {} : { env: { KUBECONFIG: chosen } });
  const context = (await config("current-context")).trim();
  const minified = await config(
    "view",
    `--context=${context}`,
    "--minify",
    "--flatten",
    "--raw",
    "-o",
    "json",
  );
  const { clusters } = JSON.parse(minified) as { clusters: { cluster: { server: string } }[] };
  const server = clusters[0]?.cluster.server ?? "";
  question.log(`OSM_CLUSTER=kubeconfig: context ${context}, API server ${server}`);
  if (!question.yes && !(await confirm(context, server)))
    throw new Error("not confirmed: nothing was changed");
  return { kind: "own", kubeconfig: pin(minified), context };
}
