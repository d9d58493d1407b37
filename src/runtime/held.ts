/** What is kept a while longer than somebody needs it. */
import type { Clock, Subscription } from "./ports";

/**
 * What a proxy was given is kept for so long after it has gone, milliseconds: when the connections of a whole fleet break,
 * nothing is compiled, encoded or issued again that was there a moment ago.
 */
export const KEEP_MS = 60_000;

interface Kept {
  readonly kept: Subscription;
  readonly timer: { cancel(): void };
}

/** Subscriptions that end later, one for each key. */
export class Held {
  private readonly byKey = new Map<string, Kept>();
  private isOver = false;

  constructor(
    private readonly clock: Clock,
    private readonly holdMs: number,
  ) {}

  /** Closes the subscription when its time is over, and at once the one that was kept for the key before. */
  keep(key: string, kept: Subscription): void {
    const before = this.byKey.get(key);
    before?.timer.cancel();
    if (this.holdMs === 0 || this.isOver) kept.close();
    else {
      const timer = this.clock.setTimeout(() => {
        this.byKey.delete(key);
        kept.close();
      }, this.holdMs);
      this.byKey.set(key, { kept, timer });
    }
    before?.kept.close();
  }

  /** Keeps it no longer, without closing it: it is needed again. */
  release(key: string): void {
    this.byKey.get(key)?.timer.cancel();
    this.byKey.delete(key);
  }

  /** Closes all that is kept; from now on nothing is. */
  stop(): void {
    this.isOver = true;
    for (const { kept, timer } of this.byKey.values()) {
      timer.cancel();
      kept.close();
    }
    this.byKey.clear();
  }
}
