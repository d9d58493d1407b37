import { spawn } from "node:child_process";
import path from "node:path";
import type { Log, Progress } from "./cluster/progress";
import { repositoryRoot } from "./cluster/settings";
import type { Rung } from "./ladder-rungs";
import { VERDICT_MARK } from "../test/support/verdict";

/** Longest time for one test by default: generous, since a test that waits for a condition ends when it holds. */
const TIMEOUT_MS: Readonly<Partial<Record<Rung, number>>> = {
  unit: 120_000,
  property: 120_000,
  golden: 120_000,
  stream: 120_000,
  traffic: 120_000,
  cluster: 600_000,
};

/** Time a rung may take to end after its last test; longer means that a test left something running. */
const END_MS = 60_000;

/** What happened to one test. */
export interface Outcome {
  /** The last step is not climbed but follows by itself where the ladder has started the cluster. */
  readonly rung: Rung | "teardown";
  readonly kind: "pass" | "fail" | "skip";
  readonly title: string;
  readonly detail?: string;
  /** Command that runs just this again. */
  readonly again?: string;
}

/** One line of hack/ladder-reporter.cjs. */
interface ReportedEvent {
  readonly kind: "start" | "pass" | "fail" | "skip" | "end";
  readonly total?: number;
  readonly title?: string;
  readonly file?: string;
  readonly error?: string;
}

/** How many of a rung's files are named with their time at its end: whoever wants a quicker ladder begins there. */
const SLOWEST = 40;

const RECORD_MARK = "\u001e";

/** Prints one line of the ladder. */
export const say: Log = line => {
  process.stdout.write(`${line}\n`);
};

/** Runs a command, hands on each line of its output, and gives its exit code (1 when a signal ended it). */
export function runLines(
  command: readonly string[],
  onLine: (line: string, stop: () => void) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { cwd: repositoryRoot(), stdio: ["ignore", "pipe", "pipe"] });
    const reader = (): ((chunk: string) => void) => {
      let rest = "";
      return chunk => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) onLine(line, () => child.kill("SIGKILL"));
      };
    };
    child.stdout.setEncoding("utf8").on("data", reader());
    child.stderr.setEncoding("utf8").on("data", reader());
    child.once("error", reject);
    child.once("exit", code => {
      resolve(code ?? 1);
    });
  });
}

/** The last `count` lines that say something. */
export function tail(lines: readonly string[], count: number): string {
  return lines
    .filter(line => line.trim() !== "")
    .slice(-count)
    .join("\n");
}

/** What mocha's process tells, gathered. */
class MochaRun {
  public readonly outcomes: Outcome[] = [];
  public readonly noise: string[] = [];
  public ended = false;
  /** Set when the process had to be ended some time after its last test. */
  public lingered = false;
  public total = 0;
  /** Seconds of wall time per file, hooks included: from the last event of the file before it to its own last one. */
  public readonly seconds = new Map<string, number>();
  private lastEvent = Date.now();

  public constructor(private readonly rung: Rung) {}

  /** Takes one line: an event of our reporter, or something a test printed. */
  public take(line: string): void {
    const mark = line.indexOf(RECORD_MARK);
    if (mark < 0) {
      if (line.startsWith(VERDICT_MARK)) say(line);
      if (line.trim() !== "") this.noise.push(line);
      return;
    }
    const event = JSON.parse(line.slice(mark + 1)) as ReportedEvent;
    if (event.kind === "start") this.total = event.total ?? 0;
    else if (event.kind === "end") this.ended = true;
    else {
      this.outcomes.push(this.outcome(event.kind, event));
      // At once, and again at the end: who waits for the rest can look into it meanwhile.
      if (event.kind === "fail") say(`FAILED ${this.rung}: ${event.title ?? ""}\n${event.error ?? ""}`);
    }
  }

  private outcome(kind: Outcome["kind"], event: ReportedEvent): Outcome {
    const file = path.relative(repositoryRoot(), event.file ?? "");
    const now = Date.now();
    this.seconds.set(file, (this.seconds.get(file) ?? 0) + (now - this.lastEvent) / 1000);
    this.lastEvent = now;
    return {
      rung: this.rung,
      kind,
      title: event.title ?? "",
      again: `npx mocha ${file}`,
      ...(event.error === undefined ? {} : { detail: tail(event.error.split("\n"), 25) }),
    };
  }

  public note(): string {
    const failed = this.outcomes.filter(each => each.kind === "fail").length;
    return `${this.outcomes.length} of ${this.total} done${failed > 0 ? `, ${failed} FAILED` : ""}`;
  }
}

/** What a rung has shown, and how long each file took, in seconds. */
export interface Shown {
  readonly outcomes: readonly Outcome[];
  readonly seconds: ReadonlyMap<string, number>;
}

/** Runs test files one after the other in one process of mocha. Never rejects for what a test does. */
export async function runMocha(rung: Rung, files: readonly string[], progress: Progress): Promise<Shown> {
  if (files.length === 0) return { outcomes: [], seconds: new Map() };
  const mocha = ["node_modules/mocha/bin/mocha.js", "--reporter", "hack/ladder-reporter.cjs"];
  const limit = TIMEOUT_MS[rung] === undefined ? [] : ["--timeout", String(TIMEOUT_MS[rung])];
  const command = [process.execPath, ...mocha, ...limit, ...files];
  const seen = new MochaRun(rung);
  let timer: NodeJS.Timeout | undefined;
  // Two lanes of one rung are told apart by where they begin.
  const title = `${rung}: ${files.length} files from ${path.basename(files[0] ?? "", ".test.ts")}`;
  const code = await progress.step(title, note =>
    runLines(command, (line, stop) => {
      seen.take(line);
      note(seen.note());
      if (!seen.ended || timer !== undefined) return;
      timer = setTimeout(() => {
        seen.lingered = true;
        stop();
      }, END_MS);
    }),
  );
  clearTimeout(timer);
  return { outcomes: [...seen.outcomes, ...failuresAround(seen, rung, code)], seconds: seen.seconds };
}

/** Says which files of a rung took longest. */
export function saySlowest(rung: Rung, seconds: ReadonlyMap<string, number>): void {
  const rows = [...seconds].sort(([, one], [, other]) => other - one).slice(0, SLOWEST);
  const named = rows.map(([file, took]) => `${path.basename(file, ".test.ts")} ${took.toFixed(0)} s`);
  if (named.length > 0) say(`${rung}: slowest files: ${named.join(", ")}`);
}

/** Failures that are no test's own: mocha that could not run to its end, and tests that left something running. */
function failuresAround(seen: MochaRun, rung: Rung, code: number): Outcome[] {
  if (seen.lingered) {
    const detail = `the rung did not end within ${END_MS / 1000} s of its last test`;
    return [{ rung, kind: "fail", title: `${rung} leaves nothing running`, detail }];
  }
  const explained = seen.ended && (code === 0 || seen.outcomes.some(each => each.kind === "fail"));
  if (explained) return [];
  const detail = `mocha ended with ${code}:\n${tail(seen.noise, 40)}`;
  return [{ rung, kind: "fail", title: `${rung} runs to its end`, detail, again: `npm run test:${rung}` }];
}
