import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ensureImportedImages } from "../images/import";
import { addonHash, addonManifest } from "./addons";
import { ensureCoredns, ensureKube } from "./binaries";
import { createCgroups } from "./cgroups";
import { componentPlans, writeComponentConfig } from "./components";
import { containerdPaths, writeRuntimeConfig } from "./container-runtime";
import { ensureCredentials, kubeconfigFile } from "./credentials";
import { STATE_MARK, teardown } from "./down";
import { withLock } from "./lock";
import { createNetwork, networkExists, refuseSharedNetworks } from "./network";
import { assertCanRun, ensurePackages, NEEDS } from "./packages";
import { bootId, isAlive, recordedProcesses, startProcess, type ProcessPlan } from "./processes";
import { Progress, until, type Log } from "./progress";
import { clusterSettings, type ClusterSettings } from "./settings";
import { capture, run } from "./shell";

/** Time for each component to become ready. A busy machine with two cores stays well below. */
const READY_MS = 120_000;

interface Build {
  readonly settings: ClusterSettings;
  readonly progress: Progress;
  /** Folder of the Kubernetes programs. */
  readonly kube: string;
}

function kubectlOf(build: Build, args: readonly string[], input?: string): Promise<string> {
  const kubeconfig = kubeconfigFile(build.settings, "admin");
  const options = { timeoutMs: 30_000, ...(input === undefined ? {} : { input }) };
  return capture(path.join(build.kube, "kubectl"), [`--kubeconfig=${kubeconfig}`, ...args], options);
}

async function isReady(build: Build): Promise<boolean> {
  if (!existsSync(kubeconfigFile(build.settings, "admin"))) return false;
  try {
    await kubectlOf(build, ["get", "--raw", "/readyz"]);
    const condition = '{.status.conditions[?(@.type=="Ready")].status}';
    const node = await kubectlOf(build, ["get", "node", build.settings.name, "-o", `jsonpath=${condition}`]);
    const dns = [
      "-n",
      "kube-system",
      "get",
      "deployment",
      "coredns",
      "-o",
      "jsonpath={.status.readyReplicas}",
    ];
    return node === "True" && (await kubectlOf(build, dns)) === "1";
  } catch {
    return false;
  }
}

function deadComponents(build: Build): ProcessPlan[] {
  const alive = new Set(
    recordedProcesses(build.settings)
      .filter(isAlive)
      .map(record => record.name),
  );
  return componentPlans(build.settings, build.kube).filter(plan => !alive.has(plan.name));
}

async function waitForStart(build: Build, plan: ProcessPlan): Promise<void> {
  const { settings } = build;
  const stillRuns = (): void => {
    if (!recordedProcesses(settings).some(record => record.name === plan.name && isAlive(record))) {
      throw new Error(
        `${plan.name} ended at once: see ${path.join(settings.state, "logs", `${plan.name}.log`)}`,
      );
    }
  };
  if (plan.name === "containerd") {
    const version = ["-a", containerdPaths(settings).socket, "version"];
    await until("containerd", READY_MS, async () => {
      stillRuns();
      return (await run("ctr", version)).code === 0 ? true : undefined;
    });
  }
  if (plan.name === "kube-apiserver") {
    await until("the API server's /readyz", READY_MS, async () => {
      stillRuns();
      await kubectlOf(build, ["get", "--raw", "/readyz"]);
      return true;
    });
  }
}

async function startComponents(build: Build): Promise<void> {
  for (const plan of deadComponents(build)) {
    await build.progress.step(`starting ${plan.name}`, async () => {
      startProcess(build.settings, plan);
      await waitForStart(build, plan);
    });
  }
}

async function prepareState(build: Build): Promise<void> {
  const { settings } = build;
  mkdirSync(settings.state, { recursive: true, mode: 0o700 });
  writeFileSync(path.join(settings.state, STATE_MARK), `${settings.name}\n`);
  await ensureCredentials(settings);
  writeRuntimeConfig(settings);
  writeComponentConfig(settings);
}

function addonFile(settings: ClusterSettings): string {
  return path.join(settings.state, "addons-applied");
}

function hasAddons(settings: ClusterSettings): boolean {
  const file = addonFile(settings);
  return existsSync(file) && readFileSync(file, "utf8") === addonHash(settings);
}

async function applyAddons(build: Build): Promise<void> {
  const { settings } = build;
  await until("acceptance of the add-ons", READY_MS, async () => {
    await kubectlOf(
      build,
      ["apply", "--server-side", "--force-conflicts", "-f", "-"],
      addonManifest(settings),
    );
    return true;
  });
  writeFileSync(addonFile(settings), addonHash(settings));
}

async function makeReady(build: Build): Promise<void> {
  const { settings, progress } = build;
  await prepareState(build);
  if (!(await networkExists(settings))) {
    await progress.step(`making network namespace ${settings.name}`, () => createNetwork(settings));
  }
  createCgroups(settings);
  await startComponents(build);
  await ensureImportedImages(["pause", "coredns"], settings, progress);
  await applyAddons(build);
  await progress.step("waiting for the node and DNS to be ready", () =>
    until("readiness of node and DNS", READY_MS, async () => ((await isReady(build)) ? true : undefined)),
  );
}

async function canBeRepaired(settings: ClusterSettings): Promise<boolean> {
  const records = recordedProcesses(settings);
  const sameBoot = records.some(record => record.bootId === bootId());
  return sameBoot && records.some(isAlive) && (await networkExists(settings));
}

async function repair(build: Build): Promise<boolean> {
  const { settings, progress } = build;
  if (!(await canBeRepaired(settings))) return false;
  const dead = deadComponents(build).map(plan => plan.name);
  progress.say(`the cluster is half up (not running: ${dead.join(", ") || "nothing"}); repairing it`);
  try {
    await makeReady(build);
    return true;
  } catch (error) {
    progress.say(`repair failed, so it is made anew: ${String(error).slice(0, 300)}`);
    return false;
  }
}

async function upLocked(settings: ClusterSettings, progress: Progress): Promise<void> {
  refuseSharedNetworks(settings);
  const kube = await ensureKube(progress);
  const build: Build = { settings, progress, kube };
  if (deadComponents(build).length === 0 && (await isReady(build))) {
    if (!hasAddons(settings)) await applyAddons(build);
    progress.say(`cluster ${settings.name} is up already`);
    return;
  }
  await ensureCoredns(progress);
  if (await repair(build)) return;
  if (existsSync(settings.state) || (await networkExists(settings))) await teardown(settings, progress);
  await makeReady(build);
}

/** Brings the embedded cluster up, whatever state it is in: nothing, half dead, from before a reboot, or healthy. */
export async function up(log: Log, settings: ClusterSettings = clusterSettings()): Promise<void> {
  const progress = new Progress(log);
  await assertCanRun();
  if (!existsSync(settings.state)) progress.say(NEEDS);
  await ensurePackages(progress);
  await withLock(settings, log, () => upLocked(settings, progress));
  progress.say(`cluster ${settings.name} is ready; kubeconfig ${kubeconfigFile(settings, "admin")}`);
}
