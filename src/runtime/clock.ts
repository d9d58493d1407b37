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
