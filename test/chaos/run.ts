/** A chaos run: rounds of faults, each followed by a time in which everything has to become good, and requests judged all the time. */
import type { FlowOutcome } from "../support/flow-operations";
import { errorLines } from "../support/told-errors";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";
import { FreshWorld, proxyDisagreements, storeDisagreements, writeBoth } from "./agreement";
import { Disturbances } from "./disturbances";
import { Judge, type Breach, type FlowPlan } from "./judge";
import { planOf, type Round } from "./plan";
import { secretsIn, secretsInFiles } from "./secrets";
import { Stage, type Size } from "./stage";

/** How a run is made. */
export interface ChaosOptions extends Size {
  readonly seed: number;
  /** After this no further round begins, milliseconds. */
  readonly forMs: number;
  /** How long it may take until all agree, milliseconds; default: far beyond the aim. */
  readonly limitMs?: number;
  /** Ends the run after the round that is under way, and everything that was started. */
  readonly signal?: AbortSignal;
  readonly say: (line: string) => void;
}

/** What a run has shown. */
export interface ChaosResult {
  readonly rounds: number;
  readonly faults: number;
  readonly requests: number;
  /** Empty: every invariant has held. */
  readonly findings: readonly string[];
}

/** I3 and I4: how soon after everything has been put right all agree, milliseconds. */
const AIM_MS = 5_000;
/** What breaks a run: far beyond the aim, as a machine that is busy with others tells nothing by its time. */
const LIMIT_MS = 240_000;
const LOOK_MS = 200;
/** Requests of each flow that have to end, as they should, once everybody agrees. */
const STEADY_REQUESTS = 3;
/** The access log is written a moment after the answer, milliseconds. */
const LOGGED_MS = 1_000;
/** Findings of one run that are told in full. */
const TOLD = 10;
const ROOTS = "/apis/config.openservicemesh.io/v1alpha2/meshrootcertificates";
/** Kinds of objects that the product writes for people. */
const WRITTEN_PATHS = [
  "/apis/events.k8s.io/v1/events",
  "/apis/access.smi-spec.io/v1alpha3/traffictargets",
  ROOTS,
  "/apis/config.openservicemesh.io/v1alpha2/meshconfigs",
];

/** What an Envoy's workers may take up later than its main thread tells, on a busy machine, milliseconds. */
const WORKERS_MS = 1_000;
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

interface RootObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly role: string };
  readonly status?: { readonly state?: string; readonly progress?: string };
}

class ChaosRun {
  readonly settledMs: number[] = [];
  /** How long the API server took to list every kind before that. */
  private listedMs = 0;
  readonly revokedMs: number[] = [];
  readonly rounds: Round[] = [];
  private readonly judge = new Judge();
  private readonly disturbances: Disturbances;
  /** Requests that have ended since everybody agreed, by flow. */
  private steadySince = Infinity;
  private readonly steadyCounts = new Map<string, number>();
  private calmRound = false;
  private lastGuest = 0;
  private told = 0;
  private over = false;

  constructor(
    private readonly stage: Stage,
    private readonly options: ChaosOptions,
    readonly findings: string[],
  ) {
    this.disturbances = new Disturbances(stage, this.judge, line => {
      this.say(line);
    });
  }

  private say(line: string): void {
    this.options.say(`${new Date().toISOString().slice(11, 23)} ${line}`);
  }

  async run(): Promise<ChaosResult> {
    await this.agree("the begin");
    this.judge.decided("granted", false, Date.now());
    this.judge.decided("permissive", false, Date.now());
    await this.stage.begin();
    const watching = this.watch();
    await this.steady();
    const sidecars = this.stage.sidecars.map(({ name }) => name);
    const plan = planOf(this.options.seed, { replicas: this.options.replicas, sidecars });
    const end = Date.now() + this.options.forMs;
    const goesOn = (): boolean =>
      Date.now() < end && this.findings.length === 0 && this.options.signal?.aborted !== true;
    while (goesOn()) await this.round(plan.next().value);
    this.over = true;
    await watching;
    await this.lookForSecrets();
    await this.lookAtRefusals();
    this.lookAtCalls();
    this.lookAtErrors();
    await this.sayRoots();
    return this.conclude();
  }

  private async round(round: Round): Promise<void> {
    const before = this.judge.counts.requests;
    this.say(`round ${round.index}`);
    this.calmRound = round.faults.every(({ fault }) => fault.kind === "policy" || fault.kind === "endpoint");
    this.lastGuest = 0;
    await Promise.all(round.faults.map(planned => this.disturbances.play(planned)));
    await this.agree(`round ${round.index}`);
    const { revokedAt } = this.disturbances;
    if (this.calmRound && revokedAt !== undefined && !this.judge.mayBePermissive)
      this.revokedMs.push(Math.max(0, this.lastGuest - revokedAt));
    await pause(WORKERS_MS);
    this.disturbances.settled();
    await this.steady();
    this.rounds.push(round);
    const { requests, excused, undecided } = this.judge.counts;
    this.say(
      `  all agree ${this.settledMs.at(-1) ?? 0} ms after the API server listed all (${this.listedMs} ms); ${requests - before} requests; so far excused ${excused}, undecided ${undecided}`,
    );
  }

  /** I3 and I4: everybody agrees with the API server. */
  private async agree(what: string): Promise<void> {
    const asked = Date.now();
    let differing: readonly string[] = [];
    let late: readonly string[] = [];
    // Resolves when the API server has listed every kind. One that has just started serves custom resources seconds after it says
    // that it is ready; until then it is not put right, and nobody can agree with it.
    const fresh = await FreshWorld.start(this.stage.api.kube, this.stage.folder);
    const begun = Date.now();
    this.listedMs = begun - asked;
    const look = async (): Promise<boolean> => {
      // A run that is broken is over: nobody may be there to agree.
      if (this.findings.length > 0) return true;
      const { parties } = this.stage;
      const stores = await storeDisagreements(fresh, parties);
      const proxies = await proxyDisagreements(fresh, parties);
      differing = [...stores.map(text => `I3 ${text}`), ...proxies.map(text => `I4 ${text}`)];
      if (differing.length > 0) {
        late = differing;
        await pause(LOOK_MS);
      }
      return differing.length === 0;
    };
    await waitFor(`${what}: everybody agrees`, look, this.options.limitMs ?? LIMIT_MS).catch(
      async (error: unknown) => {
        this.find(`${String(error)}: ${differing.slice(0, TOLD).join("; ")}`);
        const files = await writeBoth(fresh, this.stage.parties, this.stage.folder);
        this.say(`  what is held and wanted: ${files.join(" ")}`);
      },
    );
    fresh.stop();
    const tookMs = Date.now() - begun;
    this.settledMs.push(tookMs);
    if (tookMs > AIM_MS / 2) this.say(`  the last to agree: ${late.slice(0, TOLD).join("; ")}`);
  }

  /** Requests that begin from now on end as they should; how they end is judged as of all. */
  private async steady(): Promise<void> {
    this.steadyCounts.clear();
    this.steadySince = Date.now();
    const done = (): boolean =>
      this.findings.length > 0 ||
      this.stage.flows.every(({ name }) => (this.steadyCounts.get(name) ?? 0) >= STEADY_REQUESTS);
    await waitFor("requests of every flow", done, LIMIT_MS).catch((error: unknown) => {
      this.find(`I2 ${String(error)}`);
    });
    this.disturbances.drained(Date.now());
  }

  /** Takes what has ended, all the time. */
  private async watch(): Promise<void> {
    let last = false;
    while (!last) {
      last = this.over;
      const outcomes = await this.stage.take();
      for (const flow of this.stage.flows)
        for (const outcome of outcomes[flow.name] ?? []) this.note(flow, outcome);
      const breaches = this.judge.breaches.splice(0);
      if (breaches.length > 0) {
        await pause(LOGGED_MS);
        for (const breach of breaches) this.tell(breach);
      }
      await pause(LOOK_MS);
    }
  }

  private note(flow: FlowPlan, outcome: FlowOutcome): void {
    this.judge.take(flow, outcome);
    const { begunAt, status } = outcome;
    if (flow.rule === "granted" && status === 200) this.lastGuest = Math.max(this.lastGuest, begunAt);
    if (begunAt >= this.steadySince)
      this.steadyCounts.set(flow.name, (this.steadyCounts.get(flow.name) ?? 0) + 1);
  }

  private find(text: string): void {
    this.findings.push(text);
    this.say(`BROKEN ${text}`);
  }

  private tell({ invariant, flow, outcome }: Breach): void {
    const { begunAt, endedAt, path, status, what } = outcome;
    const times = `${new Date(begunAt).toISOString().slice(11, 23)}, ${endedAt - begunAt} ms`;
    this.find(`${invariant} ${flow.name} ${path} at ${times}: ${status} ${what}`);
    this.told += 1;
    if (this.told > TOLD) return;
    for (const sidecar of this.stage.sidecars)
      for (const line of sidecar.accessLines(`"${path}"`)) this.say(`  log of ${sidecar.name}: ${line}`);
    for (const line of this.disturbances.history.slice(-TOLD)) this.say(`  before: ${line}`);
  }

  /** I6, in everything that was written. */
  private async lookForSecrets(): Promise<void> {
    const { stage } = this;
    const known = [stage.api.server.token, ...stage.sidecars.map(({ name }) => stage.objects.token(name))];
    const files = secretsInFiles(stage.outputs, known);
    const objects = await Promise.all(
      WRITTEN_PATHS.map(async path => {
        const text = JSON.stringify(await stage.api.kube.get(path));
        return secretsIn(text, known).map(found => `${path}: ${found}`);
      }),
    );
    for (const found of [...files, ...objects.flat()]) this.find(`I6 ${found}`);
  }

  /** Nothing that we write is refused by an Envoy; a bad object costs its own effect only. */
  private async lookAtRefusals(): Promise<void> {
    const facts = await Promise.all(
      this.stage.controlPlane.replicas.map(replica => replica.facts().catch(() => undefined)),
    );
    for (const { refusals } of facts.flatMap(each => each ?? []))
      for (const refusal of refusals) this.find(`refused by a proxy: ${refusal}`);
  }

  /** The control plane calls nobody but those that it was told of. */
  private lookAtCalls(): void {
    const { count, strangers } = this.stage.controlPlane.called();
    for (const stranger of strangers) this.find(`the control plane has called ${stranger}`);
    if (count === 0) this.find("whom the control plane has called was not noted");
    verdict("chaos: whom the control plane calls", strangers.length === 0 && count > 0, {
      count,
      failed: strangers.length,
      bound: "the API server and the ledgers of its own replicas",
    });
  }

  /** What is put right again is told as a warning at most: an error in the log is a bug, contained or not. */
  private lookAtErrors(): void {
    const { replicas } = this.stage.controlPlane;
    const errors = replicas.flatMap(({ logFile }) => errorLines(logFile));
    for (const line of errors.slice(0, TOLD)) this.find(`logged by the control plane: ${line}`);
    verdict("chaos: errors that the control plane has logged", errors.length === 0, {
      count: this.rounds.length,
      failed: errors.length,
      bound: "0 lines of level error",
    });
  }

  /** How far the rotations of the root have come: each step waits for proof of every proxy. */
  private async sayRoots(): Promise<void> {
    const { items } = await this.stage.api.kube.get<{ items: readonly RootObject[] }>(ROOTS);
    for (const { metadata, spec, status } of items)
      this.say(`root ${metadata.name} (${spec.role}): ${status?.state ?? ""}, ${status?.progress ?? ""}`);
  }

  private conclude(): ChaosResult {
    const { counts, excuses } = this.judge;
    const broken = (...names: readonly string[]): number =>
      this.findings.filter(text => names.some(name => text.startsWith(name))).length;
    const faults = this.rounds.reduce((sum, round) => sum + round.faults.length, 0);
    for (const [reason, count] of excuses) this.say(`excused: ${count} (${reason})`);
    verdict("chaos I1: no unauthorised request succeeds", broken("I1") === 0, {
      count: counts.refused,
      failed: broken("I1"),
      bound: `0 outside of the time in which a change is on its way; seed ${this.options.seed}`,
    });
    verdict("chaos I2: no authorised request fails", broken("I2") === 0, {
      count: counts.allowed + counts.excused,
      failed: broken("I2"),
      leftOut: counts.excused,
      bound: "0 outside of documented windows",
    });
    verdict(
      "chaos I3 and I4: stores and proxies agree with the API",
      quantile(this.settledMs, 0.99) <= AIM_MS,
      {
        count: this.settledMs.length,
        p50Ms: quantile(this.settledMs, 0.5),
        p99Ms: quantile(this.settledMs, 0.99),
        bound: `${AIM_MS} ms of quiet after the API server has listed every kind`,
      },
    );
    if (this.revokedMs.length > 0)
      verdict(
        "chaos: last request of a caller after its grant went",
        quantile(this.revokedMs, 0.99) <= 1000,
        {
          count: this.revokedMs.length,
          p50Ms: quantile(this.revokedMs, 0.5),
          p99Ms: quantile(this.revokedMs, 0.99),
          bound: "1000 ms, where nothing else is disturbed",
        },
      );
    verdict("chaos I5 and I6: no end of a process, no secret in output", broken("I5", "I6") === 0, {
      count: faults,
      failed: broken("I5", "I6"),
      bound: "0",
    });
    return { rounds: this.rounds.length, faults, requests: counts.requests, findings: this.findings };
  }
}

/** Makes a run. What broke an invariant stands in `findings`; the first one ends it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const findings: string[] = [];
  const stage = await Stage.start(options, text => {
    findings.push(`I5 ${text}`);
    options.say(`BROKEN I5 ${text}`);
  });
  try {
    return await new ChaosRun(stage, options, findings).run();
  } finally {
    const keep = findings.length > 0;
    await stage.stop(keep);
    if (keep) options.say(`logs: ${stage.outputs.join(" ")}`);
  }
}
