import type { Clock } from "./ports";

/** The machine's wall clock. A timer keeps the process until it has run, unless it is let go by `unref`. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => {
    const timer = setTimeout(run, ms);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
      unref: () => {
        timer.unref();
      },
    };
  },
};

/**
 * Whether a time limit is over: `until` has come, or is farther away than the `longest` that the limit can be, and so was set before
 * the clock was put back. All in milliseconds.
 */
export function isOver(until: number, now: number, longest: number): boolean {
  return until <= now || until > now + longest;
}
