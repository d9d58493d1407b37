import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { until } from "./progress";
import type { ClusterSettings } from "./settings";

/**
 * One process that `up` started. The start time and boot id make the pid trustworthy: a pid that was given to another
 * process since, or after a reboot, has another start time and is never signalled.
 */
export interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  /** Clock ticks since boot, field 22 of `/proc/<pid>/stat`. */
  readonly startTicks: number;
  readonly bootId: string;
}

/** What to start. */
export interface ProcessPlan {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Random id of this boot of the machine. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Start time of a live process in clock ticks since boot; undefined when there is none (a zombie counts as none). */
export function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the name in parentheses and may hold blanks; what follows the last one is regular.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** Whether the recorded process, and not another of the same pid, is running. */
export function isAlive(record: ProcessRecord): boolean {
  return record.bootId === bootId() && startTicks(record.pid) === record.startTicks;
}

function pidFolder(settings: ClusterSettings): string {
  return path.join(settings.state, "pids");
}

/** Folder with one log file per component. */
export function logFolder(settings: ClusterSettings): string {
  return path.join(settings.state, "logs");
}

/** All processes on record, running or not. */
export function recordedProcesses(settings: ClusterSettings): ProcessRecord[] {
  if (!existsSync(pidFolder(settings))) return [];
  return readdirSync(pidFolder(settings)).flatMap(file => {
    try {
      return [JSON.parse(readFileSync(path.join(pidFolder(settings), file), "utf8")) as ProcessRecord];
    } catch {
      return []; // Half-written by an `up` that was interrupted: nothing can be known of it.
    }
  });
}

/** Starts a process in the cluster's network namespace, detached from this one, its output in the log folder. */
export function startProcess(settings: ClusterSettings, plan: ProcessPlan): ProcessRecord {
  mkdirSync(pidFolder(settings), { recursive: true });
  mkdirSync(logFolder(settings), { recursive: true });
  const log = openSync(path.join(logFolder(settings), `${plan.name}.log`), "a");
  // nsenter and not "ip netns exec", which remounts /sys and so hides the cgroup mounts; it execs, so the pid stays.
  const child = spawn("nsenter", [`--net=${settings.netns}`, "--", plan.command, ...plan.args], {
    cwd: settings.state,
    detached: true,
    stdio: ["ignore", log, log],
    env: { PATH: process.env["PATH"], HOME: settings.state, ...plan.env },
  });
  closeSync(log);
  child.unref();
  const pid = child.pid;
  const ticks = pid === undefined ? undefined : startTicks(pid);
  if (pid === undefined || ticks === undefined) throw new Error(`${plan.name} could not be started`);
  const record: ProcessRecord = { name: plan.name, pid, startTicks: ticks, bootId: bootId() };
  writeFileSync(path.join(pidFolder(settings), `${plan.name}.json`), JSON.stringify(record));
  return record;
}

function signal(record: ProcessRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, name);
  } catch {
    // It ended between the look and the signal.
  }
}

/** Ends recorded processes: asks, waits `graceMs`, then insists. Gives back when none of them runs. */
export async function stopProcesses(records: readonly ProcessRecord[], graceMs: number): Promise<void> {
  for (const record of records) signal(record, "SIGTERM");
  const gone = (): true | undefined => (records.some(isAlive) ? undefined : true);
  await until("ending of processes", graceMs, gone, 50).catch(() => undefined);
  for (const record of records) signal(record, "SIGKILL");
  await until(`ending of ${records.map(record => record.name).join(", ")}`, 10_000, gone, 50);
}
