import { apiKind } from "../../api/kinds";
import { objectRefKey, originsWithin } from "../../model/object-ref";
import type { ProxyProgress } from "../../status/conditions";
import type { Engine } from "../engine";
import type { ChangedObjects, Fleet } from "../ledger/fleet";
import { progressOf } from "../ledger/sum";
import type { Clock, Subscription } from "../ports";
import type { StatusSubject } from "../status/writer";

/** What progress is counted from. */
export interface ProgressOptions {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly clock: Clock;
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
  const { engine, fleet, clock, touch } = options;
  const outcomes = new Map<string, { readonly outcome: string; readonly counts: string }>();
  const recount = new Set<string>();
  let timer: { cancel(): void } | undefined;

  const count = (subject: StatusSubject, generation: number): ProxyProgress => {
    const object = { key: subjectKey(subject), generation, everyProxy: subject.kind === "MeshConfig" };
    return progressOf(fleet.view(), object, uid => shapersOf(engine, uid));
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
  const lookAt = (changed: ChangedObjects): void => {
    for (const key of changed === "all" ? engine.generations().keys() : changed) look(key);
  };
  const subscriptions: readonly Subscription[] = [
    fleet.onChange(lookAt),
    engine.onCompiled(changed => {
      lookAt(changed);
    }),
  ];
  return {
    of: (subject, generation) => {
      const known = engine.generations().has(subjectKey(subject));
      return known ? count(subject, generation) : undefined;
    },
    stop: () => {
      timer?.cancel();
      for (const subscription of subscriptions) subscription.close();
    },
  };
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

const NOBODY: ReadonlySet<string> = new Set();
const shapers = new WeakMap<object, ReadonlySet<string>>();

/** Keys of the objects that a pod's configuration comes from, as this process compiles it. */
function shapersOf(engine: Engine, podUid: string): ReadonlySet<string> {
  const leaves = engine.describe(podUid)?.leaves;
  if (leaves === undefined) return NOBODY;
  const known = shapers.get(leaves);
  if (known !== undefined) return known;
  const keys = new Set(leaves.flatMap(leaf => originsWithin(leaf).map(objectRefKey)));
  shapers.set(leaves, keys);
  return keys;
}
