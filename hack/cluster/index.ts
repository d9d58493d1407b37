import { ensureImportedImages } from "../images/import";
import type { ImageRole } from "../images/names";
import { ALL_ROLES } from "../images/recipes";
import { helmPath, kubectlPath } from "./binaries";
import { kubeconfigFile } from "./credentials";
import { withLock } from "./lock";
import { down } from "./down";
import { isAlive, logFolder, recordedProcesses } from "./processes";
import { Progress, type Log } from "./progress";
import { clusterSettings, type ClusterSettings } from "./settings";
import { run, type RunResult } from "./shell";
import { up } from "./up";

/** A running embedded cluster and how to reach it. */
export interface Cluster {
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Path of a kubectl. */
  readonly kubectl: string;
  /** Path of the network namespace, for `nsenter --net=`. */
  readonly netns: string;
  /** Folder with all state. */
  readonly state: string;
  /** Folder with one log per component. */
  readonly logs: string;
  readonly settings: ClusterSettings;
}

/** Brings the embedded cluster up if it is not, and says how to reach it. Seconds when it is up already. */
export async function ensureCluster(log: Log): Promise<Cluster> {
  const settings = clusterSettings();
  await up(log, settings);
  return {
    kubeconfig: kubeconfigFile(settings, "admin"),
    kubectl: await kubectlPath(new Progress(log)),
    netns: settings.netns,
    state: settings.state,
    logs: logFolder(settings),
    settings,
  };
}

/** Whether an embedded cluster runs already: who did not start it does not end it. */
export function clusterRuns(): boolean {
  return recordedProcesses(clusterSettings()).some(isAlive);
}

/** Ends the embedded cluster; nothing of it is left but what is cached. */
export async function endCluster(log: Log): Promise<void> {
  await down(log, clusterSettings());
}

/** Builds and imports images (default all) into the embedded cluster; does nothing for those that are current. */
export async function ensureImages(log: Log, roles: readonly ImageRole[] = ALL_ROLES): Promise<void> {
  const settings = clusterSettings();
  await withLock(settings, log, () => ensureImportedImages(roles, settings, new Progress(log)));
}

/** Path of helm 3, built on first use. */
export function ensureHelm(log: Log): Promise<string> {
  return helmPath(new Progress(log));
}

/** How {@link kubectl} runs. */
export interface KubectlOptions {
  /** Default: the embedded cluster's kubeconfig. */
  readonly kubeconfig?: string;
  /** Written to standard input, e.g. a manifest for `apply -f -`. */
  readonly input?: string;
  /** Milliseconds; default one minute. */
  readonly timeoutMs?: number;
}

let found: Promise<string> | undefined;

/** Runs kubectl and gives its outcome, whatever its exit code. */
export async function tryKubectl(args: readonly string[], options: KubectlOptions = {}): Promise<RunResult> {
  found ??= kubectlPath(new Progress(() => undefined));
  const kubeconfig = options.kubeconfig ?? kubeconfigFile(clusterSettings(), "admin");
  return run(await found, [`--kubeconfig=${kubeconfig}`, ...args], {
    timeoutMs: options.timeoutMs ?? 60_000,
    ...(options.input === undefined ? {} : { input: options.input }),
  });
}

/** Runs kubectl and gives its standard output; throws with its error text when it fails. */
export async function kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
  const result = await tryKubectl(args, options);
  if (result.code !== 0) {
    const reason = result.stderr.trim() || (result.code === -1 ? "time limit reached" : result.stdout.trim());
    throw new Error(`kubectl ${args.join(" ")} (exit ${result.code}): ${reason}`);
  }
  return result.stdout;
}
