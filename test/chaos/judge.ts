/** Judges every request of a chaos run by what was allowed and disturbed while it was under way. */
import type { FlowOutcome } from "../support/flow-operations";

/** Whose requests succeed: always, never, when the guest has its grant, or when everything is let in. */
export type FlowRule = "always" | "never" | "granted" | "permissive";

/** Requests of one workload to one Service. */
export interface FlowPlan {
  readonly name: string;
  readonly from: string;
  readonly host: string;
  readonly port: number;
  readonly rule: FlowRule;
  /** Sidecars that its requests pass. */
  readonly through: readonly string[];
}

/** A time in which requests of some flows may fail, and why; `to` is undefined while it lasts. */
export interface Window {
  readonly reason: string;
  readonly from: number;
  to: number | undefined;
  readonly covers: (flow: FlowPlan, outcome: FlowOutcome) => boolean;
}

/** A request that broke an invariant. */
export interface Breach {
  readonly invariant: "I1" | "I2";
  readonly flow: FlowPlan;
  readonly outcome: FlowOutcome;
}

/** What has been judged. */
export interface Counts {
  requests: number;
  /** Succeeded, as they should. */
  allowed: number;
  /** Refused, as they should be. */
  refused: number;
  /** Failed in a documented window. */
  excused: number;
  /** While what is allowed was changing. */
  undecided: number;
}

type Subject = "granted" | "permissive";

/** From a time on, what is allowed; undefined: it is changing. */
interface Epoch {
  readonly from: number;
  readonly value: boolean | undefined;
}

/**
 * A change of a port's chains (a switch of the mode, a limit) ends the connections from before it once, this much later and
 * never sooner (docs/decisions/0027-gates.md), milliseconds.
 */
const DRAIN_MS = 1_000;
/** What who is cut is told, by Envoy or by the system. */
const CUT = /connection termination|connection reset|socket hang up|ECONNRESET/;
/** As many requests of one flow as may be on such connections at most. */
const MOST_CUT = 20;
/** What clocks of processes and their timers may be apart, milliseconds. */
const SLACK_MS = 50;

/** Remembers what was allowed when, and judges by it. */
export class Judge {
  readonly breaches: Breach[] = [];
  readonly counts: Counts = { requests: 0, allowed: 0, refused: 0, excused: 0, undecided: 0 };
  readonly excuses = new Map<string, number>();
  private readonly windows: Window[] = [];
  private readonly epochs: Record<Subject, Epoch[]> = {
    granted: [{ from: 0, value: undefined }],
    permissive: [{ from: 0, value: undefined }],
  };

  /** From now on it is not known what is allowed, until {@link Judge.decided}. */
  changing(subject: Subject, at: number): void {
    this.epochs[subject].push({ from: at, value: undefined });
  }

  /** What holds for requests that begin from now on. */
  decided(subject: Subject, value: boolean, at: number): void {
    this.epochs[subject].push({ from: at, value });
  }

  /** Requests through a sidecar may fail from now on, until the window is closed. */
  disturbed(sidecar: string, reason: string, at: number): Window {
    return this.open({ reason, from: at, to: undefined, covers: flow => flow.through.includes(sidecar) });
  }

  /** The chains of ports change: once the drain time is over, some requests that are under way then may be cut. */
  drains(reason: string, at: number): Window {
    const cut = new Map<string, number>();
    const covers = ({ name }: FlowPlan, { endedAt, what }: FlowOutcome): boolean => {
      if (endedAt - at < DRAIN_MS || !CUT.test(what)) return false;
      const before = cut.get(name) ?? 0;
      cut.set(name, before + 1);
      return before < MOST_CUT;
    };
    return this.open({ reason, from: at, to: undefined, covers });
  }

  private open(window: Window): Window {
    this.windows.push(window);
    return window;
  }

  /** Judges what has ended. */
  take(flow: FlowPlan, outcome: FlowOutcome): void {
    this.counts.requests += 1;
    const expected = this.expected(flow, outcome);
    const succeeded = outcome.status === 200;
    if (expected === undefined) this.counts.undecided += 1;
    else if (expected && succeeded) this.counts.allowed += 1;
    else if (!expected && !succeeded) this.counts.refused += 1;
    else if (expected) this.failed(flow, outcome);
    else this.breaches.push({ invariant: "I1", flow, outcome });
  }

  private failed(flow: FlowPlan, outcome: FlowOutcome): void {
    const window = this.windows.find(
      ({ from, to = Infinity, covers }) =>
        from <= outcome.endedAt + SLACK_MS && outcome.begunAt <= to + SLACK_MS && covers(flow, outcome),
    );
    if (window === undefined) {
      this.breaches.push({ invariant: "I2", flow, outcome });
      return;
    }
    this.counts.excused += 1;
    const excuse = `${window.reason}: ${outcome.status} ${outcome.what}`;
    this.excuses.set(excuse, (this.excuses.get(excuse) ?? 0) + 1);
  }

  /** Whether everything is let in, or may be. */
  get mayBePermissive(): boolean {
    return this.epochs.permissive.at(-1)?.value !== false;
  }

  private expected({ rule }: FlowPlan, outcome: FlowOutcome): boolean | undefined {
    if (rule === "always") return true;
    if (rule === "never") return false;
    const permissive = this.during("permissive", outcome);
    if (permissive === undefined || permissive) return permissive;
    return rule === "permissive" ? false : this.during("granted", outcome);
  }

  /** The one value while a request was under way; undefined: there were several, or it was changing. */
  private during(subject: Subject, { begunAt, endedAt }: FlowOutcome): boolean | undefined {
    const epochs = this.epochs[subject];
    const first = epochs.findLastIndex(({ from }) => from <= begunAt - SLACK_MS);
    const last = epochs.findLastIndex(({ from }) => from <= endedAt + SLACK_MS);
    const values = new Set(epochs.slice(Math.max(0, first), last + 1).map(({ value }) => value));
    return values.size === 1 ? [...values][0] : undefined;
  }
}
