/** What a process of this machine has used, as the kernel counts it: nobody in that process is asked, so nothing is disturbed. */
import { readdirSync, readFileSync } from "node:fs";

/** CPU time of all threads that a process has, seconds, by the scheduler's nanoseconds. */
export function cpuSeconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(folder).map(task => {
    const [onCpu] = readFileSync(`${folder}/${task}/schedstat`, "utf8").split(" ");
    return Number(onCpu);
  });
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9;
}

/** Resident memory of a process, MiB. */
export interface Memory {
  readonly now: number;
  readonly peak: number;
}

/** What a process holds, and the most that it has held. */
export function residentMemory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  return { now: of("VmRSS"), peak: of("VmHWM") };
}
