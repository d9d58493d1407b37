import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { bootId, startTicks } from "./processes";
import type { ClusterSettings } from "./settings";
import { until, type Log } from "./progress";

/** Longest wait for another `up`, `down` or image import of the same cluster: a first build may take this long. */
const WAIT_MS = 30 * 60_000;

function lockFile(settings: ClusterSettings): string {
  return `${settings.state}.lock`;
}

function holder(): string {
  return `${process.pid} ${startTicks(process.pid) ?? 0} ${bootId()}`;
}

function isStale(file: string): boolean {
  try {
    const [pid, ticks, boot] = readFileSync(file, "utf8").split(" ");
    if (boot === undefined) return false; // Just being written.
    return boot !== bootId() || startTicks(Number(pid)) !== Number(ticks);
  } catch {
    return false; // Given back in this moment.
  }
}

function tryTake(file: string): true | undefined {
  try {
    const handle = openSync(file, "wx");
    writeSync(handle, holder());
    closeSync(handle);
    return true;
  } catch {
    if (isStale(file)) rmSync(file, { force: true });
    return undefined;
  }
}

/** Runs `work` while no other process of this machine changes the same cluster; a dead holder's lock is taken over. */
export async function withLock<T>(settings: ClusterSettings, log: Log, work: () => Promise<T>): Promise<T> {
  const file = lockFile(settings);
  mkdirSync(path.dirname(file), { recursive: true });
  if (tryTake(file) !== true) {
    log(`another process is changing cluster ${settings.name} (${file}): waiting for it`);
    await until(`release of ${file}`, WAIT_MS, () => tryTake(file));
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
