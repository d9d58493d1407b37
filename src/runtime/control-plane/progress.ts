import { apiKind } from "../../api/kinds";
import { objectRefKey, originsWithin } from "../../model/object-ref";
import type { ProxyProgress } from "../../status/conditions";
import type { Engine } from "../engine";
import type { ChangedObjects, Fleet } from "../ledger/fleet";
import { progressOf } from "../ledger/sum";
import { contained } from "../contained";
import type { Clock, Log, Subscription } from "../ports";
import type { StatusSubject } from "../status/writer";

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
  /** Of an object in that generation; undefined: its kind is not read by the compiler. */
  of(subject: StatusSubject, generation: number): ProxyProgress | undefined;
  stop(): void;
}

/** Counts that changed while everything is in force are written this much later, for many objects at once; milliseconds. */
const RECOUNT_MS = 30_000;

/** Changes are looked at this much later, together; milliseconds. Thousands of objects may change at once. */
const LOOK_AFTER_MS = 50;
/** How long what shapes an unconnected pod is taken for granted; milliseconds. */
const SHAPERS_MS = 2_000;

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

/** Follows the counts of all objects and asks for a look at those whose outcome changed. */
export function followProgress(options: ProgressOptions): Progress {
  const { engine, fleet, clock, log, touch } = options;
  const outcomes = new Map<string, { readonly outcome: string; readonly counts: string }>();
  const recount = new Set<string>();
  let timer: { cancel(): void } | undefined;

  const shapedBy = rememberShapers(engine, clock);
  const count = (subject: StatusSubject, generation: number): ProxyProgress => {
    const object = { key: subjectKey(subject), generation, everyProxy: subject.kind === "MeshConfig" };
    return progressOf(fleet.view(), object, shapedBy);
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
  const touchRecounted = (): void => {
    timer = undefined;
    for (const key of recount) {
      const subject = subjectOfKey(key);
      if (subject !== undefined) touch(subject);
    }
    recount.clear();
  };
  const soon = gather(clock, changed => {
    lookAtEach(changed === "all" ? [...engine.generations().keys(), ...outcomes.keys()] : changed, look, log);
  });
  const subscriptions: readonly Subscription[] = [
    fleet.onChange(changed => {
      soon.add(changed);
    }),
    engine.onCompiled(changed => {
      soon.add(changed);
    }),
  ];
  return {
    of: (subject, generation) => {
      const known = engine.generations().has(subjectKey(subject));
      return known ? count(subject, generation) : undefined;
    },
    stop: () => {
      timer?.cancel();
      soon.stop();
      for (const subscription of subscriptions) subscription.close();
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

/** Changes of a moment, handed over together. */
function gather(
  clock: Clock,
  look: (changed: ChangedObjects) => void,
): { add(changed: ChangedObjects): void; stop(): void } {
  let gathered: Set<string> | "all" = new Set<string>();
  let timer: { cancel(): void } | undefined;
  const run = (): void => {
    timer = undefined;
    const changed = gathered;
    gathered = new Set<string>();
    look(changed);
  };
  return {
    add: changed => {
      if (changed === "all" || gathered === "all") gathered = "all";
      else for (const key of changed) gathered.add(key);
      timer ??= clock.setTimeout(run, LOOK_AFTER_MS);
    },
    stop: () => {
      timer?.cancel();
    },
  };
}

/**
 * Keys of the objects that a pod's configuration comes from, as this process compiles it. It compiles for no proxy of its
 * own, so each answer is computed from all leaves of the pod and kept for a moment.
 */
function rememberShapers(engine: Engine, clock: Clock): (podUid: string) => ReadonlySet<string> {
  const known = new Map<string, { readonly at: number; readonly keys: ReadonlySet<string> }>();
  return podUid => {
    const now = clock.now();
    const before = known.get(podUid);
    if (before !== undefined && now - before.at < SHAPERS_MS && now >= before.at) return before.keys;
    if (known.size > engine.expectedProxies().size) known.clear();
    const leaves = engine.describe(podUid)?.leaves ?? [];
    const keys = new Set(leaves.flatMap(leaf => originsWithin(leaf).map(objectRefKey)));
    known.set(podUid, { at: now, keys });
    return keys;
  };
}
