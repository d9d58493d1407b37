import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { cgroupsLeft, containerProcesses, killContainers, removeCgroups } from "./cgroups";
import { containerdPaths } from "./container-runtime";
import { withLock } from "./lock";
import { ownLinkExists, removeNetwork } from "./network";
import {
  isAlive,
  recordedProcesses,
  startTicks,
  stopProcesses,
  bootId,
  type ProcessRecord,
} from "./processes";
import { Progress, until, type Log } from "./progress";
import { clusterSettings, type ClusterSettings } from "./settings";
import { run } from "./shell";

/** Time a component gets to end by itself. */
const GRACE_MS = 3000;

/** containerd's shims of this cluster, known by our socket in their command line. */
function shims(settings: ClusterSettings): ProcessRecord[] {
  const socket = containerdPaths(settings).socket;
  return readdirSync("/proc")
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const args = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        const ours = path.basename(args[0] ?? "") === "containerd-shim-runc-v2" && args.includes(socket);
        const ticks = startTicks(Number(name));
        if (!ours || ticks === undefined) return [];
        return [{ name: "containerd-shim", pid: Number(name), startTicks: ticks, bootId: bootId() }];
      } catch {
        return []; // It ended while we looked.
      }
    });
}

/** Mount points below the state folder, the deepest first. */
function mountsBelow(folder: string): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  return lines
    .map(line => (line.split(" ")[4] ?? "").replace(/\\040/g, " "))
    .filter(target => target.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

async function unmountAll(settings: ClusterSettings): Promise<void> {
  await until(`unmounting below ${settings.state}`, 20_000, async () => {
    const targets = mountsBelow(settings.state);
    if (targets.length === 0) return true;
    // Lazy: all users of these mounts are dead, and a directory that lingers a moment must not stop us.
    for (const target of targets) await run("umount", ["-l", target]);
    return undefined;
  });
}

/** The shims' sockets stand in a folder that containerd fixes; each shim's address file says which is its own. */
function shimSockets(settings: ClusterSettings): string[] {
  const tasks = path.join(containerdPaths(settings).run, "io.containerd.runtime.v2.task", "k8s.io");
  if (!existsSync(tasks)) return [];
  return readdirSync(tasks).flatMap(id => {
    try {
      return [
        readFileSync(path.join(tasks, id, "address"), "utf8")
          .trim()
          .replace("unix://", ""),
      ];
    } catch {
      return [];
    }
  });
}

async function stopNamed(settings: ClusterSettings, names: readonly string[]): Promise<void> {
  const records = recordedProcesses(settings).filter(
    record => names.includes(record.name) && isAlive(record),
  );
  if (records.length > 0) await stopProcesses(records, GRACE_MS);
}

async function stopAll(settings: ClusterSettings): Promise<void> {
  // kubelet first, or it would start again what we end.
  await stopNamed(settings, ["kubelet", "kube-proxy"]);
  const sockets = shimSockets(settings);
  await killContainers(settings);
  const monitors = shims(settings);
  if (monitors.length > 0) await stopProcesses(monitors, 200);
  await stopNamed(settings, ["containerd", "kube-scheduler", "kube-controller-manager"]);
  await stopNamed(settings, ["kube-apiserver"]);
  await stopNamed(settings, ["etcd"]);
  // A container that was being created while we counted.
  await killContainers(settings);
  for (const socket of sockets) rmSync(socket, { force: true });
}

/** File that marks a folder as the state of a cluster; no folder without it is ever removed. */
export const STATE_MARK = "osm-cluster-state";

function assertOurs(settings: ClusterSettings): void {
  const { state } = settings;
  if (!existsSync(state) || readdirSync(state).length === 0 || existsSync(path.join(state, STATE_MARK)))
    return;
  throw new Error(`${state} holds something that is not a cluster's state: choose another OSM_STATE`);
}

/** Removes everything of the cluster from this machine. Every part may be missing, so an interrupted run is finished. */
export async function teardown(settings: ClusterSettings, progress: Progress): Promise<void> {
  await progress.step(`removing cluster ${settings.name}`, async note => {
    assertOurs(settings);
    note("ending processes");
    await stopAll(settings);
    note("unmounting");
    await unmountAll(settings);
    note("removing network and cgroups");
    await removeNetwork(settings);
    await removeCgroups(settings);
    rmSync(settings.state, { recursive: true, force: true, maxRetries: 5 });
  });
}

/** Takes the embedded cluster down and leaves nothing but the cache. */
export async function down(log: Log, settings: ClusterSettings = clusterSettings()): Promise<void> {
  const progress = new Progress(log);
  await withLock(settings, log, () => teardown(settings, progress));
  const left = await leftovers(settings);
  if (left.length > 0) throw new Error(`still there after down: ${left.join("; ")}`);
  progress.say(`cluster ${settings.name} is gone`);
}

/** What of this cluster is on the machine, one line each; empty after `down`. */
export async function leftovers(settings: ClusterSettings): Promise<string[]> {
  const left = [...cgroupsLeft(settings), ...mountsBelow(settings.state)];
  for (const file of [settings.state, settings.netns]) if (existsSync(file)) left.push(file);
  for (const pid of containerProcesses(settings)) left.push(`container process ${pid}`);
  for (const shim of shims(settings)) left.push(`shim ${shim.pid}`);
  for (const record of recordedProcesses(settings))
    if (isAlive(record)) left.push(`${record.name} ${record.pid}`);
  if (await ownLinkExists(settings)) {
    const routes = await run("ip", ["route", "show", "dev", settings.hostLink]);
    left.push(`link ${settings.hostLink}`, ...routes.stdout.trim().split("\n").filter(Boolean));
  }
  return left;
}
