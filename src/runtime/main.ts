import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { systemClock } from "./clock";
import type { ControlPlane } from "./control-plane/start";
import { startControlPlane } from "./control-plane/start";
import type { MutableEnv } from "./control-plane/webhook-server";
import { createKubeClient } from "./kube/client";
import type { KubeCredentials } from "./kube/credentials";
import { inClusterCredentials, kubeconfigCredentials } from "./kube/credentials";
import { createLog } from "./log";
import type { Role } from "./role";
import { readSettings } from "./settings";

/** Outside a cluster: the kubeconfig that kubectl would use, read by kubectl itself. */
async function developerCredentials(): Promise<KubeCredentials> {
  const args = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"];
  const { stdout } = await promisify(execFile)("kubectl", args);
  return kubeconfigCredentials(JSON.parse(stdout));
}

/**
 * Starts the control plane of this process in the cluster it belongs to, and resolves when it is ready for Pepr's module
 * to be constructed. `env` is written to, because Pepr takes its certificate from there.
 *
 * Rejects when settings are wrong or a step of the start does not come to its end in time.
 */
export async function startInCluster(role: Role, env: MutableEnv, version: string): Promise<ControlPlane> {
  const log = createLog({ level: "info", clock: systemClock, component: role });
  const settings = readSettings(env, mkdtempSync(path.join(os.tmpdir(), "osm-")));
  const credentials =
    inClusterCredentials({ env, now: () => systemClock.now() }) ?? (await developerCredentials());
  const kube = createKubeClient(credentials);
  const random = (): number => Math.random();
  const exit = (): never => process.exit(0);
  return startControlPlane({ role, kube, settings, log, clock: systemClock, random, env, version, exit });
}

/** Says why the process cannot go on, and ends it: Kubernetes starts it again. */
export function endWith(error: unknown): never {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  createLog({ level: "info", clock: systemClock }).error("cannot go on", { reason });
  process.exit(1);
}
