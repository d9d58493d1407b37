import http from "node:http";
import { PATH_REQUESTS, PORT_METRICS } from "../../model/mesh-words";
import type { MeshPod } from "../../model/workload";
import type { Engine } from "../engine";
import type { Clock } from "../ports";
import { addGrowth, quantile, readCounts, type Counted, type Counts } from "./counted";
import type { CallLine, PairLine, Rates, TrafficPage } from "./pages";
import { livePods, workloadOf } from "./topology";

/** Pods are asked again no sooner than this, however many people watch, milliseconds. */
const LEAST_MS = 900;
/** Who has not watched for so long begins anew, milliseconds. */
const IDLE_MS = 15_000;
/** A pod that has no metrics is asked again after this, milliseconds. */
const SILENT_MS = 15_000;
/** Rates are of this time, milliseconds. */
const WINDOW_MS = 10_000;
const MOST_PODS = 500;
const AT_ONCE = 16;
const MOST_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 2_000;

/** Growth of all pods between two looks. */
interface Round {
  readonly at: number;
  readonly ms: number;
  readonly grown: ReadonlyMap<string, Counted>;
}

/** What a pod said last. */
interface Heard {
  readonly at: number;
  /** undefined: it has no metrics. */
  readonly counts: Counts | undefined;
}

/** Asks a pod for its metrics; rejects for any other answer than 200. */
export type AskPod = (address: string) => Promise<string>;

/** Asks pods for their metrics while somebody looks, and no longer. */
export class Traffic {
  private rounds: Round[] = [];
  private heard = new Map<string, Heard>();
  private last = -Infinity;
  private running: Promise<void> | undefined;
  private asked = 0;

  constructor(
    private readonly engine: Engine,
    private readonly clock: Pick<Clock, "now">,
    private readonly ask: AskPod = askPod,
  ) {}

  /** The rates of the last seconds. The first answer begins to count. */
  async page(): Promise<TrafficPage> {
    this.running ??= this.look().finally(() => (this.running = undefined));
    await this.running;
    const sum = new Map<string, Counted>();
    for (const { grown } of this.rounds) addGrowth(sum, { before: new Map(), now: grown }, key => key);
    const windowMs = this.rounds.reduce((ms, round) => ms + round.ms, 0);
    const silent = [...this.heard].flatMap(([uid, { counts }]) => (counts === undefined ? uid : []));
    return {
      at: this.clock.now(),
      windowMs,
      asked: this.asked,
      silent: silent.map(uid => this.nameOf(uid)),
      ...linesOf(sum, windowMs / 1000),
    };
  }

  private nameOf(uid: string): string {
    const pod = this.engine.byUid(uid);
    return pod === undefined ? uid : `${pod.namespace}/${pod.name}`;
  }

  private async look(): Promise<void> {
    const now = this.clock.now();
    if (now - this.last < LEAST_MS) return;
    if (now - this.last > IDLE_MS) {
      this.rounds = [];
      this.heard = new Map();
    }
    const ms = now - this.last;
    const pods = livePods(this.engine)
      .map(([, pod]) => pod)
      .filter(({ meshed, external, ips }) => meshed && external === undefined && ips.length > 0)
      .slice(0, MOST_PODS);
    this.asked = pods.length;
    const grown = new Map<string, Counted>();
    const heard = new Map<string, Heard>();
    const queue = pods.values();
    const work = async (): Promise<void> => {
      for (const pod of queue) await this.hear(pod, { heard, grown, now });
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (this.heard.size > 0) this.rounds.push({ at: now, ms, grown });
    this.rounds = this.rounds.filter(({ at }) => now - at < WINDOW_MS);
    this.heard = heard;
    this.last = now;
  }

  private async hear(
    pod: MeshPod,
    into: { readonly heard: Map<string, Heard>; readonly grown: Map<string, Counted>; readonly now: number },
  ): Promise<void> {
    const before = this.heard.get(pod.uid);
    if (before?.counts === undefined && before !== undefined && into.now - before.at < SILENT_MS) {
      into.heard.set(pod.uid, before);
      return;
    }
    // One that has no metrics, or is too old to show these, or does not answer is told as silent.
    const text = await this.ask(pod.ips[0] ?? "").catch(() => undefined);
    if (text === undefined && before?.counts !== undefined && into.now - before.at < SILENT_MS) {
      into.heard.set(pod.uid, before);
      return;
    }
    const now = text === undefined ? undefined : readCounts(text);
    into.heard.set(pod.uid, { at: into.now, counts: now });
    if (before?.counts === undefined || now === undefined) return;
    const own = workloadOf(pod);
    // A pod speaks for itself alone: as the one that calls, or as the one that somebody from outside calls.
    addGrowth(into.grown, { before: before.counts, now }, key =>
      key.includes(">") ? pairOf(key, own) : `${own}|${key}`,
    );
  }
}

function pairOf(key: string, own: string): string {
  const [source = "", destination = ""] = key.split(">");
  return source === "unknown" ? `unknown>${own}` : `${own}>${destination}`;
}

function ratesOf({ answers }: Counted, seconds: number): Rates {
  const per = (test: (code: string) => boolean): number =>
    [...answers].reduce((sum, [code, count]) => (test(code) ? sum + count : sum), 0) /
    Math.max(seconds, 0.001);
  return {
    rate: per(() => true),
    failed: per(code => code.startsWith("5") || code === "0"),
    refused: per(code => code.startsWith("4")),
  };
}

function linesOf(sum: ReadonlyMap<string, Counted>, seconds: number): Pick<TrafficPage, "calls" | "pairs"> {
  const calls: CallLine[] = [];
  const pairs: PairLine[] = [];
  for (const [key, counted] of sum) {
    const rates = ratesOf(counted, seconds);
    const [from = "", to] = key.split(">");
    if (to !== undefined) {
      const forbidden = (counted.answers.get("403") ?? 0) / Math.max(seconds, 0.001);
      pairs.push({ from, to, ...rates, forbidden });
      continue;
    }
    const [caller = "", service = "", port = ""] = key.split("|");
    const [p50, p99] = [quantile(counted.within, 0.5), quantile(counted.within, 0.99)];
    const times = { ...(p50 === undefined ? {} : { p50 }), ...(p99 === undefined ? {} : { p99 }) };
    calls.push({ from: caller, service, port: Number(port), ...rates, ...times });
  }
  return { calls, pairs };
}

/** The metrics of a sidecar, plain HTTP at its own port. */
function askPod(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const from = { host, port: PORT_METRICS, path: PATH_REQUESTS, agent: false, signal } as const;
    const request = http.get(from, response => {
      const parts: Buffer[] = [];
      let size = 0;
      if (response.statusCode !== 200) request.destroy(new Error(`answer ${response.statusCode ?? 0}`));
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > MOST_BYTES) request.destroy(new Error("too long"));
        else parts.push(part);
      });
      response.on("error", reject);
      response.on("end", () => {
        resolve(Buffer.concat(parts).toString("utf8"));
      });
    });
    request.on("error", reject);
  });
}
