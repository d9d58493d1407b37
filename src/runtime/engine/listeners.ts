import { tellContained } from "../contained";
import type { Log, Subscription } from "../ports";

/** A set of callbacks; one that throws is logged and does not keep the others from being called. */
export interface Listeners<A> {
  add(listener: (argument: A) => void): Subscription;
  notify(argument: A): void;
  readonly size: number;
}

/** An empty set. `what` names the event in the log. */
export function createListeners<A>(log: Log, what: string): Listeners<A> {
  const listeners = new Set<(argument: A) => void>();
  return {
    get size() {
      return listeners.size;
    },
    add: listener => {
      const own = (argument: A): void => {
        listener(argument);
      };
      listeners.add(own);
      return { close: () => listeners.delete(own) };
    },
    notify: argument => {
      for (const listener of listeners) {
        try {
          listener(argument);
        } catch (error) {
          tellContained(log, "a listener failed", { event: what, error: String(error) });
        }
      }
    },
  };
}
