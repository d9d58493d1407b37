import type { Cell, Graph } from "../../graph/graph";
import { tellContained } from "../contained";
import type { Log } from "../ports";

/** A cell looked at once per flush. */
export interface Observed<T> {
  /** The value as of the last look. */
  readonly last: T;
  /** Something that the value depends on has changed since. */
  readonly stale: boolean;
  /** Looks; calls `changed` with the value before and the value now if they are not the same object. */
  look(changed: (before: T, now: T) => void): void;
  close(): void;
}

/** Observes a cell. A computation that throws is logged; the last value stays. */
export function observe<T>(graph: Graph, cell: Cell<T>, context: { initial: T; log: Log }): Observed<T> {
  let stale = true;
  let last = context.initial;
  const watch = graph.watch(cell, () => {
    stale = true;
  });
  return {
    get last() {
      return last;
    },
    get stale() {
      return stale;
    },
    look: changed => {
      if (!stale) return;
      stale = false;
      try {
        const before = last;
        last = watch.read();
        if (last !== before) changed(before, last);
      } catch (error) {
        tellContained(context.log, "not computed", { cell: cell.label, error: String(error) });
      }
    },
    close: () => {
      watch.close();
    },
  };
}
