/**
 * Which objects shape the proxies that are not connected. This process compiles for no proxy of its own, so what the others are
 * asked by a replica is asked here: all of them together, a little in each turn of the event loop, and kept compiled meanwhile.
 */
import type { Watch } from "../../graph/graph";
import { contained } from "../contained";
import type { Engine } from "../engine";
import { Held, KEEP_MS } from "../held";
import type { Fleet } from "../ledger/fleet";
import { awayByObject, type Away, type FleetView } from "../ledger/sum";
import type { Clock, Log, Subscription, Timer } from "../ports";

/** How much is compiled before others have their turn, milliseconds. */
const SLICE_MS = 10;

/** What unconnected proxies are looked up in. */
export interface UnconnectedOptions {
  readonly engine: Pick<Engine, "followShapers" | "prepareShapers">;
  readonly fleet: Pick<Fleet, "view">;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when an answer may have changed, before it is asked for again. */
  readonly onStale: () => void;
}

/** What asking came to. */
export interface Asked {
  /** False: a replica cannot be asked, so that nobody knows who is unconnected. */
  readonly answered: boolean;
  /** An answer is another than before. */
  readonly changed: boolean;
  /** How long it kept the event loop, all turns together, milliseconds. */
  readonly cost: number;
}

type Missing = FleetView["missing"];

/** What is known of unconnected proxies. */
export interface KnownAway {
  /** By object. */
  readonly byObject: ReadonlyMap<string, Away>;
  /** Each of them has been asked; otherwise those that were not are counted nowhere. */
  readonly isWhole: boolean;
}

interface Followed {
  readonly watch: Watch<ReadonlySet<string>>;
  /** undefined: not asked yet. */
  keys: ReadonlySet<string> | undefined;
  stale: boolean;
}

const NOTHING: ReadonlySet<string> = new Set();
const NO_POD: Missing = new Map();

/** The answers of unconnected proxies, see the head of this file. */
export class Unconnected {
  private readonly followed = new Map<string, Followed>();
  private readonly held: Held;
  private timer: Timer | undefined;
  private preparation: Subscription | undefined;
  private summed: (KnownAway & { readonly of: Missing }) | undefined;

  constructor(private readonly options: UnconnectedOptions) {
    this.held = new Held(options.clock, KEEP_MS);
  }

  /** What is known of these now; nobody is asked. */
  known(missing: Missing): KnownAway {
    if (this.summed?.of !== missing) {
      const keysOf = (uid: string): ReadonlySet<string> | undefined => this.followed.get(uid)?.keys;
      const isWhole = [...missing.keys()].every(uid => keysOf(uid) !== undefined);
      this.summed = { of: missing, byObject: awayByObject(missing, keysOf), isWhole };
    }
    return this.summed;
  }

  /**
   * Asks all that are unconnected now and whose answer is not known or may have changed, then calls `done`; in this turn when
   * there is little to ask. Not to be called again before that. `needed` false: nobody wants to know, and all is let go.
   */
  ask(needed: boolean, done: (asked: Asked) => void): void {
    const missing = this.missing();
    // What was answered stays until it is known again who is away.
    if (missing === undefined) {
      done({ answered: false, changed: false, cost: 0 });
      return;
    }
    const wanted = needed ? missing : NO_POD;
    const due = [...wanted.keys()].filter(uid => this.followed.get(uid)?.stale !== false);
    if (due.length === 0) {
      this.letGo(wanted);
      done({ answered: true, changed: false, cost: 0 });
      return;
    }
    let changed = false;
    const preparation = this.options.engine.prepareShapers(due);
    this.preparation = preparation;
    const left = due.values();
    const step = (): boolean => {
      if (preparation.step()) return true;
      const { value: uid } = left.next();
      if (uid === undefined) return false;
      changed = this.answer(uid) || changed;
      return true;
    };
    this.inSlices(step, 0, cost => {
      preparation.close();
      this.letGo(wanted);
      done({ answered: true, changed, cost });
    });
  }

  /** Lets everything go; an asking under way comes to no end. */
  stop(): void {
    this.timer?.cancel();
    this.preparation?.close();
    this.letGo(NO_POD);
    this.held.stop();
  }

  private missing(): Missing | undefined {
    const seen: FleetView[] = [];
    contained(this.options.log, "counts have changed", () => {
      seen.push(this.options.fleet.view());
    });
    return seen.find(({ complete }) => complete)?.missing;
  }

  /** Takes steps until there are no more, a few in each turn of the event loop. */
  private inSlices(step: () => boolean, before: number, done: (cost: number) => void): void {
    const { clock } = this.options;
    const began = clock.now();
    let spent = 0;
    let isMore = true;
    while (isMore && spent < SLICE_MS) {
      isMore = this.isStepTaken(step);
      // A clock that was put back must not make the slice longer.
      spent = Math.abs(clock.now() - began);
    }
    const cost = before + spent;
    if (!isMore) {
      done(cost);
      return;
    }
    this.timer = clock.setTimeout(() => {
      this.inSlices(step, cost, done);
    }, 0);
  }

  /** False: there was none left. One that fails is not taken again before something changes. */
  private isStepTaken(step: () => boolean): boolean {
    const taken = { isMore: true };
    contained(this.options.log, "count of a proxy", () => {
      taken.isMore = step();
    });
    return taken.isMore;
  }

  /** Asks one; gives whether it says something else than before. */
  private answer(uid: string): boolean {
    const own = this.followed.get(uid) ?? this.follow(uid);
    const before = own.keys;
    own.stale = false;
    const read = (): void => {
      own.keys = own.watch.read();
    };
    // What cannot be compiled is shaped by nothing yet: the others' counts must not wait for it.
    if (!contained(this.options.log, "count of a proxy", read, { pod: uid })) own.keys ??= NOTHING;
    if (own.keys === before) return false;
    this.summed = undefined;
    return true;
  }

  private follow(uid: string): Followed {
    const { engine, onStale } = this.options;
    const watch = engine.followShapers(uid, () => {
      if (this.followed.get(uid) !== own) return;
      own.stale = true;
      onStale();
    });
    const own: Followed = { watch, keys: undefined, stale: true };
    this.followed.set(uid, own);
    return own;
  }

  /** Who has come, or is gone, is asked no more; what was compiled stays a while, for others like it come next. */
  private letGo(wanted: Missing): void {
    for (const [uid, { watch }] of this.followed) {
      if (wanted.has(uid)) continue;
      this.followed.delete(uid);
      this.summed = undefined;
      this.held.keep(uid, watch);
    }
  }
}
