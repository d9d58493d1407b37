import type { Clock } from "../../src/runtime/ports";

/** Where every turned clock begins: the first of June 2026, epoch milliseconds. */
export const TURNED_START = Date.parse("2026-06-01T00:00:00Z");

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A clock that a test turns. Timers follow the time that passes, as in Node; the wall clock may jump beside it. */
export class TurnedClock implements Clock {
  private passed = 0;
  private jumped = 0;
  private readonly timers = new Set<Timer>();

  now(): number {
    return TURNED_START + this.passed + this.jumped;
  }

  setTimeout(run: () => void, ms: number): { cancel(): void } {
    const timer = { at: this.passed + ms, run };
    this.timers.add(timer);
    return { cancel: () => this.timers.delete(timer) };
  }

  /** Timers that run. */
  get pending(): number {
    return this.timers.size;
  }

  /** Sets the wall clock forward (or back), as NTP or a machine that has slept does. */
  jump(ms: number): void {
    this.jumped += ms;
  }

  /** Lets time pass, timer by timer. */
  pass(ms: number): void {
    const end = this.passed + ms;
    while (this.step(end));
    this.passed = end;
  }

  /** As {@link pass}, and what a timer has begun may come to its end before the next one. */
  async passSlowly(ms: number): Promise<void> {
    const end = this.passed + ms;
    do await new Promise(resolve => setImmediate(resolve));
    while (this.step(end));
    this.passed = end;
  }

  /** Runs the next timer that is due until then; false: there is none. */
  private step(end: number): boolean {
    let next: Timer | undefined;
    for (const timer of this.timers)
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
    if (next === undefined) return false;
    this.timers.delete(next);
    this.passed = Math.max(this.passed, next.at);
    next.run();
    return true;
  }
}
