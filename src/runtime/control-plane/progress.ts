import { apiKind } from "../../api/kinds";
import { objectRefKey } from "../../model/object-ref";
import type { ProxyProgress } from "../../status/conditions";
import type { Engine } from "../engine";
import type { ChangedObjects, Fleet } from "../ledger/fleet";
import { progressOf } from "../ledger/sum";
import { contained } from "../contained";
import type { Clock, Log, Subscription } from "../ports";
import type { StatusSubject } from "../status/writer";
import { Unconnected, type Asked } from "./away";

/** What progress is counted from. */
export interface ProgressOptions {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with an object whose progress is worth writing. */
  readonly touch: (subject: StatusSubject) => void;
}

/** How far the proxies are with each custom object. */
export interface Progress {
  /**
   * Of an object in that generation, by what is known now: nothing is compiled for it. undefined: its kind is not read by the
   * compiler, or all that is known of is done while unconnected proxies have still to be asked; it is touched when they were.
   */
  of(subject: StatusSubject, generation: number): ProxyProgress | undefined;
  stop(): void;
}

/** Counts that changed while everything is in force are written this much later, for many objects at once; milliseconds. */
const RECOUNT_MS = 30_000;

/** Changes are looked at this much later, together; milliseconds. Thousands of objects may change at once. */
const LOOK_AFTER_MS = 50;
/** Asking unconnected proxies takes at most so much of the time, one in: the next look waits so many times as long as it took. */
const SHARE = 4;
/** Longest time that it waits, milliseconds; so long also waits the look after something else than an object changed an answer. */
const LONGEST_PAUSE_MS = 2_000;

/** The key of a custom object. */
export function subjectKey({ kind, namespace, name }: StatusSubject): string {
  return objectRefKey({ group: apiKind(kind)?.group ?? "", kind, namespace, name });
}

/** The custom object of a key; undefined when it is none. */
export function subjectOfKey(key: string): StatusSubject | undefined {
  const [type = "", namespace, name] = key.split("/");
  const kind = type.split(".")[0] ?? "";
  return name === undefined || namespace === undefined || apiKind(kind) === undefined
    ? undefined
    : { kind, namespace, name };
}

/** It concerns all proxies, whatever shapes their configuration. */
const isForEvery = ({ kind }: StatusSubject): boolean => kind === "MeshConfig";

/** Follows the counts of all objects and asks for a look at those whose outcome changed. */
export function followProgress(options: ProgressOptions): Progress {
  const { engine, fleet, clock } = options;
  const unconnected = new Unconnected({
    ...options,
    onStale: () => {
      looks.later();
    },
  });
  /** Objects compiled anew since unconnected proxies were asked last, and of those the ones that they are asked about now. */
  const fresh = { waiting: new Set<string>(), asking: new Set<string>() };
  const unsaid = new Set<string>();
  const count = (subject: StatusSubject, generation: number): ProxyProgress => {
    const view = fleet.view();
    const object = { key: subjectKey(subject), generation, everyProxy: isForEvery(subject) };
    return progressOf(view, object, unconnected.known(view.missing).byObject);
  };
  const outcomes = followOutcomes(options, count);
  const isKnown = (key: string): boolean => {
    const { missing } = fleet.view();
    const isFresh = fresh.waiting.has(key) || fresh.asking.has(key);
    return missing.size === 0 || (unconnected.known(missing).isWhole && !isFresh);
  };
  const looks = gather(clock, (changed, done) => {
    for (const key of fresh.waiting) fresh.asking.add(key);
    fresh.waiting.clear();
    const asked = ({ answered, changed: answers, cost }: Asked): void => {
      if (answered) fresh.asking.clear();
      const every = answers || changed === "all";
      outcomes.look(every ? [...engine.generations().keys(), ...outcomes.keys()] : changed);
      outcomes.touch(unsaid);
      done(cost);
    };
    unconnected.ask(isCounted(engine), asked);
  });
  const subscriptions: readonly Subscription[] = [
    fleet.onChange(changed => {
      looks.soon(changed);
    }),
    engine.onCompiled(changed => {
      for (const key of changed) fresh.waiting.add(key);
      looks.soon(changed);
    }),
  ];
  return {
    of: (subject, generation) => {
      const key = subjectKey(subject);
      if (!engine.generations().has(key)) return undefined;
      const progress = count(subject, generation);
      if (!isAllDone(progress) || isForEvery(subject) || isKnown(key)) return progress;
      unsaid.add(key);
      return undefined;
    },
    stop: () => {
      outcomes.stop();
      looks.stop();
      unconnected.stop();
      for (const subscription of subscriptions) subscription.close();
    },
  };
}

/** Nothing is waited for, as far as is known. */
function isAllDone({ complete, programmed, affected }: ProxyProgress): boolean {
  return complete && programmed === affected;
}

/** Whether there is an object for which it matters what shapes a proxy. */
function isCounted(engine: Engine): boolean {
  for (const key of engine.generations().keys()) {
    const subject = subjectOfKey(key);
    if (subject !== undefined && !isForEvery(subject)) return true;
  }
  return false;
}

/** Remembers what was found of each object, and asks for a look at those of which something else is found. */
function followOutcomes(
  { engine, clock, log, touch }: ProgressOptions,
  count: (subject: StatusSubject, generation: number) => ProxyProgress,
): {
  look(keys: Iterable<string>): void;
  keys(): Iterable<string>;
  /** Asks for a look at these, and forgets them. */
  touch(keys: Set<string>): void;
  stop(): void;
} {
  const outcomes = new Map<string, { readonly outcome: string; readonly counts: string }>();
  const recount = new Set<string>();
  let timer: { cancel(): void } | undefined;
  const touchAll = (keys: Set<string>): void => {
    const all = [...keys];
    keys.clear();
    const touchOne = (key: string): void => {
      const subject = subjectOfKey(key);
      if (subject !== undefined) touch(subject);
    };
    lookAtEach(all, touchOne, log);
  };
  const touchRecounted = (): void => {
    timer = undefined;
    touchAll(recount);
  };
  const look = (key: string): void => {
    const subject = subjectOfKey(key);
    const generation = engine.generations().get(key);
    if (subject === undefined || generation === undefined) {
      outcomes.delete(key);
      return;
    }
    const progress = count(subject, generation);
    const next = {
      outcome: outcomeOf(progress, generation),
      counts: `${progress.programmed}/${progress.affected}`,
    };
    const before = outcomes.get(key);
    outcomes.set(key, next);
    if (before?.outcome !== next.outcome) touch(subject);
    else if (before.counts !== next.counts) recount.add(key);
    if (recount.size > 0) timer ??= clock.setTimeout(touchRecounted, RECOUNT_MS);
  };
  return {
    look: keys => {
      lookAtEach(keys, look, log);
    },
    keys: () => outcomes.keys(),
    touch: touchAll,
    stop: () => {
      timer?.cancel();
    },
  };
}

/** An object that cannot be counted must not keep the others from being told. */
function lookAtEach(keys: Iterable<string>, look: (key: string) => void, log: Log): void {
  for (const key of keys) {
    const own = (): void => {
      look(key);
    };
    contained(log, "count of an object's proxies", own, { object: key });
  }
}

/** What decides on the condition; counts alone do not, while all or not all are programmed. */
function outcomeOf(progress: ProxyProgress, generation: number): string {
  const { affected, programmed, refusal = "", complete, compiled, behind } = progress;
  return JSON.stringify([
    generation,
    affected === 0,
    programmed === affected,
    refusal,
    complete,
    compiled,
    behind,
  ]);
}

/** When changes are looked at. */
interface Looks {
  /** With those of the same moment. */
  soon(changed: ChangedObjects): void;
  /** Something that is not known by its object may have changed: looks, in a while. */
  later(): void;
  stop(): void;
}

/**
 * Changes of a moment, handed over together; those that come before `done` is called are handed over afterwards. `cost`: for how
 * long the look kept the event loop, milliseconds; so much later, and more, is the next one.
 */
function gather(clock: Clock, look: (changed: ChangedObjects, done: (cost: number) => void) => void): Looks {
  let gathered: Set<string> | "all" | undefined;
  let timer: { cancel(): void } | undefined;
  let laterTimer: { cancel(): void } | undefined;
  let pause = LOOK_AFTER_MS;
  let isLooking = false;
  const run = (): void => {
    timer = undefined;
    const changed = gathered ?? new Set<string>();
    gathered = undefined;
    isLooking = true;
    look(changed, cost => {
      isLooking = false;
      pause = Math.min(LONGEST_PAUSE_MS, Math.max(LOOK_AFTER_MS, SHARE * cost));
      if (gathered !== undefined) arm();
    });
  };
  const arm = (): void => {
    if (!isLooking) timer ??= clock.setTimeout(run, pause);
  };
  const soon = (changed: ChangedObjects): void => {
    if (changed === "all") gathered = "all";
    else if (gathered !== "all") {
      gathered ??= new Set();
      for (const key of changed) gathered.add(key);
    }
    arm();
  };
  return {
    soon,
    later: () => {
      laterTimer ??= clock.setTimeout(() => {
        laterTimer = undefined;
        soon(new Set());
      }, LONGEST_PAUSE_MS);
    },
    stop: () => {
      timer?.cancel();
      laterTimer?.cancel();
    },
  };
}
