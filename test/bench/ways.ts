/** Turns of load through pairs of pods, one pair after the other, and what they say of each other. */
import { quantile } from "../support/verdict";
import { waitFor } from "../support/wait";
import type { Workshop } from "../support/sidecar";
import { buildGo } from "./build";
import { median } from "./report";
import { APP_PORT, SERVICE, Sidecars, type Pids, type Way } from "./sidecars";
import { cpuSeconds } from "./usage";

/** One turn of one way. */
export interface Turn {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** CPU seconds of both Envoys for a thousand requests. */
  readonly cpu: number;
}

/** How load is made. */
export interface Load {
  /** Requests a second; what cannot be had is made as fast as it goes. */
  readonly rate: number;
  readonly connections: number;
  readonly seconds: number;
}

interface Answers {
  readonly took: readonly number[] | null;
  readonly failed: number;
}

/** Pairs that run, by name. */
export interface Stage {
  readonly sidecars: Sidecars;
  readonly program: string;
  readonly ways: ReadonlyMap<string, Way>;
  readonly pids: ReadonlyMap<string, Pids>;
}

/** Makes load on one way. */
export async function ask({ sidecars, program, ways }: Stage, name: string, load: Load): Promise<Answers> {
  const { network } = sidecars;
  const plain = ways.get(name)?.kind === "plain";
  const target = plain ? `${network.pod(`${name}-server`).ip}:${APP_PORT}` : `${SERVICE.ip}:${SERVICE.port}`;
  const numbers = [load.rate, load.connections, load.seconds].map(String);
  const caller = network.pod(`${name}-caller`);
  const child = caller.start([program, "call", target, SERVICE.host, ...numbers], { uid: 1001 });
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => (text += part));
  await new Promise(resolve => child.once("close", resolve));
  if (text === "") throw new Error(`no load on ${name}`);
  return JSON.parse(text) as Answers;
}

/** One turn; a request that fails is an error. */
async function turn(stage: Stage, name: string, load: Load): Promise<Turn> {
  const used = (): number => (stage.pids.get(name) ?? []).map(cpuSeconds).reduce((sum, one) => sum + one, 0);
  const before = used();
  const { took, failed } = await ask(stage, name, load);
  const cpu = used() - before;
  const all = took ?? [];
  if (failed > 0 || all.length === 0) throw new Error(`${name}: ${failed} of ${all.length} requests failed`);
  return {
    p50: quantile(all, 0.5) / 1_000,
    p99: quantile(all, 0.99) / 1_000,
    cpu: (cpu * 1_000) / all.length,
  };
}

/** How pairs are brought up. */
interface StageOptions {
  /** Puts something in front of Envoy. */
  readonly prepare?: (workshop: Workshop) => void;
  /** What each way has to take before it counts as open. */
  readonly load?: Load;
}

const WARM_UP: Load = { rate: 1_000_000, connections: 16, seconds: 0.5 };

/** Runs these pairs, one in its own two pods each, while `then` looks at them. */
export async function onStage<T>(
  ways: ReadonlyMap<string, Way>,
  then: (stage: Stage) => Promise<T>,
  { prepare, load = WARM_UP }: StageOptions = {},
): Promise<T> {
  const sidecars = await Sidecars.start([...ways.keys()], prepare);
  try {
    const program = buildGo("load");
    const pids = new Map<string, Pids>();
    for (const [name, way] of ways) {
      const place = sidecars.network.pod(`${name}-server`);
      place.start([program, "serve", `:${APP_PORT}`], { uid: 1001, stdio: "ignore" });
      pids.set(name, await sidecars.run(name, way));
    }
    const stage = { sidecars, program, ways, pids };
    for (const name of ways.keys())
      await waitFor(`the way of ${name}`, async () => {
        const { took, failed } = await ask(stage, name, load).catch(() => ({ took: null, failed: 1 }));
        return took !== null && took.length > 0 && failed === 0;
      });
    return await then(stage);
  } finally {
    await sidecars.close();
  }
}

/** Turns of each way, in the order of the rounds. */
export type Turns = ReadonlyMap<string, readonly Turn[]>;

/** Every way once a round; every second round backwards, so that a machine that gets slower favours nobody. */
export async function rounds(stage: Stage, count: number, load: Load): Promise<Turns> {
  const names = [...stage.ways.keys()];
  const turns = new Map(names.map(name => [name, [] as Turn[]]));
  for (let round = 0; round < count; round += 1)
    for (const name of round % 2 === 0 ? names : names.toReversed())
      turns.get(name)?.push(await turn(stage, name, load));
  return turns;
}

/** Medians of a way's turns. */
export function middle(turns: readonly Turn[]): Turn {
  const of = (pick: (turn: Turn) => number): number => median(turns.map(pick));
  return { p50: of(t => t.p50), p99: of(t => t.p99), cpu: of(t => t.cpu) };
}

/** A median of ratios, and how far it may be off. */
interface Ratio {
  readonly value: number;
  /** Half of the notch of a box plot, 1.57 · interquartile range / √n: where another run's median is expected. */
  readonly spread: number;
}

/** The rounds' own ratios of one way by another: what else the machine did in a round fell on both. */
export function ratio(
  of: readonly Turn[],
  by: readonly Turn[],
  pick: (turn: Turn, round: number) => number,
): Ratio {
  const all = of.flatMap((one, round) => {
    const other = by[round];
    return other === undefined ? [] : [pick(one, round) / pick(other, round)];
  });
  const sorted = all.toSorted((a, b) => a - b);
  const range = quantile(sorted, 0.75) - quantile(sorted, 0.25);
  return { value: median(all), spread: (1.57 * range) / Math.sqrt(all.length) };
}

/** As people read it. */
export function ratioWords({ value, spread }: Ratio): string {
  return `${value.toFixed(2)} ± ${spread.toFixed(2)}`;
}
