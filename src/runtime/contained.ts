/** Keeps an error where it happened: everything else goes on, the log names the place, and a metric counts it. */
import type { Clock, Log } from "./ports";

/**
 * Everywhere that an error of ours is kept: what the log says of it, and the label `place` of the metric, whose series are
 * bounded by this list.
 */
export const PLACES = [
  "a Service that has waited",
  "a leaf was issued",
  "a listener failed",
  "a pod is gone",
  "a reader of changes failed",
  "a refusal is told",
  "an ADS stream failed",
  "an object could not be read",
  "an object was admitted without a look at the others",
  "answer of the read-only API",
  "configuration not computed",
  "configuration not delivered",
  "count of a proxy",
  "count of an object's proxies",
  "counts have changed",
  "flush",
  "metrics",
  "not compiled, it stays as it was",
  "not computed",
  "observer of streams",
  "page failed",
  "renewal of a leaf",
  "resource left out, it could not be encoded",
  "roots have changed",
  "secrets of a stream",
  "streams have moved",
  "sweep of a stream",
  "the ledger of a replica cannot be asked",
  "the own root has changed",
  "the rotation has moved",
  "timer",
  "trouble of an issuer",
  "watcher of the ledger",
] as const;

/** One of {@link PLACES}. */
export type Place = (typeof PLACES)[number];

/** Where an error is told, and counted by whom it is {@link countedLog}; undefined: nobody is told. */
type ErrorLog = (Pick<Log, "error"> & { readonly contained?: (place: Place) => void }) | undefined;

type Fields = Readonly<Record<string, unknown>>;

/** Tells and counts an error that was caught where more has to be done than to go on; the line of the log is the place. */
export function tellContained(log: ErrorLog, place: Place, fields: Fields): void {
  log?.contained?.(place);
  log?.error(place, fields);
}

/**
 * Runs something that must not hold up what comes after it. What it throws is a bug of ours: it is logged with the place and the
 * fields (which object, say), counted, and goes no further. Gives whether it came to its end.
 */
export function contained(log: ErrorLog, place: Place, run: () => void, fields: Fields = {}): boolean {
  try {
    run();
    return true;
  } catch (error) {
    const at = error instanceof Error ? error.stack?.split("\n")[1]?.trim() : undefined;
    log?.contained?.(place);
    log?.error(`an error was contained: ${place}`, { ...fields, error, ...(at === undefined ? {} : { at }) });
    return false;
  }
}

/** The same log; `count` is called for each error that is contained by it or by one of its children. */
export function countedLog<L extends Log>(log: L, count: (place: Place) => void): L {
  const own: Pick<Log, "child"> & Pick<NonNullable<ErrorLog>, "contained"> = {
    contained: count,
    child: component => countedLog(log.child(component), count),
  };
  // What else the log has (a level that is read anew each time) stays its own.
  return Object.create(log, Object.getOwnPropertyDescriptors(own)) as L;
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
