/**
 * Instructions that a pair of Envoys spends for a request outside of the kernel, counted by callgrind: on a machine that others
 * use as well, the only figure that tells a hundredth from noise. `npm run bench -- data-plane instructions`; needs Debian's valgrind.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SIDECAR_UID } from "../../src/model/mesh-words";
import type { Workshop } from "../support/sidecar";
import { waitFor } from "../support/wait";
import { table } from "./report";
import { ROLES, type Way } from "./sidecars";
import { ask, onStage, type Load, type Stage } from "./ways";

/** What counted Envoys can take. */
const LOAD: Load = { rate: 120, connections: 4, seconds: 2 };
/** Windows of {@link LOAD}, of which the least counts: what is done now and then (statistics, certificates) is not a request's. */
const WINDOWS = 4;
/** An Envoy with nothing to do hears of a command when its next timer runs, milliseconds. */
const COMMAND_MS = 60_000;

const folderOf = ({ folder }: Workshop): string => path.join(folder, "callgrind");

/** Puts callgrind in front of the Envoys of a workshop; it counts nothing until it is told to. */
function underCallgrind(workshop: Workshop): void {
  const { envoy } = workshop;
  const folder = folderOf(workshop);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  renameSync(envoy, `${envoy}.real`);
  const counting = `--tool=callgrind --instr-atstart=no --callgrind-out-file=${folder}/count.%p`;
  const command = `exec valgrind --vgdb-prefix=${folder}/vgdb ${counting} ${envoy}.real "$@"`;
  writeFileSync(envoy, `#!/bin/sh\n${command}\n`, { mode: 0o755 });
}

function tell(folder: string, pid: number, ...words: readonly string[]): void {
  const who = { uid: SIDECAR_UID, gid: SIDECAR_UID };
  const args = [`--vgdb-prefix=${folder}/vgdb`, `--pid=${pid}`, ...words];
  execFileSync("vgdb", args, { ...who, stdio: "ignore", timeout: COMMAND_MS });
}

/** Instructions for each request of a window, by role. */
async function windowOf(stage: Stage, name: string, window: number): Promise<readonly number[]> {
  const folder = folderOf(stage.sidecars.workshop);
  const pids = stage.pids.get(name) ?? [];
  for (const pid of pids) tell(folder, pid, "zero");
  const { took, failed } = await ask(stage, name, LOAD);
  const requests = took?.length ?? 0;
  if (failed > 0 || requests === 0) throw new Error(`${name}: ${failed} of ${requests} requests failed`);
  for (const pid of pids) tell(folder, pid, "dump");
  return Promise.all(
    pids.map(pid =>
      waitFor(`the count of ${name}`, () => {
        const text = readFileSync(path.join(folder, `count.${pid}.${window}`), "utf8");
        const sum = /^(?:totals|summary): (\d+)/m.exec(text)?.[1];
        return sum === undefined ? undefined : Number(sum) / requests;
      }),
    ),
  );
}

/** Of one way, by role: the least of some windows. */
async function countOf(name: string, way: Way): Promise<readonly number[]> {
  return onStage(
    new Map([[name, way]]),
    async stage => {
      const pids = stage.pids.get(name) ?? [];
      if (pids.length !== ROLES.length) throw new Error(`${name}: ${pids.length} Envoys under callgrind`);
      for (const pid of pids) tell(folderOf(stage.sidecars.workshop), pid, "instrumentation", "on");
      await ask(stage, name, LOAD);
      const windows: (readonly number[])[] = [];
      for (let window = 1; window <= WINDOWS; window += 1) windows.push(await windowOf(stage, name, window));
      return ROLES.map((_, role) => Math.min(...windows.map(counts => counts[role] ?? NaN)));
    },
    { prepare: underCallgrind, load: LOAD },
  );
}

/** Counts each way by itself and prints the table; the first is what the others are divided by. */
export async function benchInstructions(ways: ReadonlyMap<string, Way>): Promise<object> {
  const found = new Map<string, readonly number[]>();
  const sum = (counts: readonly number[] = []): number => counts.reduce((all, one) => all + one, 0);
  for (const [name, way] of ways) {
    found.set(name, await countOf(name, way));
    process.stderr.write(`${name}: ${(found.get(name) ?? []).map(Math.round).join(" + ")}\n`);
  }
  const [first] = found.values();
  const rows = [...found].map(([name, counts]) => [
    name,
    ...counts.map(count => (count / 1_000).toFixed(0)),
    (sum(counts) / sum(first)).toFixed(2),
  ]);
  process.stdout.write(
    `thousand instructions a request outside of the kernel, the least of ${WINDOWS} windows\n` +
      `${table(["way", ...ROLES, `both, by ${[...found.keys()][0] ?? ""}`], rows)}\n`,
  );
  return Object.fromEntries(found);
}
