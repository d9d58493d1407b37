/** One control plane, one mesh, one mode: everything that is measured there. */
import { calibrate, type Calibration } from "./calibration";
import { BUSY, FIRST, OPEN, RULES, type Cell, type Figure } from "./cells";
import type { Scene } from "./changes";
import type { Fleet } from "./fleet";
import { PODS_PER_SERVICE, type BenchMesh } from "./mesh";
import type { StartPlane } from "./plane";
import type { BenchPolicy, Mode } from "./policy";
import { median } from "./report";
import { Rig, type Cost } from "./rig";
import type { Memory } from "./usage";

/** Which part of the table a run is. */
export interface Plan {
  readonly mode: Mode;
  readonly proxies: number;
  readonly services: number;
  /** `growth`: the endpoint alone. `busy`: with what else happens in a cluster. `table`: all changes of the mode. */
  readonly cells: "growth" | "busy" | "table";
}

/** A row as it was measured. */
export interface Row {
  readonly key: string;
  readonly title: string;
  readonly mode: Mode;
  readonly proxies: number;
  readonly services: number;
  readonly median: Cost;
  readonly rounds: readonly Cost[];
  readonly cell?: Pick<Cell, "goal" | "osm" | "istiod">;
}

/** What a run has shown. */
export interface Result extends Plan {
  readonly rows: readonly Row[];
  readonly memory: Memory;
  /** Cores used without any change. */
  readonly idleCores: number;
}

/** What runs are made with. */
export interface Bench {
  readonly mesh: BenchMesh;
  readonly policy: BenchPolicy;
  readonly fleet: Fleet;
  readonly plane: StartPlane;
  readonly floor: string;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** Size for which the goals are. */
export const TABLE_PROXIES = 500;
const BUSY_PROXIES = 200;
/**
 * Repetitions that do not count: a replica that has just started runs code that is not compiled yet, which doubles what its
 * first ten small changes cost. What is asked is what a change costs in a mesh that is in use.
 */
const WARM_ROUNDS = 10;

function middle(costs: readonly Cost[]): Cost {
  const of = (pick: (cost: Cost) => number): number => median(costs.map(pick));
  return {
    firstMs: of(c => c.firstMs),
    lastMs: of(c => c.lastMs),
    cpuSeconds: of(c => c.cpuSeconds),
    bytes: of(c => c.bytes),
    responses: of(c => c.responses),
    told: of(c => c.told),
    concerned: of(c => c.concerned),
  };
}

function cellsOf({ mode, cells }: Plan): readonly Cell[] {
  const wanted = process.env["OSM_BENCH_CELLS"]?.split(",");
  const all = (mode === "open" ? OPEN : RULES).filter(({ key }) => wanted?.includes(key) ?? true);
  if (cells === "growth") return all.slice(0, 1);
  return cells === "busy" ? [...all.slice(0, 1), ...BUSY] : all;
}

/** Goals hold for the size that they were set for. */
function judged(cell: Cell, { mode, proxies, services }: Plan): boolean {
  if (mode === "wide") return false;
  const size = BUSY.includes(cell) ? BUSY_PROXIES : TABLE_PROXIES;
  return proxies === size && services === size / PODS_PER_SERVICE;
}

async function measureCell(bench: Bench, rig: Rig, plan: Plan, cell: Cell): Promise<Row> {
  const scene: Scene = { mesh: bench.mesh, policy: bench.policy, mode: plan.mode, proxies: plan.proxies };
  const rounds: Cost[] = [];
  for (let round = 0; round < WARM_ROUNDS + bench.rounds; round += 1) {
    const cost = await rig.measure(cell.change(scene, round));
    if (round >= WARM_ROUNDS) rounds.push(cost);
  }
  const { title } = cell;
  const { mode, proxies, services } = plan;
  const row = { key: `${mode}.${cell.key}`, title, mode, proxies, services, median: middle(rounds), rounds };
  return judged(cell, plan) ? { ...row, cell } : row;
}

function firstSync(plan: Plan, cost: Cost): Row {
  const { mode, proxies, services } = plan;
  const row = { key: `${mode}.sync`, title: "first sync", mode, proxies, services };
  const done = { ...row, median: cost, rounds: [cost] };
  if (mode === "wide" || proxies !== TABLE_PROXIES || services !== TABLE_PROXIES / PODS_PER_SERVICE)
    return done;
  const cell: { goal: Figure; osm: Figure; istiod: Figure } = FIRST[mode].sync;
  return { ...done, cell };
}

/** What happens to a whole fleet, once the table is done. */
export type Upheaval = (bench: Bench, rig: Rig, plan: Plan) => Promise<readonly Row[]>;

/** Starts a fresh control plane, connects the fleet and makes the changes. */
export async function run(bench: Bench, plan: Plan, upheavals: readonly Upheaval[] = []): Promise<Result> {
  const { mesh, policy, say } = bench;
  await mesh.growTo(plan.services);
  await policy.grow();
  await policy.enforce(plan.mode);
  const rig = await Rig.start(bench.plane, mesh, bench.fleet);
  try {
    const tokens = mesh.tokens(Array.from({ length: plan.proxies }, (_, i) => i));
    const rows: Row[] = [firstSync(plan, await rig.connect(tokens))];
    const idleCores = await rig.rest();
    const { memory } = rig;
    for (const cell of cellsOf(plan)) {
      const row = await measureCell(bench, rig, plan, cell);
      const { lastMs, cpuSeconds, bytes, told, concerned } = row.median;
      say(
        `  ${row.title}: ${lastMs.toFixed(0)} ms, ${cpuSeconds.toFixed(4)} s, ${(bytes / 1024).toFixed(0)} KiB, ` +
          `${row.median.responses} responses, ${told} told of ${concerned} concerned`,
      );
      rows.push(row);
    }
    for (const upheaval of upheavals) rows.push(...(await upheaval(bench, rig, plan)));
    return { ...plan, rows, memory, idleCores };
  } finally {
    await rig.stop();
  }
}

/** Calibrates with the fleet of a bench. */
export function calibrateBench({ floor, fleet }: Bench): Promise<Calibration> {
  return calibrate(floor, fleet, TABLE_PROXIES);
}
