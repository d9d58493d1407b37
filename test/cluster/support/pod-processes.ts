/** Processes of pods; this machine is their node. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../../hack/cluster/shell";

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/** Processes of a pod whose command line holds a text, by default all of them but the one that holds its namespaces. */
export function processesOf(uid: string, command = ""): readonly number[] {
  const isWanted = (line: string): boolean => !line.startsWith("/pause") && line.includes(command);
  return readdirSync("/proc")
    .filter(name => /^\d+$/.test(name))
    .filter(pid => read(pid, "cgroup").includes(uid) && isWanted(read(pid, "cmdline")))
    .map(Number);
}

/** What the module's process is called in pods of the control plane: Pepr starts it as a child of its own. */
export const MODULE_PROCESS = "/app/module-";

/** Sends a signal; a process that has ended meanwhile is passed by. */
export function signal(pid: number, name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}

/** Has processes stand still for so long, and go on. */
export async function standStill(pids: readonly number[], ms: number): Promise<void> {
  for (const pid of pids) signal(pid, "SIGSTOP");
  try {
    await sleep(ms);
  } finally {
    for (const pid of pids) signal(pid, "SIGCONT");
  }
}

/** Sets a process's bound of open files, as its own user: root of a container on this machine may not change another's. */
async function limitFiles(pid: number, limit: string): Promise<void> {
  const idOf = (name: string): string =>
    new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(read(String(pid), "status"))?.[1] ?? "0";
  const as = ["--reuid", idOf("Uid"), "--regid", idOf("Gid"), "--clear-groups"];
  const { code, stderr } = await run("setpriv", [
    ...as,
    "prlimit",
    "--pid",
    String(pid),
    `--nofile=${limit}`,
  ]);
  if (code !== 0) throw new Error(stderr);
}

/** Processes can open no more files and no more connections for so long; those that are open stay so. */
export async function withoutFiles(pids: readonly number[], ms: number): Promise<void> {
  const before = new Map(
    pids.map(pid => {
      const [, soft = "", hard = ""] =
        /Max open files\s+(\S+)\s+(\S+)/.exec(read(String(pid), "limits")) ?? [];
      return [pid, `${soft}:${hard}`] as const;
    }),
  );
  for (const pid of pids) await limitFiles(pid, "1:");
  try {
    await sleep(ms);
  } finally {
    for (const [pid, limit] of before) await limitFiles(pid, limit);
  }
}
