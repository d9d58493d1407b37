import type { Cell, Graph } from "../../graph/graph";
import type { Clock, Log, Subscription } from "../ports";
import type { DiagnosticMap } from "./compiler";
import { changedFindings } from "./compiler";
import { createListeners } from "./listeners";
import { observe } from "./observed";

/** Shortest pause before findings are looked at after a change, milliseconds. */
const SHORTEST_PAUSE = 50;
/** Longest pause, milliseconds. */
const LONGEST_PAUSE = 2_000;

/**
 * Findings about all objects, beside the flush that serves proxies: looking at them costs with the number of objects, and a
 * flood of policy must not hold up an endpoint. Who does not listen does not pay.
 */
export interface Findings {
  /** As of the last look; looks first where nobody listens. */
  current(): DiagnosticMap;
  onChange(listener: (changed: DiagnosticMap) => void): Subscription;
  /** Something may have changed: looks soon, at most a tenth of the time. */
  soon(): void;
  /** Looks now. */
  now(): void;
}

/** Follows a cell of findings. */
export function createFindings(
  graph: Graph,
  cell: Cell<DiagnosticMap>,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Findings {
  const observed = observe<DiagnosticMap>(graph, cell, { initial: new Map(), log });
  const listeners = createListeners<DiagnosticMap>(log, "diagnostics");
  let pause = SHORTEST_PAUSE;
  let waiting = false;

  const look = (): void => {
    const start = clock.now();
    graph.batch(() => {
      observed.look((before, now) => {
        const changed = changedFindings(before, now);
        if (changed.size > 0) listeners.notify(changed);
      });
    });
    pause = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, 10 * (clock.now() - start)));
  };
  const soon = (): void => {
    if (waiting || listeners.size === 0 || !observed.stale) return;
    waiting = true;
    clock.setTimeout(() => {
      waiting = false;
      look();
    }, pause);
  };
  return {
    current: () => {
      if (listeners.size === 0) look();
      return observed.last;
    },
    onChange: listener => {
      const subscription = listeners.add(listener);
      soon();
      return subscription;
    },
    soon,
    now: look,
  };
}
