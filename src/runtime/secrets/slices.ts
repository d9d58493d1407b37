/** Work in slices: what many ask for at once is done without holding up the event loop. */
import type { Clock } from "../ports";

/** Pieces of work done one after the other at most, before others have their turn; a leaf takes about a millisecond. */
const AT_ONCE = 8;
/** A slice ends after so long as well, for issuers whose key signs slowly (RSA), milliseconds. */
const SLICE_MS = 4;
/** A pause of so long between two pieces makes the second the first of a new slice, milliseconds. */
const IDLE_MS = 4;

/** How work is done in slices. */
export interface SlicesOptions<T> {
  readonly clock: Clock;
  /** Does one piece, synchronously; what it throws goes to who asked, or is lost when the piece had to wait. */
  readonly work: (item: T) => void;
}

/**
 * Does pieces of work at once while there are few of them; beyond a slice they wait in the order they came, and between
 * two slices everybody else has a turn. A clock that jumps or a root that changes makes a thousand leaves due together.
 */
export class Slices<T> {
  private readonly items = new Set<T>();
  private done = 0;
  private lastEnd = -Infinity;
  private timer: { cancel(): void } | undefined;

  constructor(private readonly options: SlicesOptions<T>) {}

  /** How many wait for their turn. */
  get waiting(): number {
    return this.items.size;
  }

  /** Does the piece now or soon; one that waits already is not done twice. */
  add(item: T): void {
    const { clock } = this.options;
    const idle = Math.abs(clock.now() - this.lastEnd) >= IDLE_MS;
    if (this.items.size === 0 && (idle || this.done < AT_ONCE)) {
      this.done = idle ? 1 : this.done + 1;
      this.run(item);
      return;
    }
    this.items.add(item);
    this.timer ??= clock.setTimeout(() => {
      this.slice();
    }, 0);
  }

  /** Forgets a piece that waits. */
  drop(item: T): void {
    this.items.delete(item);
  }

  /** Forgets all that wait. */
  stop(): void {
    this.items.clear();
    this.timer?.cancel();
    this.timer = undefined;
  }

  private run(item: T): void {
    const { clock, work } = this.options;
    try {
      work(item);
    } finally {
      this.lastEnd = clock.now();
    }
  }

  private slice(): void {
    const { clock } = this.options;
    this.timer = undefined;
    const began = clock.now();
    this.done = 0;
    for (const item of this.items) {
      this.items.delete(item);
      this.done += 1;
      this.run(item);
      if (this.done >= AT_ONCE || clock.now() - began >= SLICE_MS) break;
    }
    if (this.items.size === 0) return;
    this.timer = clock.setTimeout(() => {
      this.slice();
    }, 0);
  }
}
