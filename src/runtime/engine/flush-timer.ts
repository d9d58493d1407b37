import { contained } from "../contained";
import type { Clock, Log } from "../ports";

/** Longest pause between two flushes under a storm of events, milliseconds. */
const LONGEST_PAUSE = 50;

/** When the engine flushes. */
export interface FlushTimer {
  /** Something changed; a flush follows at the end of this turn, or after the pause that the last one earned. */
  readonly request: () => void;
  /** Runs the flush now, if one is wanted. */
  flushNow(): void;
}

/** What the timer needs. */
export interface FlushTimerOptions {
  readonly clock: Clock;
  /** Runs something at the end of this turn of the event loop. */
  readonly soon: (run: () => void) => void;
  readonly flush: () => void;
  /** Told of what the flush throws; default: nobody. */
  readonly log?: Log;
}

/**
 * One flush per turn, without a fixed wait. A flush that took long is followed by a pause as long as itself, at most
 * {@link LONGEST_PAUSE}: a storm of events then takes half of the processor, and its events meet in one flush.
 */
export function createFlushTimer({ clock, soon, flush, log }: FlushTimerOptions): FlushTimer {
  let wanted = false;
  let scheduled = false;
  let notBefore = 0;

  const run = (): void => {
    scheduled = false;
    if (!wanted) return;
    wanted = false;
    const start = clock.now();
    contained(log, "flush", flush);
    const end = clock.now();
    notBefore = end + Math.min(LONGEST_PAUSE, end - start);
  };

  return {
    request: () => {
      wanted = true;
      if (scheduled) return;
      scheduled = true;
      const pause = notBefore - clock.now();
      // A clock that jumped back must not make the pause longer than it can be.
      if (pause > 0 && pause <= LONGEST_PAUSE) clock.setTimeout(run, pause);
      else soon(run);
    },
    flushNow: () => {
      const before = scheduled;
      run();
      scheduled = before;
    },
  };
}
