import { format } from "node:util";
import type { Log } from "../ports";

/** What libraries print their complaints with. */
type Complaints = Pick<Console, "error" | "warn">;

/**
 * Takes over what libraries print by themselves (Express prints a stack of some ten lines for each request that it cannot read):
 * each such text becomes one line of the log, bounded and redacted as any other. Gives what puts things back.
 */
export function takeConsole(log: Pick<Log, "warn">, target: Complaints = console): { stop(): void } {
  const { error, warn } = target;
  const say = (...said: readonly unknown[]): void => {
    log.warn("printed by a library", { text: format(...said) });
  };
  target.error = say;
  target.warn = say;
  return {
    stop: () => {
      Object.assign(target, { error, warn });
    },
  };
}
