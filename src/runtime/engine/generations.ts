import { apiKind } from "../../api/kinds";
import { objectRefKey } from "../../model/object-ref";
import type { EngineEvent } from "./events";

/**
 * `metadata.generation` of custom objects, kept apart from their values: a generation that changes nothing must not
 * make anything be computed again, and yet be known as seen.
 */
export interface Generations {
  /** By {@link objectRefKey}: what the configuration delivered last was computed from. */
  readonly compiled: ReadonlyMap<string, number>;
  /** Takes note of an event that goes into the next flush. */
  note(event: EngineEvent): void;
  /** The flush is over: all that was noted is compiled. Returns the keys that differ. */
  settle(): ReadonlySet<string>;
}

/** None seen. */
export function createGenerations(): Generations {
  const compiled = new Map<string, number>();
  /** undefined: deleted. */
  const noted = new Map<string, number | undefined>();

  const refKey = (kind: string, group: string, key: string): string => {
    const [namespace = "", name = ""] = key.split("/");
    return objectRefKey({ group, kind, namespace, name });
  };
  const noteAll = (prefix: string, now: ReadonlyMap<string, number | undefined>): void => {
    const known = [...compiled.keys(), ...noted.keys()].filter(key => key.startsWith(prefix));
    for (const key of known) if (!now.has(key)) noted.set(key, undefined);
    for (const [key, generation] of now) noted.set(key, generation);
  };
  return {
    compiled,
    note: event => {
      const group = apiKind(event.kind)?.group;
      if (group === undefined) return;
      const { kind } = event;
      switch (event.type) {
        case "upsert":
          noted.set(refKey(kind, group, event.key), event.compiled.generation);
          return;
        case "delete":
          noted.set(refKey(kind, group, event.key), undefined);
          return;
        case "reset":
          noteAll(
            `${kind}.${group}/`,
            new Map([...event.items].map(([key, item]) => [refKey(kind, group, key), item.generation])),
          );
      }
    },
    settle: () => {
      const changed = new Set<string>();
      for (const [key, generation] of noted) {
        if (compiled.get(key) === generation) continue;
        if (generation === undefined) compiled.delete(key);
        else compiled.set(key, generation);
        changed.add(key);
      }
      noted.clear();
      return changed;
    },
  };
}
