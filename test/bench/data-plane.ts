/**
 * What our configuration costs at the sidecars: the same requests through two sidecars as they are configured by the product,
 * through the same Envoys with the least that does mutual TLS, and over a plain connection, by turns, so that what else the
 * machine does falls on all of them alike. The minimal ones run twice: their ratio says how far one can trust the others.
 * `npm run bench -- data-plane`; `-- data-plane parts` leaves out one part of ours after the other and adds it to the minimal one;
 * `-- data-plane instructions` counts instructions in place of time; `-- data-plane memory` asks what an Envoy needs for many Services.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { meshConfig, type TestObject } from "../support/objects";
import { benchFolder } from "./build";
import { benchEnvoyMemory } from "./envoy-memory";
import { benchInstructions } from "./instructions";
import { extended, PARTS, stripped, type Part } from "./parts";
import { table } from "./report";
import { NAMESPACE, type Way } from "./sidecars";
import { middle, onStage, ratio, ratioWords, rounds, type Load, type Turn, type Turns } from "./ways";

const CONNECTIONS = 16;
const SECONDS = Number(process.env["OSM_BENCH_SECONDS"] ?? 0.4);
const ROUNDS = Number(process.env["OSM_BENCH_ROUNDS"] ?? 40);
const RATE: Load = {
  rate: Number(process.env["OSM_BENCH_RATE"] ?? 1_000),
  connections: CONNECTIONS,
  seconds: SECONDS,
};
/** More than anybody can: as fast as it goes, where CPU for a request is the steadiest. */
const FULL_SPEED: Load = { ...RATE, rate: 1_000_000 };
/** What is aimed at: ours by minimal. */
const MOST = 1.1;

const ONLY_FAILURES: TestObject = {
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "Telemetry",
  metadata: { name: "quiet", namespace: NAMESPACE },
  spec: { accessLog: { onlyFailures: true } },
};

const PERMISSIVE = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true, enableEgress: true } });

const WAYS = new Map<string, Way>([
  ["ours", { kind: "ours", counting: false }],
  ["ours-counting", { kind: "ours", counting: true }],
  ["ours-failures", { kind: "ours", counting: false, with: [ONLY_FAILURES] }],
  ["minimal", { kind: "minimal" }],
  ["minimal-again", { kind: "minimal" }],
  ["plain", { kind: "plain" }],
]);

/** Minimal first: what the others are divided by. */
const COUNTED = new Map<string, Way>([
  ["minimal", { kind: "minimal" }],
  ["minimal-again", { kind: "minimal" }],
  ["ours-permissive", { kind: "ours", counting: false, with: [PERMISSIVE] }],
  ["ours", { kind: "ours", counting: false }],
  ["ours-failures", { kind: "ours", counting: false, with: [ONLY_FAILURES] }],
  ["ours-counting", { kind: "ours", counting: true }],
]);

const HEAD = [
  "way",
  "p50 ms",
  "p99 ms",
  "CPU s per 1,000 requests",
  "CPU by minimal",
  "added p50 by minimal",
  "added p99 by minimal",
];

function of(turns: Turns, name: string): readonly Turn[] {
  return turns.get(name) ?? [];
}

function line(turns: Turns, name: string): string[] {
  const [own, minimal, plain] = [of(turns, name), of(turns, "minimal"), of(turns, "plain")];
  const { p50, p99, cpu } = middle(own);
  const first = [name, p50.toFixed(3), p99.toFixed(3), cpu.toFixed(4)];
  if (name === "plain" || name === "minimal") return [...first, "", "", ""];
  return [
    ...first,
    ratioWords(ratio(own, minimal, turn => turn.cpu)),
    ratioWords(ratio(own, minimal, (turn, round) => turn.p50 - (plain[round]?.p50 ?? 0))),
    ratioWords(ratio(own, minimal, (turn, round) => turn.p99 - (plain[round]?.p99 ?? 0))),
  ];
}

async function compare(): Promise<object> {
  return onStage(WAYS, async stage => {
    const found: object[] = [];
    for (const load of [RATE, FULL_SPEED]) {
      const turns = await rounds(stage, ROUNDS, load);
      const speed = load === FULL_SPEED ? "as fast as it goes" : `${load.rate} requests a second`;
      process.stdout.write(
        `${speed}, ${CONNECTIONS} connections, ${ROUNDS} rounds of ${SECONDS} s; aimed at ≤ ${MOST}; load average ` +
          `${os.loadavg().join(", ")}\n` +
          `${table(
            HEAD,
            [...WAYS.keys()].map(name => line(turns, name)),
          )}\n`,
      );
      found.push({ load, turns: Object.fromEntries(turns) });
    }
    return found;
  });
}

/** The whole of ours, ours without a part, the minimal one with it, and the minimal one. */
function around(part: Part): ReadonlyMap<string, Way> {
  return new Map<string, Way>([
    ["ours", { kind: "ours", counting: true }],
    ["without", { kind: "ours", counting: true, change: resource => stripped(resource, [part], "less") }],
    ["with", { kind: "minimal", change: (bootstrap, ours) => extended(bootstrap, ours, [part]) }],
    ["minimal", { kind: "minimal" }],
  ]);
}

async function compareParts(): Promise<object> {
  const rows: string[][] = [];
  const figures: object[] = [];
  for (const part of PARTS) {
    const turns = await onStage(around(part), stage => rounds(stage, ROUNDS, FULL_SPEED));
    const cpu = (turn: Turn): number => turn.cpu;
    const without = ratio(of(turns, "without"), of(turns, "ours"), cpu);
    const alone = ratio(of(turns, "with"), of(turns, "minimal"), cpu);
    rows.push([part.name, ratioWords(without), ratioWords(alone)]);
    process.stderr.write(`${rows.at(-1)?.join("  ")}\n`);
    figures.push({ name: part.name, without, alone, turns: Object.fromEntries(turns) });
  }
  process.stdout.write(table(["part", "ours without it by ours", "minimal with it by minimal"], rows));
  return figures;
}

/** Measures what the arguments say, and prints it. */
export async function benchDataPlane(what: readonly string[]): Promise<void> {
  if (what.includes("memory")) {
    await benchEnvoyMemory();
    return;
  }
  const figures = await (what.includes("instructions")
    ? benchInstructions(COUNTED)
    : what.includes("parts")
      ? compareParts()
      : compare());
  const file = path.join(benchFolder(), "data-plane.json");
  writeFileSync(file, JSON.stringify(figures, null, 2));
  process.stdout.write(`All figures: ${file}\n`);
}
