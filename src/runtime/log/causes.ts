import type { Clock } from "../ports";

/** Lines of one cause that are printed in a second, counted from its first line. */
export const LINES_A_SECOND = 9;
/** Causes that are told apart in a second; all others of a severity share one bound. The control plane has some sixty. */
export const MAX_CAUSES = 256;

const SECOND_MS = 1_000;
/** Longer messages are one cause when they begin alike: a cause is kept for a second, and must stay small. */
const MAX_MESSAGE = 256;

/** What lines have in common that are counted together. Fields differ between them. */
export interface Cause<Severity extends string> {
  readonly severity: Severity;
  readonly component: string;
  /** The constant text of the line, at most its first 256 characters. */
  readonly message: string;
}

/** What {@link CauseBound} works with. */
export interface CauseBoundOptions<Severity extends string> {
  readonly clock: Pick<Clock, "now" | "setTimeout">;
  /** Told once at the end of a second in which lines were left out, and how many; must not ask {@link CauseBound.admits}. */
  readonly leftOut: (cause: Cause<Severity>, count: number) => void;
}

interface Seen<Severity extends string> {
  readonly cause: Cause<Severity>;
  /** When the first line came, epoch milliseconds. */
  readonly begun: number;
  lines: number;
}

/**
 * Bounds the lines of each cause: 9 in a second that begins with the first of them, and no more until it has passed. Holds
 * the causes of one second only, at most {@link MAX_CAUSES} and one more for each severity. A timer runs only while there is
 * something to tell, and keeps no process alive: what a process leaves out in its very last second it does not tell.
 */
export class CauseBound<Severity extends string> {
  /** In the order in which they began, so that those to forget come first. */
  private readonly seen = new Map<string, Seen<Severity>>();
  private latest = Number.NEGATIVE_INFINITY;
  private waiting = false;

  public constructor(private readonly options: CauseBoundOptions<Severity>) {}

  /** How many causes are held. */
  public get size(): number {
    return this.seen.size;
  }

  /** Whether one more line of this cause may be printed now; counts it in either case. */
  public admits(cause: Cause<Severity>): boolean {
    const now = this.options.clock.now();
    this.forget(now);
    const seen = this.counted(cause, now);
    seen.lines += 1;
    if (seen.lines <= LINES_A_SECOND) return true;
    this.tellLater(seen.begun + SECOND_MS - now);
    return false;
  }

  private counted(cause: Cause<Severity>, now: number): Seen<Severity> {
    const { severity, component } = cause;
    const message = cause.message.slice(0, MAX_MESSAGE);
    const key = `${severity} ${component} ${message}`;
    const known = this.seen.get(key);
    if (known !== undefined) return known;
    if (this.seen.size < MAX_CAUSES) return this.begin(key, { severity, component, message }, now);
    // By severity, so that a flood of one does not hide another that matters more.
    return (
      this.seen.get(severity) ??
      this.begin(severity, { severity, component: "log", message: "other causes" }, now)
    );
  }

  private begin(key: string, cause: Cause<Severity>, now: number): Seen<Severity> {
    const seen = { cause, begun: now, lines: 0 };
    this.seen.set(key, seen);
    return seen;
  }

  /** Drops the causes whose second has passed, and tells of them what was left out. */
  private forget(now: number): void {
    // A clock that was set back says nothing about the seconds that had begun: they end.
    const turned = now < this.latest;
    this.latest = now;
    for (const [key, { cause, begun, lines }] of this.seen) {
      if (!turned && now - begun < SECOND_MS) return;
      this.seen.delete(key);
      if (lines > LINES_A_SECOND) this.options.leftOut(cause, lines - LINES_A_SECOND);
    }
  }

  private tellLater(ms: number): void {
    if (this.waiting) return;
    this.waiting = true;
    const timer = this.options.clock.setTimeout(() => {
      this.waiting = false;
      const now = this.options.clock.now();
      this.forget(now);
      const next = [...this.seen.values()].find(({ lines }) => lines > LINES_A_SECOND);
      if (next !== undefined) this.tellLater(next.begun + SECOND_MS - now);
    }, ms);
    timer.unref?.();
  }
}
