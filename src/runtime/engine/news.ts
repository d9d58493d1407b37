import type { Clock } from "../ports";
import type { EngineEvent } from "./events";

/** Remembers what there has been news of since the last flush, so that who is served by it can be told since when. */
export interface NewsLog {
  /** The same function, with a note of every event. */
  noting(apply: (event: EngineEvent) => void): (event: EngineEvent) => void;
  /** The flush, during which all news so far is {@link NewsLog.present}. */
  during(flush: () => void): () => void;
  /** Kinds with when the first news of them came, epoch milliseconds; empty outside of a flush. */
  readonly present: () => ReadonlyMap<string, number>;
}

/** No news yet. */
export function createNews(clock: Clock): NewsLog {
  let coming = new Map<string, number>();
  let present: ReadonlyMap<string, number> = new Map();
  return {
    noting: apply => event => {
      if (!coming.has(event.kind)) coming.set(event.kind, clock.now());
      apply(event);
    },
    during: flush => () => {
      present = coming;
      coming = new Map();
      try {
        flush();
      } finally {
        present = new Map();
      }
    },
    present: () => present,
  };
}
