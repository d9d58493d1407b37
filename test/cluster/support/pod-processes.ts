/** Processes of pods; this machine is their node. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

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
