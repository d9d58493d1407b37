import type { Clock } from "./ports";

/** The machine's wall clock. Its timers do not keep the process alive: servers and informers do. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (run, ms) => {
    const timer = setTimeout(run, ms);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};
