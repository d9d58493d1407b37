import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { MODULE, WATCHER } from "../src/install/names";
import { PEPR_NAMESPACE } from "../src/model/mesh-words";
import { clusterRuns, endCluster, ensureCluster, ensureImages } from "./cluster/index";
import { leftByDown, machineState, type MachineState } from "./cluster/machine";
import { ensurePackages } from "./cluster/packages";
import { ensurePromtool } from "./addons/promtool";
import { Progress } from "./cluster/progress";
import { cacheFolder, repositoryRoot } from "./cluster/settings";
import { deploy } from "./demo/control-plane";
import { Kubectl } from "./demo/kubectl";
import { ALL_ROLES } from "./images/recipes";
import { ensureEnvoy } from "./images/staging";
import { runLines, runMocha, say, saySlowest, tail, type Outcome } from "./ladder-mocha";
import {
  apart,
  clusterLanes,
  needsCluster,
  testFiles,
  wantedSteps,
  type ClusterLanes,
  type Rung,
  type Step,
} from "./ladder-rungs";

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

/** Why a rung cannot run on this machine, or undefined when it can. */
function obstacle(rung: Rung): string | undefined {
  if (rung !== "traffic" && rung !== "cluster") return undefined;
  if (process.platform !== "linux") return "needs Linux";
  return process.getuid?.() === 0 ? undefined : "needs root";
}

/** Runs `work` once, however often it is asked for, and gives the same promise each time. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined;
  return () => (begun ??= work());
}

/** Packages and the real Envoy, for everything that is run. */
async function groundwork(progress: Progress, full: boolean): Promise<void> {
  const mayInstall = process.platform === "linux" && process.getuid?.() === 0;
  if (mayInstall) {
    await ensurePackages(progress);
    // What single tests run: got here, where no test's time limit runs.
    await ensurePackages(progress, { zsh: "/usr/bin/zsh", fish: "/usr/bin/fish" });
    if (full) await ensurePackages(progress, { faketime: "/usr/bin/faketime" });
    await ensurePromtool(progress);
  }
  await ensureEnvoy(progress);
}

/**
 * The cluster with its images; where two lanes of tests are going to begin beside each other, with the mesh as well. Otherwise
 * the first test that needs the mesh deploys it.
 */
async function provideCluster(lanes: ClusterLanes, progress: Progress): Promise<void> {
  const { kubectl, kubeconfig } = await ensureCluster(say);
  await ensureImages(say);
  if (lanes.beside.some(files => files.length === 0)) return;
  const client = new Kubectl(kubectl, kubeconfig);
  const there = await client.attempt(["-n", PEPR_NAMESPACE, "get", "deployment", MODULE, WATCHER]);
  if (there.code !== 0) await progress.step("npx pepr deploy -y", note => deploy(client, note));
}

/** Whether the cluster is up in a minute: its programs and images have been built before. */
function isWarm(): boolean {
  const named = (folder: string, begin: string): boolean =>
    existsSync(folder) && readdirSync(folder).some(name => name.startsWith(`${begin}-`));
  const cache = cacheFolder();
  return (
    named(path.join(cache, "bin"), "kube") && ALL_ROLES.every(role => named(path.join(cache, "images"), role))
  );
}

function failed(rung: Rung, error: unknown): Outcome {
  return { rung, kind: "fail", title: `${rung} can be run`, detail: String(error) };
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

/** One run of the ladder. */
class Climb {
  public readonly outcomes: Outcome[] = [];
  /** What is installed and built once, cluster or not. */
  public readonly groundwork: () => Promise<void>;
  private readonly lanes: ClusterLanes;
  private readonly cluster: () => Promise<void>;

  public constructor(
    private readonly steps: readonly Step[],
    private readonly progress: Progress,
    /** Full counts measure, and so have the machine for themselves. */
    private readonly full: boolean,
  ) {
    this.groundwork = once(() => groundwork(progress, full));
    this.lanes = clusterLanes(this.of("cluster").flatMap(testFiles));
    this.cluster = once(async () => {
      await this.groundwork();
      if (this.isOnCluster) await provideCluster(this.lanes, progress);
    });
  }

  /** Whether any of its tests is on a cluster: those that start an API server of their own are of that rung, and need none. */
  public get isOnCluster(): boolean {
    return needsCluster(this.lanes);
  }

  /** The wanted steps among these. */
  public of(...rungs: readonly Rung[]): readonly Step[] {
    return this.steps.filter(({ rung }) => rungs.includes(rung));
  }

  /** Checks and what needs a core only; meanwhile the cluster comes up, where that is no matter of building it. */
  public async below(): Promise<void> {
    const early =
      this.of("cluster").length > 0 && obstacle("cluster") === undefined && !this.full && isWarm();
    await Promise.all([
      this.inTurn(this.of("check")),
      this.inTurn(this.of(...BESIDE_CHECK)),
      // Told by whoever needs the cluster and does not get it.
      early ? this.cluster().catch(() => undefined) : undefined,
    ]);
  }

  /** The rest: what needs no cluster is run beside those of its tests that take long and little of the machine. */
  public async above(): Promise<void> {
    const middle = this.of("stream", "traffic");
    if (this.of("cluster").length === 0) await this.inTurn(middle);
    else await this.measured("cluster", () => this.clusterRung(middle));
  }

  /** Notes what a part of the climb has shown, and says it with the time it took. */
  public async measured(name: string, work: () => Promise<readonly Outcome[]>): Promise<void> {
    const began = Date.now();
    const made = await work();
    this.outcomes.push(...made);
    if (made.length > 0)
      this.progress.say(`${name}: ${counts(made)} in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }

  private async inTurn(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.measured(step.rung, () => this.rung(step));
  }

  private async rung(step: Step): Promise<readonly Outcome[]> {
    const { rung } = step;
    const blocked = obstacle(rung);
    if (blocked !== undefined) return [{ rung, kind: "skip", title: `${rung} ${blocked}` }];
    if (rung === "check") return checkRung(this.progress);
    const files = testFiles(step);
    const detail = `no *.test.ts below test/${rung}`;
    if (files.length === 0) return [{ rung, kind: "fail", title: `${rung} has tests`, detail }];
    try {
      await this.groundwork();
      const { inTurn, waiting } = this.full ? { inTurn: files, waiting: [] } : apart(files);
      const rows = [inTurn, waiting].filter(row => row.length > 0);
      const shown = await Promise.all(rows.map(row => runMocha(rung, row, this.progress)));
      saySlowest(rung, new Map(shown.flatMap(({ seconds }) => [...seconds])));
      return shown.flatMap(({ outcomes }) => outcomes);
    } catch (error) {
      return [failed(rung, error)];
    }
  }

  /** The highest rung, with the rungs of the middle in the lane that has less to do. */
  private async clusterRung(middle: readonly Step[]): Promise<readonly Outcome[]> {
    const obstructed = await this.withoutCluster();
    if (obstructed !== undefined) {
      await this.inTurn(middle);
      return [obstructed];
    }
    const outcomes: Outcome[] = [];
    const seconds = new Map<string, number>();
    const run = async (files: readonly string[]): Promise<void> => {
      try {
        const shown = await runMocha("cluster", files, this.progress);
        outcomes.push(...shown.outcomes);
        for (const [file, took] of shown.seconds) seconds.set(file, took);
      } catch (error) {
        outcomes.push(failed("cluster", error));
      }
    };
    const { beside, bare, alone } = this.lanes;
    const [first = [], second = []] = beside;
    // Both lanes are done with the rest at about the same time.
    const halfOfBare = (half: number): readonly string[] => bare.filter((_, index) => index % 2 === half);
    if (this.full) {
      await this.inTurn(middle);
      for (const files of [bare, first, second, alone]) await run(files);
    } else {
      const besideFirst = once(() => run(second));
      await Promise.all([
        besideFirst().then(async () => {
          await this.inTurn(middle);
          await run(halfOfBare(0));
        }),
        run(first)
          .then(besideFirst)
          .then(() => run(alone))
          .then(() => run(halfOfBare(1))),
      ]);
    }
    saySlowest("cluster", seconds);
    return outcomes;
  }

  /** Why the highest rung cannot be climbed, or undefined when its cluster is there. */
  private async withoutCluster(): Promise<Outcome | undefined> {
    const blocked = obstacle("cluster");
    if (blocked !== undefined) return { rung: "cluster", kind: "skip", title: `cluster ${blocked}` };
    try {
      await this.cluster();
      return undefined;
    } catch (error) {
      return failed("cluster", error);
    }
  }
}

async function main(args: readonly string[]): Promise<void> {
  const steps = wantedSteps(args);
  const full = args[0] === "long";
  if (full) process.env["OSM_FULL"] = "1";
  const progress = new Progress(say);
  const climb = new Climb(steps, progress, full);
  const withCluster = climb.isOnCluster;
  // Packages bring services that look like a cluster's; whoever needs them and does not get them tells.
  if (withCluster) await climb.groundwork().catch(() => undefined);
  const before = withCluster ? await machineBefore() : undefined;
  await climb.below();
  await climb.above();
  if (withCluster) await climb.measured("teardown", () => leave(before));
  if (!judge(climb.outcomes)) process.exitCode = 1;
  say(counts(climb.outcomes));
}

main(process.argv.slice(2)).catch((error: unknown) => {
  say(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
