import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { systemClock } from "./clock";
import type { ControlPlane } from "./control-plane/start";
import { startControlPlane } from "./control-plane/start";
import type { MutableEnv } from "./control-plane/webhook-server";
import { createKubeClient } from "./kube/client";
import { inClusterCredentials } from "./kube/credentials";
import { kubectlCredentials } from "./kube/kubeconfig";
import { createLog } from "./log";
import { takeConsole } from "./log/console";
import type { Role } from "./role";
import { readSettings } from "./settings";

/**
 * Starts the control plane of this process in the cluster it belongs to, and resolves when it is ready for Pepr's module
 * to be constructed. `env` is written to, because Pepr takes its certificate from there.
 *
 * Rejects when settings are wrong or a step of the start does not come to its end in time.
 */
export async function startInCluster(role: Role, env: MutableEnv, version: string): Promise<ControlPlane> {
  const log = createLog({ level: "info", clock: systemClock, component: role });
  takeConsole(log.child("console"));
  const settings = readSettings(env, mkdtempSync(path.join(os.tmpdir(), "osm-")));
  const credentials =
    inClusterCredentials({ env, now: () => systemClock.now() }) ?? (await kubectlCredentials());
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
