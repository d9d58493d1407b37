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
/** Pods that one look asks, those first that were not asked for longest. */
const MOST_PODS = 500;
const AT_ONCE = 32;
/** The longest page; some 100 Services that a pod calls fill it. */
const MOST_BYTES = 512 * 1024;
/** The longest that one pod is waited for, milliseconds. */
const TIMEOUT_MS = 500;
/** The longest that a look takes, however many do not answer, milliseconds. */
const LOOK_MS = 1_500;
/** The longest that who asks waits for a look; then the rates are those of the looks before, milliseconds. */
const WAIT_MS = 400;

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

/** What one look at all pods fills. */
interface Listening {
  readonly heard: Map<string, Heard>;
  readonly grown: Map<string, Counted>;
  readonly now: number;
  /** Workloads and Services that there are: a pod's page may name anything. */
  readonly known: ReadonlySet<string>;
  /** Ends the look. */
  readonly signal: AbortSignal;
}

/** Asks a pod for its metrics; rejects for any other answer than 200, and when the signal ends it. */
export type AskPod = (address: string, signal: AbortSignal) => Promise<string>;

/** Asks pods for their metrics while somebody looks, and no longer. */
export class Traffic {
  private rounds: Round[] = [];
  private heard: ReadonlyMap<string, Heard> = new Map();
  private last = -Infinity;
  private running: Promise<void> | undefined;
  private pods: readonly MeshPod[] = [];

  constructor(
    private readonly engine: Engine,
    private readonly clock: Pick<Clock, "now">,
    private readonly ask: AskPod = askPod,
  ) {}

  /** The rates of the last seconds. The first answer begins to count. */
  async page(): Promise<TrafficPage> {
    this.running ??= this.look().finally(() => (this.running = undefined));
    await within(WAIT_MS, this.running);
    const sum = new Map<string, Counted>();
    for (const { grown } of this.rounds) addGrowth(sum, { before: new Map(), now: grown }, key => key);
    const windowMs = this.rounds.reduce((ms, round) => ms + round.ms, 0);
    const silent = this.pods.filter(({ uid }) => this.heard.get(uid)?.counts === undefined);
    return {
      at: this.clock.now(),
      windowMs,
      asked: this.pods.length,
      silent: silent.map(({ namespace, name }) => `${namespace}/${name}`),
      ...linesOf(sum, windowMs / 1000),
    };
  }

  private async look(): Promise<void> {
    const now = this.clock.now();
    if (now - this.last < LEAST_MS) return;
    if (now - this.last > IDLE_MS) {
      this.rounds = [];
      this.heard = new Map();
    }
    const ms = now - this.last;
    const live = livePods(this.engine).map(([, pod]) => pod);
    this.pods = live.filter(
      ({ meshed, external, ips }) => meshed && external === undefined && ips.length > 0,
    );
    const grown = new Map<string, Counted>();
    const heard = new Map<string, Heard>();
    for (const { uid } of this.pods) {
      const before = this.heard.get(uid);
      if (before !== undefined) heard.set(uid, before);
    }
    const known = new Set(["unknown", ...live.map(workloadOf), ...this.engine.inventory.services.keys()]);
    const signal = AbortSignal.timeout(LOOK_MS);
    const queue = this.inTurn(now).values();
    const work = async (): Promise<void> => {
      for (const pod of queue) {
        if (signal.aborted) return;
        await this.hear(pod, { heard, grown, now, known, signal });
      }
    };
    await within(LOOK_MS, Promise.all(Array.from({ length: AT_ONCE }, work)));
    if (this.heard.size > 0) this.rounds.push({ at: now, ms, grown });
    this.rounds = this.rounds.filter(({ at }) => now - at < WINDOW_MS);
    this.heard = heard;
    this.last = now;
  }

  /** Those that this look asks: not who was silent a moment ago, and who waited longest first. */
  private inTurn(now: number): readonly MeshPod[] {
    const since = ({ uid }: MeshPod): number => this.heard.get(uid)?.at ?? -Infinity;
    const isSilent = ({ uid }: MeshPod): boolean => {
      const before = this.heard.get(uid);
      return before !== undefined && before.counts === undefined && now - before.at < SILENT_MS;
    };
    const asked = this.pods.filter(pod => !isSilent(pod)).map(pod => [since(pod), pod] as const);
    return asked
      .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
      .slice(0, MOST_PODS)
      .map(([, pod]) => pod);
  }

  private async hear(pod: MeshPod, { heard, grown, now, known, signal }: Listening): Promise<void> {
    const before = this.heard.get(pod.uid);
    const isRecent = before !== undefined && now - before.at < SILENT_MS;
    // One that has no metrics, or is too old to show these, or does not answer any more is told as silent.
    const counts = await this.ask(pod.ips[0] ?? "", signal).then(readCounts, () => undefined);
    heard.set(pod.uid, counts === undefined && isRecent ? before : { at: now, counts });
    if (before?.counts === undefined || counts === undefined) return;
    const own = workloadOf(pod);
    // A pod speaks for itself alone: as the one that calls, or as the one that somebody from outside calls.
    addGrowth(grown, { before: before.counts, now: counts }, key =>
      key.includes(">") ? pairOf(key, own, known) : callOf(key, own, known),
    );
  }
}

/** Waits for work that does not reject, but no longer than so many milliseconds. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([work, new Promise(resolve => (timer = setTimeout(resolve, ms)))]);
  clearTimeout(timer);
}

function callOf(key: string, own: string, known: ReadonlySet<string>): string | undefined {
  return known.has(key.slice(0, key.indexOf("|"))) ? `${own}|${key}` : undefined;
}

function pairOf(key: string, own: string, known: ReadonlySet<string>): string | undefined {
  const [source = "", destination = ""] = key.split(">");
  if (source === "unknown") return `unknown>${own}`;
  return known.has(destination) ? `${own}>${destination}` : undefined;
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
function askPod(host: string, ends: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.any([ends, AbortSignal.timeout(TIMEOUT_MS)]);
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
