/** Bounds of a process by the kernel's control groups of either version, as the kubelet sets them. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const ROOT = "/sys/fs/cgroup";
const PERIOD_US = 100_000;

/** What a process may have from now on. */
export interface Bounds {
  /** Share of one core. */
  readonly cores: number;
  /** Memory; default: all there is. */
  readonly bytes?: number;
}

type Controller = "cpu" | "memory";

/** The group of this process, where another one is put back to; `controller`: of the first version. */
function ownGroup(controller: Controller | undefined): string {
  const lines = readFileSync("/proc/self/cgroup", "utf8").split("\n");
  const own = lines
    .map(line => /^\d+:([^:]*):(.*)$/.exec(line))
    .find(match => (controller ? match?.[1]?.split(",").includes(controller) : match?.[1] === ""));
  return path.join(ROOT, controller ?? "", own?.[2] ?? "");
}

/** Files of the groups, and what is written to them. */
function written(
  { cores, bytes }: Bounds,
  first: boolean,
): readonly (readonly [Controller, string, string])[] {
  const quota = Math.round(PERIOD_US * cores);
  const cpu: readonly (readonly [Controller, string, string])[] = first
    ? [
        ["cpu", "cpu.cfs_period_us", String(PERIOD_US)],
        ["cpu", "cpu.cfs_quota_us", String(quota)],
      ]
    : [["cpu", "cpu.max", `${quota} ${PERIOD_US}`]];
  if (bytes === undefined) return cpu;
  return [...cpu, ["memory", first ? "memory.limit_in_bytes" : "memory.max", String(bytes)]];
}

/** A process in groups of its own. */
export class BoundProcess {
  private constructor(
    private readonly pid: number,
    /** By folder, where the process came from. */
    private readonly homes: ReadonlyMap<string, string>,
  ) {}

  /** Throws where this machine's groups may not be changed. */
  static of(pid: number, bounds: Bounds): BoundProcess {
    const first = existsSync(path.join(ROOT, "cpu"));
    const homes = new Map<string, string>();
    for (const [controller, file, value] of written(bounds, first)) {
      const folder = path.join(ROOT, first ? controller : "", `osm-test-${pid}`);
      if (!homes.has(folder)) mkdirSync(folder);
      homes.set(folder, ownGroup(first ? controller : undefined));
      writeFileSync(path.join(folder, file), value);
    }
    for (const folder of homes.keys()) writeFileSync(path.join(folder, "cgroup.procs"), String(pid));
    return new BoundProcess(pid, homes);
  }

  /** Ends the bounds; the process may have ended before. */
  lift(): void {
    const isThere = existsSync(`/proc/${this.pid}`);
    for (const [folder, home] of this.homes) {
      if (isThere) writeFileSync(path.join(home, "cgroup.procs"), String(this.pid));
      rmdirSync(folder);
    }
  }
}
