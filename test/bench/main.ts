/**
 * What a change costs the control plane. `npm run bench`: the table of docs/reference/performance.md. Sizes by
 * `OSM_BENCH_SIZES=100,500,1000,2000`, Services by `OSM_BENCH_SERVICES=100,1000`, repetitions by `OSM_BENCH_ROUNDS`, modes by `OSM_BENCH_MODES=rules,wide,open`,
 * changes by `OSM_BENCH_CELLS=endpoint,rule,split,service`, a folder of CPU profiles by `OSM_BENCH_PROFILE`; `OSM_BENCH_BOUND=1`: with the default limits of a pod.
 * `-- outside`: the process with all duties (`npm run control-plane`) in place of a replica. `-- upheavals`: reconnecting, rolling restart and storm too. `-- baseline`: makes this run the baseline, against which others
 * fail that have become worse. `-- leaves`: what leaves cost. All figures are left as a JSON file in the cache folder.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { ratiosOf, readBaseline, worsened, writeBaseline, type Baseline } from "./baseline";
import { benchFolder, buildGo, bundle } from "./build";
import { benchDataPlane } from "./data-plane";
import { Fleet } from "./fleet";
import { benchLeaves } from "./leaves";
import { BenchMesh, PODS_PER_SERVICE } from "./mesh";
import { outside, replica } from "./plane";
import { BenchPolicy, type Mode } from "./policy";
import { growthOf, printed } from "./print";
import { calibrateBench, run, type Bench, type Plan, type Result, type Upheaval } from "./run";
import { reconnect, rollingRestart, storm } from "./upheavals";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The table's own runs. */
const TABLE: readonly Plan[] = [
  { mode: "rules", proxies: 50, services: 10, cells: "growth" },
  { mode: "rules", proxies: 200, services: 40, cells: "busy" },
  { mode: "rules", proxies: 500, services: 100, cells: "table" },
  { mode: "wide", proxies: 500, services: 100, cells: "growth" },
  { mode: "open", proxies: 500, services: 100, cells: "table" },
];

function numbers(name: string): number[] | undefined {
  const text = process.env[name];
  return text === undefined || text === "" ? undefined : text.split(",").map(Number);
}

/** Runs of chosen sizes, small meshes first: the cluster only grows. */
function plans(): readonly Plan[] {
  const [sizes, meshes] = [numbers("OSM_BENCH_SIZES"), numbers("OSM_BENCH_SERVICES")];
  if (sizes === undefined && meshes === undefined) return TABLE;
  const modes = (process.env["OSM_BENCH_MODES"] ?? "rules,open").split(",") as Mode[];
  const chosen = (sizes ?? [500]).flatMap(proxies =>
    (meshes ?? [proxies / PODS_PER_SERVICE]).flatMap(services =>
      modes.map((mode): Plan => ({ mode, proxies, services, cells: "table" })),
    ),
  );
  return chosen
    .filter(plan => plan.services * PODS_PER_SERVICE >= plan.proxies)
    .sort((a, b) => a.services - b.services);
}

function upheavalsOf({ cells, mode }: Plan): readonly Upheaval[] {
  if (!process.argv.includes("upheavals") || cells !== "table") return [];
  return mode !== "open" ? [reconnect, rollingRestart, storm] : [reconnect, rollingRestart];
}

function judge(ratios: Baseline): void {
  if (process.argv.includes("baseline")) {
    writeBaseline(ratios);
    return;
  }
  // The baseline is of the table's own runs: in other orders a change finds another mesh.
  if (plans() !== TABLE) return;
  const worse = worsened(ratios, readBaseline());
  for (const line of worse) say(`WORSE than the baseline (CPU in floors, KiB): ${line}`);
  if (worse.length > 0) process.exitCode = 1;
}

async function benchControlPlane(): Promise<void> {
  const mesh = await BenchMesh.start();
  const fleet = new Fleet(buildGo("fleet"));
  const bench: Bench = {
    mesh,
    policy: new BenchPolicy(mesh),
    fleet,
    plane: process.argv.includes("outside") ? outside() : replica(),
    floor: bundle(path.join(__dirname, "floor.ts")),
    rounds: Number(process.env["OSM_BENCH_ROUNDS"] ?? 5),
    say,
  };
  const results: Result[] = [];
  const end = (): void => {
    fleet.stop();
    void mesh.api.stop().then(() => process.exit(1));
  };
  process.once("SIGTERM", end).once("SIGINT", end);
  try {
    const calibrations = [await calibrateBench(bench)];
    say(JSON.stringify(calibrations[0]));
    for (const plan of plans()) {
      say(`${plan.mode}: ${plan.proxies} proxies, ${plan.services} services`);
      const result = await run(bench, plan, upheavalsOf(plan));
      results.push(result);
      const [sync] = result.rows;
      say(
        `  first sync ${sync?.median.lastMs.toFixed(0)} ms, ${sync?.median.cpuSeconds.toFixed(2)} s, ` +
          `${((sync?.median.bytes ?? 0) / 1048576).toFixed(1)} MiB; ${result.memory.now.toFixed(0)} MiB, at most ${result.memory.peak.toFixed(0)}; ` +
          `at rest ${(result.idleCores * 1000).toFixed(1)} m`,
      );
    }
    calibrations.push(await calibrateBench(bench));
    const file = path.join(benchFolder(), "control-plane.json");
    const machine = { cpus: os.cpus().length, load: os.loadavg(), node: process.version };
    const growth = growthOf(results);
    writeFileSync(file, JSON.stringify({ machine, calibrations, growth, results }, null, 2));
    say(`\n${printed(results, calibrations)}\nload average ${os.loadavg().join(", ")}; all figures: ${file}`);
    judge(ratiosOf(results, calibrations));
  } finally {
    fleet.stop();
    await mesh.api.stop();
  }
}

async function main(): Promise<void> {
  if (process.argv.includes("leaves")) await benchLeaves();
  else if (process.argv.includes("data-plane")) await benchDataPlane(process.argv);
  else await benchControlPlane();
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
