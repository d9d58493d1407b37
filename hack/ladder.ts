import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { clusterRuns, endCluster, ensureCluster, ensureImages } from "./cluster/index";
import { leftByDown, machineState, type MachineState } from "./cluster/machine";
import { ensurePackages } from "./cluster/packages";
import { Progress, type Log } from "./cluster/progress";
import { repositoryRoot } from "./cluster/settings";
import { ensureEnvoy } from "./images/staging";
import { VERDICT_MARK } from "../test/support/verdict";

/** The rungs, cheapest first: a fault is best met on the lowest rung that can show it. */
const RUNGS = ["check", "unit", "property", "golden", "stream", "traffic", "cluster"] as const;
type Rung = (typeof RUNGS)[number];

/** Folders below test/ of a rung; by default the one of its name. A bare API server counts as part of the cluster. */
const FOLDERS: Readonly<Partial<Record<Rung, readonly string[]>>> = { cluster: ["api", "cluster"] };

/** How many rungs `npm run test:fast` climbs. */
const FAST = 4;

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
interface Outcome {
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

const say: Log = line => {
  process.stdout.write(`${line}\n`);
};

/** Runs a command, hands on each line of its output, and gives its exit code (1 when a signal ended it). */
function runLines(
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

/** Each command that `npm run check` joins with `&&` counts as one test, so all of them run and are told apart. */
async function checkRung(progress: Progress): Promise<Outcome[]> {
  const manifest = JSON.parse(readFileSync(path.join(repositoryRoot(), "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const commands = (manifest.scripts["check"] ?? "").split("&&").map(part => part.trim());
  const outcomes: Outcome[] = [];
  for (const command of commands) {
    const lines: string[] = [];
    const code = await progress.step(`check: ${command}`, note =>
      runLines(command.split(" "), line => {
        lines.push(line);
        note(line);
      }),
    );
    const base = { rung: "check", title: command, again: command } as const;
    outcomes.push(
      code === 0 ? { ...base, kind: "pass" } : { ...base, kind: "fail", detail: tail(lines, 60) },
    );
  }
  return outcomes;
}

function tail(lines: readonly string[], count: number): string {
  return lines
    .filter(line => line.trim() !== "")
    .slice(-count)
    .join("\n");
}

/** Test files of a rung whose names hold one of `parts` (all for none), relative to the repository, as they are run. */
function testFiles(rung: Rung, parts: readonly string[]): readonly string[] {
  return (FOLDERS[rung] ?? [rung]).flatMap(name => {
    const folder = path.join("test", name);
    if (!existsSync(path.join(repositoryRoot(), folder))) return [];
    const files = readdirSync(path.join(repositoryRoot(), folder), { recursive: true, encoding: "utf8" });
    return files
      .filter(file => file.endsWith(".test.ts"))
      .filter(file => parts.length === 0 || parts.some(part => path.basename(file).includes(part)))
      .sort()
      .map(file => path.join(folder, file));
  });
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
  private readonly seconds = new Map<string, number>();
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

  /** The files that took longest, in a line. */
  public slowest(): string {
    const rows = [...this.seconds].sort(([, one], [, other]) => other - one).slice(0, SLOWEST);
    return rows
      .map(([file, seconds]) => `${path.basename(file, ".test.ts")} ${seconds.toFixed(0)} s`)
      .join(", ");
  }

  public note(): string {
    const failed = this.outcomes.filter(each => each.kind === "fail").length;
    return `${this.outcomes.length} of ${this.total} done${failed > 0 ? `, ${failed} FAILED` : ""}`;
  }
}

async function mochaRung({ rung, parts }: Step, progress: Progress): Promise<Outcome[]> {
  const files = testFiles(rung, parts);
  if (files.length === 0) {
    return [{ rung, kind: "fail", title: `${rung} has tests`, detail: `no *.test.ts below test/${rung}` }];
  }
  const mocha = ["node_modules/mocha/bin/mocha.js", "--reporter", "hack/ladder-reporter.cjs"];
  const limit = TIMEOUT_MS[rung] === undefined ? [] : ["--timeout", String(TIMEOUT_MS[rung])];
  const command = [process.execPath, ...mocha, ...limit, ...files];
  const seen = new MochaRun(rung);
  let timer: NodeJS.Timeout | undefined;
  const code = await progress.step(`${rung}: ${files.length} files`, note =>
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
  say(`${rung}: slowest files: ${seen.slowest()}`);
  return [...seen.outcomes, ...failuresAround(seen, rung, code)];
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

/** Why a rung cannot run on this machine, or undefined when it can. */
function obstacle(rung: Rung): string | undefined {
  if (rung !== "traffic" && rung !== "cluster") return undefined;
  if (process.platform !== "linux") return "needs Linux";
  return process.getuid?.() === 0 ? undefined : "needs root";
}

/** Brings what a rung stands on: the real Envoy for everything that is run, the real cluster at the top. */
async function provide(rung: Rung, progress: Progress): Promise<void> {
  if (rung === "check") return;
  const mayInstall = process.platform === "linux" && process.getuid?.() === 0;
  if (mayInstall) await ensurePackages(progress);
  await ensureEnvoy(progress);
  if (rung !== "cluster") return;
  await ensureCluster(say);
  await ensureImages(say);
}

async function climb(step: Step, progress: Progress): Promise<Outcome[]> {
  const { rung } = step;
  const blocked = obstacle(rung);
  if (blocked !== undefined) return [{ rung, kind: "skip", title: `${rung} ${blocked}` }];
  try {
    await provide(rung, progress);
    return await (rung === "check" ? checkRung(progress) : mochaRung(step, progress));
  } catch (error) {
    return [{ rung, kind: "fail", title: `${rung} can be run`, detail: String(error) }];
  }
}

/** Titles between backticks in docs/skips.md: the only tests that may be skipped. */
function allowedSkips(): ReadonlySet<string> {
  const text = readFileSync(path.join(repositoryRoot(), "docs", "skips.md"), "utf8");
  return new Set([...text.matchAll(/^- `([^`]+)`/gm)].map(match => match[1] ?? ""));
}

function count(outcomes: readonly Outcome[], kind: Outcome["kind"]): number {
  return outcomes.filter(outcome => outcome.kind === kind).length;
}

function counts(outcomes: readonly Outcome[]): string {
  return `${count(outcomes, "pass")} passed, ${count(outcomes, "fail")} failed, ${count(outcomes, "skip")} skipped`;
}

/** Prints what failed or was skipped, and says whether the whole climb is good. */
function judge(outcomes: readonly Outcome[]): boolean {
  for (const failure of outcomes.filter(outcome => outcome.kind === "fail")) {
    say(`\nFAILED ${failure.rung}: ${failure.title}`);
    if (failure.detail !== undefined) say(failure.detail.replace(/^/gm, "    "));
    if (failure.again !== undefined) say(`    again: ${failure.again}`);
  }
  const allowed = allowedSkips();
  const skips = outcomes.filter(outcome => outcome.kind === "skip");
  for (const skip of skips) {
    say(
      `skipped ${skip.rung}: ${skip.title}${allowed.has(skip.title) ? "" : " (NOT listed in docs/skips.md)"}`,
    );
  }
  return count(outcomes, "fail") === 0 && skips.every(skip => allowed.has(skip.title));
}

/** A rung that is climbed, or those of its files whose names hold one of `parts`. */
interface Step {
  readonly rung: Rung;
  /** None: all files. */
  readonly parts: readonly string[];
}

/**
 * What the arguments name: `fast`, `long [NAME…]`, or names; nothing for all. A name is that of a rung, or a part of the
 * names of test files, which are then run by themselves.
 */
function wantedSteps(args: readonly string[]): readonly Step[] {
  const [first, ...rest] = args;
  if (first === "fast") return RUNGS.slice(0, FAST).map(rung => ({ rung, parts: [] }));
  const names = first === "long" ? rest : args;
  const isRung = (name: string): boolean => RUNGS.some(rung => rung === name);
  const parts = names.filter(name => !isRung(name));
  const unknown = parts.filter(part => RUNGS.every(rung => testFiles(rung, [part]).length === 0));
  if (unknown.length > 0)
    throw new Error(`${unknown.join(", ")}: no rung (${RUNGS.join(", ")}) and no test file is named so`);
  const named = RUNGS.map((rung): Step => ({ rung, parts: names.includes(rung) ? [] : parts }));
  if (names.length === 0) return named;
  return named.filter(
    step => names.includes(step.rung) || (parts.length > 0 && testFiles(step.rung, parts).length > 0),
  );
}

/**
 * Ends the cluster this run has started and compares the machine with what it was before; each part counts as a test. A
 * cluster that ran before is somebody's, and stays: then there is nothing to prove here.
 */
async function leave(before: MachineState | undefined): Promise<Outcome[]> {
  if (before === undefined) {
    say("the embedded cluster stays up; npm run cluster:down ends it and leaves nothing");
    say("(npm run test:teardown proves the latter with a cluster of its own)");
    return [];
  }
  const findings = await leftByDown(before, () => endCluster(say));
  return findings.map(({ title, detail }) => ({
    rung: "teardown",
    kind: detail === undefined ? "pass" : "fail",
    title,
    again: "npm run test:teardown",
    ...(detail === undefined ? {} : { detail }),
  }));
}

/** The machine before this run starts a cluster that it will end; undefined when it does not, or does not end it. */
async function machineBefore(): Promise<MachineState | undefined> {
  const starts = obstacle("cluster") === undefined && !clusterRuns();
  return starts && process.env["OSM_KEEP_CLUSTER"] === undefined ? machineState() : undefined;
}

/** These need a core and nothing else, so they are run beside the checks. */
const BESIDE_CHECK: readonly Rung[] = ["unit", "property", "golden"];

async function main(args: readonly string[]): Promise<void> {
  const steps = wantedSteps(args);
  if (args[0] === "long") process.env["OSM_FULL"] = "1";
  const progress = new Progress(say);
  const outcomes: Outcome[] = [];
  const measured = async (name: string, work: () => Promise<Outcome[]>): Promise<void> => {
    const began = Date.now();
    const made = await work();
    outcomes.push(...made);
    if (made.length > 0)
      progress.say(`${name}: ${counts(made)} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  };
  const inTurn = async (some: readonly Step[]): Promise<void> => {
    for (const step of some) await measured(step.rung, () => climb(step, progress));
  };
  const of = (...rungs: readonly Rung[]): readonly Step[] => steps.filter(({ rung }) => rungs.includes(rung));
  await Promise.all([inTurn(of("check")), inTurn(of(...BESIDE_CHECK))]);
  await inTurn(of("stream", "traffic"));
  if (of("cluster").length > 0) {
    const before = await machineBefore();
    await inTurn(of("cluster"));
    await measured("teardown", () => leave(before));
  }
  if (!judge(outcomes)) process.exitCode = 1;
  say(counts(outcomes));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  say(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
