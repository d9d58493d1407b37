/** Keeps an error where it happened: everything else goes on, and the log names the place. */
import type { Clock, Log } from "./ports";

/** Where an error is told; undefined: nobody is told. */
type ErrorLog = Pick<Log, "error"> | undefined;

/**
 * Runs something that must not hold up what comes after it. What it throws is a bug of ours: it is logged with the place and the
 * fields (which object, say), and goes no further. Gives whether it came to its end.
 */
export function contained(
  log: ErrorLog,
  place: string,
  run: () => void,
  fields: Readonly<Record<string, unknown>> = {},
): boolean {
  try {
    run();
    return true;
  } catch (error) {
    const at = error instanceof Error ? error.stack?.split("\n")[1]?.trim() : undefined;
    log?.error(`an error was contained: ${place}`, { ...fields, error, ...(at === undefined ? {} : { at }) });
    return false;
  }
}

/** The same clock; what a timer's work throws is logged, and does not end the process. */
export function containedClock(clock: Clock, log: ErrorLog): Clock {
  return {
    now: () => clock.now(),
    setTimeout: (run, ms) =>
      clock.setTimeout(() => {
        contained(log, "timer", run);
      }, ms),
  };
}
