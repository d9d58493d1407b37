import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks";

/** How long a delay is at least told of; twice as long at the most. Longer than any usual interval of scrapes. */
const KEPT_MS = 30_000;
/** How often the loop is looked at, milliseconds. */
const RESOLUTION_MS = 10;

/** Delays of this process's event loop in the last {@link KEPT_MS} to twice that. */
export interface EventLoopLag {
  /** The delay in seconds that this share of the looks (0 to 1) stayed below; 1: the longest. 0 before the first look. */
  quantile(share: number): number;
  stop(): void;
}

/**
 * Begins to watch the event loop. What is seen does not depend on who reads it: a scrape that came while the loop stood still, and
 * was given up, is answered first when it goes on, and forgetting at each reading would lose the very delay that is looked for.
 */
export function watchEventLoop(keptMs = KEPT_MS): EventLoopLag {
  const begin = (): IntervalHistogram => {
    const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    histogram.enable();
    return histogram;
  };
  /** Both see everything; one begins anew in the middle of the other's time. */
  let [older, younger] = [begin(), begin()];
  const timer = setInterval(() => {
    older.reset();
    [older, younger] = [younger, older];
  }, keptMs);
  timer.unref();
  return {
    quantile: share => (older.count === 0 ? 0 : older.percentile(share * 100) / 1e9),
    stop: () => {
      clearInterval(timer);
      older.disable();
      younger.disable();
    },
  };
}
