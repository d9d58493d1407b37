import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { until } from "./progress";
import type { ClusterSettings } from "./settings";

const ROOT = "/sys/fs/cgroup";

function isUnified(): boolean {
  return existsSync(path.join(ROOT, "cgroup.controllers"));
}

/** The cluster's folder under every mounted controller (version 1), or the one folder of version 2. */
function folders(settings: ClusterSettings): string[] {
  if (isUnified()) return [path.join(ROOT, settings.name)];
  return readdirSync(ROOT, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => path.join(ROOT, entry.name, settings.name));
}

/** Hands every controller of version 2 down to a folder's children. */
function delegate(folder: string, controllers: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  for (const name of controllers) {
    try {
      writeFileSync(path.join(folder, "cgroup.subtree_control"), `+${name}`);
    } catch {
      // A controller that cannot be delegated here; kubelet says so itself if it needs it.
    }
  }
}

/** Makes the folder that kubelet takes as its root, under every controller, so that two clusters never meet. */
export function createCgroups(settings: ClusterSettings): void {
  if (isUnified()) {
    const controllers = readFileSync(path.join(ROOT, "cgroup.controllers"), "utf8").trim().split(/\s+/);
    delegate(ROOT, controllers);
    delegate(path.join(ROOT, settings.name), controllers);
    weigh(path.join(ROOT, settings.name, "cpu.weight"), 1000);
    return;
  }
  for (const folder of folders(settings)) mkdirSync(folder, { recursive: true });
  inheritCpuset(path.join(ROOT, "cpuset", settings.name));
  weigh(path.join(ROOT, "cpu", settings.name, "cpu.shares"), 16_384);
}

/**
 * All pods together would weigh as much as one single process beside them, and a compiler run would starve them until
 * their probes fail. So the cluster's folder weighs as much as some sixteen processes.
 */
function weigh(file: string, weight: number): void {
  try {
    writeFileSync(file, String(weight));
  } catch {
    // Without a cpu controller here; pods then share as they can.
  }
}

/** A version 1 cpuset starts empty and then takes no process until it is told which CPUs and memory it may use. */
function inheritCpuset(folder: string): void {
  if (!existsSync(folder)) return;
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const value = readFileSync(path.join(path.dirname(folder), file), "utf8");
    writeFileSync(path.join(folder, file), value);
  }
}

function children(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => path.join(folder, entry.name));
}

/** Every folder below and including this one, the deepest first. */
function deepestFirst(folder: string): string[] {
  return [...children(folder).flatMap(deepestFirst), ...(existsSync(folder) ? [folder] : [])];
}

function processesIn(folder: string): number[] {
  try {
    const text = readFileSync(path.join(folder, "cgroup.procs"), "utf8");
    return text
      .split("\n")
      .filter(line => line !== "")
      .map(Number);
  } catch {
    return []; // The folder went away while we walked.
  }
}

/** Process ids of all containers of the cluster. */
export function containerProcesses(settings: ClusterSettings): number[] {
  return [...new Set(folders(settings).flatMap(deepestFirst).flatMap(processesIn))];
}

/** Kills what runs in containers of the cluster and waits until nothing does. */
export async function killContainers(settings: ClusterSettings): Promise<void> {
  await until("the end of all containers", 20_000, () => {
    const pids = containerProcesses(settings);
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone already.
      }
    }
    return pids.length === 0 ? true : undefined;
  });
}

/** Removes the cluster's cgroups. Safe to repeat. */
export async function removeCgroups(settings: ClusterSettings): Promise<void> {
  await until("removal of cgroups", 10_000, () => {
    const left = folders(settings).flatMap(deepestFirst);
    for (const folder of left) rmdirSync(folder);
    return true;
  });
}

/** Folders of the cluster that still stand under /sys/fs/cgroup. */
export function cgroupsLeft(settings: ClusterSettings): string[] {
  return folders(settings).filter(folder => existsSync(folder));
}
