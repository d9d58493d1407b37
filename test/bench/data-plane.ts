/**
 * What our configuration costs at the sidecars: the same requests through two sidecars as they are configured by the product,
 * through the same Envoys with the least that does mutual TLS, and over a plain connection, by turns, so that what else the
 * machine does falls on all of them alike. `npm run bench -- data-plane`; `-- data-plane parts` leaves out one part after the
 * other; `-- data-plane memory` asks what an Envoy needs for many Services.
 */
import { writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { waitFor } from "../support/wait";
import { quantile } from "../support/verdict";
import { benchFolder, buildGo } from "./build";
import { benchEnvoyMemory } from "./envoy-memory";
import { partsOf, stripped, type Part } from "./parts";
import { median, table } from "./report";
import { APP_PORT, PAIRS, SERVICE, Sidecars, type Pair, type Pids } from "./sidecars";
import { cpuSeconds } from "./usage";

const RATE = Number(process.env["OSM_BENCH_RATE"] ?? 1_000);
const CONNECTIONS = 16;
const SECONDS = Number(process.env["OSM_BENCH_SECONDS"] ?? 1.5);
const ROUNDS = Number(process.env["OSM_BENCH_ROUNDS"] ?? 16);
/** More than anybody can: as fast as it goes, where CPU for a request is the steadiest. */
const FULL_SPEED = 1_000_000;
/** Rounds for each part that is left out. */
const PART_ROUNDS = Math.ceil(ROUNDS / 2);
/** What is aimed at: ours by minimal. */
const MOST = 1.1;

/** One turn of one way. */
interface Turn {
  readonly p50: number;
  readonly p99: number;
  /** CPU seconds of both Envoys for a thousand requests. */
  readonly cpu: number;
}

interface Load {
  readonly took: readonly number[];
  readonly failed: number;
}

/** All that a turn needs. */
interface Stage {
  readonly sidecars: Sidecars;
  readonly program: string;
  readonly pids: Readonly<Record<Pair, Pids>>;
}

function targetOf({ network }: Sidecars, pair: Pair): string {
  return pair === "plain" ? `${network.pod("plain-server").ip}:${APP_PORT}` : `${SERVICE.ip}:${SERVICE.port}`;
}

async function load({ sidecars, program }: Stage, pair: Pair, seconds: number, rate = RATE): Promise<Load> {
  const numbers = [rate, CONNECTIONS, seconds].map(String);
  const place = sidecars.network.pod(`${pair}-caller`);
  const child = place.start([program, "call", targetOf(sidecars, pair), SERVICE.host, ...numbers], {
    uid: 1001,
  });
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise(resolve => child.once("close", resolve));
  if (text === "") throw new Error(`no load on ${pair}`);
  return JSON.parse(text) as Load;
}

async function turn(stage: Stage, pair: Pair, rate = RATE): Promise<Turn> {
  const used = (): number => stage.pids[pair].map(cpuSeconds).reduce((sum, one) => sum + one, 0);
  const before = used();
  const { took, failed } = await load(stage, pair, SECONDS, rate);
  const cpu = used() - before;
  if (failed > 0 || took.length === 0)
    throw new Error(`${pair}: ${failed} of ${took.length} requests failed`);
  return {
    p50: quantile(took, 0.5) / 1_000,
    p99: quantile(took, 0.99) / 1_000,
    cpu: (cpu * 1_000) / took.length,
  };
}

type Turns = Record<Pair, Turn[]>;

async function rounds(stage: Stage, pairs: readonly Pair[], count: number, rate = RATE): Promise<Turns> {
  const turns: Turns = { ours: [], variant: [], minimal: [], plain: [] };
  for (let round = 0; round < count; round += 1)
    for (const pair of pairs) turns[pair].push(await turn(stage, pair, rate));
  return turns;
}

function middle(turns: readonly Turn[]): Turn {
  const of = (pick: (turn: Turn) => number): number => median(turns.map(pick));
  return { p50: of(t => t.p50), p99: of(t => t.p99), cpu: of(t => t.cpu) };
}

function line(name: string, own: Turn, plain: Turn): string[] {
  return [
    name,
    own.p50.toFixed(3),
    own.p99.toFixed(3),
    (own.p50 - plain.p50).toFixed(3),
    (own.p99 - plain.p99).toFixed(3),
    own.cpu.toFixed(4),
  ];
}

const HEAD = ["way", "p50 ms", "p99 ms", "added p50", "added p99", "CPU s per 1,000 requests"];

/** The median of the rounds' own ratios: what else the machine did in a round fell on both. */
function ratio(
  of: readonly Turn[],
  by: readonly Turn[],
  pick: (turn: Turn, round: number) => number,
): number {
  return median(
    of.flatMap((one, round) => {
      const other = by[round];
      return other === undefined ? [] : [pick(one, round) / pick(other, round)];
    }),
  );
}

/** Ratios of ours to minimal: of what is added to a plain connection, and of CPU. */
function ratios({ ours, minimal, plain }: Turns): Record<"p50" | "p99" | "cpu", number> {
  return {
    p50: ratio(ours, minimal, (turn, round) => turn.p50 - (plain[round]?.p50 ?? 0)),
    p99: ratio(ours, minimal, (turn, round) => turn.p99 - (plain[round]?.p99 ?? 0)),
    cpu: ratio(ours, minimal, turn => turn.cpu),
  };
}

const WAYS = ["ours", "minimal", "plain"] as const;

async function compare(stage: Stage, rate: number): Promise<object> {
  const turns = await rounds(stage, WAYS, ROUNDS, rate);
  const plain = middle(turns.plain);
  const lines = WAYS.map(pair => line(pair, middle(turns[pair]), plain));
  const found = ratios(turns);
  const words = Object.entries(found).map(
    ([what, value]) => `${what} ${value.toFixed(2)} (${value <= MOST ? "met" : "missed"})`,
  );
  process.stdout.write(
    `${rate === FULL_SPEED ? "as fast as it goes" : `${rate} requests a second`}, ${CONNECTIONS} connections:\n` +
      `${table(HEAD, lines)}ours by minimal, aimed at ≤ ${MOST}: ${words.join(", ")}; ` +
      `load average ${os.loadavg().join(", ")}\n\n`,
  );
  return { turns, ratios: found };
}

/** Gives the variant ours without some parts. */
async function leaveOut(stage: Stage, parts: readonly Part[], tag: string): Promise<void> {
  const { sidecars } = stage;
  for (const role of ["caller", "server"] as const) {
    const resources = sidecars.ours("variant", role);
    await sidecars.give(
      "variant",
      role,
      parts.length === 0 ? resources : resources.map(resource => stripped(resource, parts, tag)),
    );
  }
  // Connections that are open stay with what they began with for a moment.
  await load(stage, "variant", 1.5);
}

/** Ours with one part after the other left out, and with none of them, each beside the whole and the minimal one. */
async function compareParts(stage: Stage): Promise<object> {
  const { sidecars } = stage;
  const all = partsOf([...sidecars.ours("variant", "caller"), ...sidecars.ours("variant", "server")]);
  const cases: readonly (readonly [string, readonly Part[]])[] = [
    ["all of ours", []],
    ...all.map(part => [`without ${part.name}`, [part]] as const),
    ["without all of these", all],
  ];
  const rows: string[][] = [];
  const figures: object[] = [];
  for (const [index, [name, parts]] of cases.entries()) {
    await leaveOut(stage, parts, `part${index}`);
    const turns = await rounds(stage, ["ours", "variant", "minimal"], PART_ROUNDS, FULL_SPEED);
    const cpu = (turn: Turn): number => turn.cpu;
    const byOurs = ratio(turns.variant, turns.ours, cpu);
    const byMinimal = ratio(turns.variant, turns.minimal, cpu);
    const { p50, cpu: own } = middle(turns.variant);
    rows.push([name, p50.toFixed(3), own.toFixed(4), byOurs.toFixed(3), byMinimal.toFixed(3)]);
    process.stderr.write(`${rows.at(-1)?.join("  ")}\n`);
    figures.push({ name, turns, byOurs, byMinimal });
  }
  process.stdout.write(
    table(["configuration", "p50 ms", "CPU s per 1,000", "CPU by ours", "CPU by minimal"], rows),
  );
  return figures;
}

async function stageOf(sidecars: Sidecars): Promise<Stage> {
  const program = buildGo("load");
  for (const pair of PAIRS) {
    const place = sidecars.network.pod(`${pair}-server`);
    place.start([program, "serve", `:${APP_PORT}`], { uid: 1001, stdio: "ignore" });
  }
  const pids = {
    ours: await sidecars.startOurs("ours"),
    variant: await sidecars.startOurs("variant"),
    minimal: await sidecars.startMinimal(),
    plain: [],
  };
  const stage = { sidecars, program, pids };
  for (const pair of PAIRS)
    await waitFor(`the way of ${pair}`, async () => {
      const { took, failed } = await load(stage, pair, 0.5).catch(() => ({ took: [], failed: 1 }));
      return took.length > 0 && failed === 0;
    });
  return stage;
}

/** Measures what the arguments say, and prints it. */
export async function benchDataPlane(what: readonly string[]): Promise<void> {
  const file = path.join(benchFolder(), "data-plane.json");
  const save = (figures: object): void => {
    writeFileSync(file, JSON.stringify({ rate: RATE, connections: CONNECTIONS, ...figures }, null, 2));
    process.stdout.write(`All figures: ${file}\n`);
  };
  if (what.includes("memory")) {
    await benchEnvoyMemory();
    return;
  }
  const sidecars = await Sidecars.start();
  try {
    const stage = await stageOf(sidecars);
    for (const pair of PAIRS) await turn(stage, pair);
    const compared = [await compare(stage, RATE), await compare(stage, FULL_SPEED)];
    save(what.includes("parts") ? { compared, parts: await compareParts(stage) } : { compared });
  } finally {
    await sidecars.close();
  }
}
