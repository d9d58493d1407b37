import { answersItsPorts, gainsPorts, sharesTheSame, withShared } from "../../xds/barrier";
import type { DiffCache } from "../../xds/diff";
import type { Snapshot } from "../../xds/resource";
import type { StreamState } from "../../xds/stream";
import { isOver } from "../clock";
import type { Clock } from "../ports";
import { Alarm } from "./alarm";

/** Clients wait at most this long for the servers of new ports, milliseconds. */
export const HOLD_MS = 1_000;

/** Longest pause of a stream, milliseconds; whoever gives pauses keeps to it. */
export const LONGEST_PAUSE_MS = 1_500;

/** What a barrier works with; `S` is a stream. */
interface BarrierOptions<S> {
  readonly clock: Clock;
  readonly diffs: DiffCache;
  /** How far a stream is; undefined: it does not acknowledge. */
  readonly stateOf: (stream: S) => StreamState | undefined;
  readonly deliver: (stream: S, snapshot: Snapshot) => void;
  /** Milliseconds that a change for a stream should wait, because it had many of late, at most {@link LONGEST_PAUSE_MS}. Default: none ever. */
  readonly pauseMs?: (stream: S) => number;
  /** Whether more may be sent now, and who is to be told when it may be again. Default: it always may. */
  readonly room?: { readonly hasRoom: boolean; whenRoom(run: () => void): void };
  /** Runs something when all that changes now has been delivered. */
  readonly soon: (run: () => void) => void;
  /** Told of a stream whose configuration cannot be delivered: it must not go on with what it has. Default: nobody. */
  readonly failed?: (stream: S, error: unknown) => void;
}

interface Told {
  snapshot: Snapshot;
  wanted: Snapshot;
}

/**
 * Make before break across the proxies of this replica: while some of them have yet to acknowledge ports that they gain,
 * all others keep what leads to other proxies as it was. A proxy's own side, in which permissions are, never waits.
 */
export class Barrier<S> {
  private readonly told = new Map<S, Told>();
  private readonly due = new Set<S>();
  private readonly gaining = new Set<S>();
  /** Streams whose turn has come while there was no room, in order. */
  private readonly queue = new Set<S>();
  private readonly alarm: Alarm;
  /** Streams that had many changes of late, and when the next is due, epoch milliseconds. */
  private readonly paced = new Map<S, number>();
  private readonly pacing: Alarm;
  private nextAt: number | undefined;

  constructor(private readonly options: BarrierOptions<S>) {
    this.alarm = new Alarm(options.clock, () => {
      this.release();
    });
    this.pacing = new Alarm(options.clock, () => {
      this.goOn();
    });
  }

  /** What a stream is to hold in the end; undefined: it is kept from nothing. */
  wanted(stream: S): Snapshot | undefined {
    const told = this.told.get(stream);
    return told === undefined || told.snapshot === told.wanted ? undefined : told.wanted;
  }

  /** New configuration for a stream. The first is delivered at once: a proxy that begins leads nobody astray. */
  take(stream: S, snapshot: Snapshot): void {
    const told = this.told.get(stream);
    if (told === undefined) {
      this.told.set(stream, { snapshot, wanted: snapshot });
      this.options.deliver(stream, snapshot);
      return;
    }
    told.wanted = snapshot;
    if (this.due.size === 0)
      this.options.soon(() => {
        this.settle();
      });
    this.due.add(stream);
  }

  /** A stream has moved. */
  moved(stream: S): void {
    if (this.gaining.has(stream) && this.answers(stream)) this.gained(stream);
  }

  /** A stream is over; nobody waits for it. */
  ended(stream: S): void {
    this.told.delete(stream);
    this.due.delete(stream);
    this.paced.delete(stream);
    this.queue.delete(stream);
    if (this.gaining.has(stream)) this.gained(stream);
  }

  private answers(stream: S): boolean {
    // Its ports have not gone out yet.
    if (this.paced.has(stream)) return false;
    const state = this.options.stateOf(stream);
    return state === undefined || answersItsPorts(state, this.options.diffs);
  }

  private settle(): void {
    const due = [...this.due];
    this.due.clear();
    for (const stream of due) {
      this.each(stream, () => {
        const told = this.told.get(stream);
        if (told !== undefined && gainsPorts(told.snapshot, told.wanted)) this.await(stream);
      });
    }
    const [first, others] = [new Set<S>(), new Set<S>()];
    for (const stream of due) (this.gaining.has(stream) ? first : others).add(stream);
    for (const stream of first) this.tell(stream);
    for (const stream of others) this.tell(stream);
  }

  private await(stream: S): void {
    if (this.options.stateOf(stream) === undefined) return;
    const { clock } = this.options;
    if (this.gaining.size === 0) this.alarm.set(clock.now() + HOLD_MS);
    this.gaining.add(stream);
  }

  /** What goes wrong with one stream must not keep its configuration from the others. */
  private each(stream: S, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.options.failed?.(stream, error);
    }
  }

  private tell(stream: S): void {
    const { room } = this.options;
    // Whoever gains ports is waited for by others, who have nothing to send meanwhile.
    if (room?.hasRoom === false && !this.gaining.has(stream)) {
      if (this.queue.size === 0)
        room.whenRoom(() => {
          this.tellQueue();
        });
      this.queue.add(stream);
      return;
    }
    this.queue.delete(stream);
    this.each(stream, () => {
      this.hand(stream);
    });
  }

  /** Tells those that wait for room, while there is some; the others wait again. */
  private tellQueue(): void {
    const queue = [...this.queue];
    this.queue.clear();
    for (const stream of queue) this.tell(stream);
  }

  private hand(stream: S): void {
    const told = this.told.get(stream);
    if (told === undefined || this.waits(stream)) return;
    const { snapshot, wanted } = told;
    const held = this.gaining.size > 0 && !sharesTheSame(snapshot, wanted);
    told.snapshot = held ? withShared(snapshot, wanted) : wanted;
    this.options.deliver(stream, told.snapshot);
  }

  /**
   * Whether a stream has to wait for its next change: under a storm its changes meet in one, at the rate that it may have. All of
   * it waits, permissions too: what goes out of turn would keep the rest waiting for as long as the storm lasts.
   */
  private waits(stream: S): boolean {
    const now = this.options.clock.now();
    const due = this.paced.get(stream);
    // What has waited for its time waits no longer: a proxy that goes on asking must not keep itself from being told, nor others
    // from what waits for it.
    const isDue = due !== undefined && isOver(due, now, LONGEST_PAUSE_MS);
    const pause = isDue ? 0 : (this.options.pauseMs?.(stream) ?? 0);
    if (pause <= 0) {
      this.paced.delete(stream);
      return false;
    }
    this.look(stream, Math.min(due ?? Infinity, now + pause));
    return true;
  }

  private look(stream: S, at: number): void {
    this.paced.set(stream, at);
    if (this.nextAt !== undefined && this.nextAt <= at) return;
    this.nextAt = at;
    this.pacing.set(at);
  }

  private goOn(): void {
    this.nextAt = undefined;
    const now = this.options.clock.now();
    for (const [stream, at] of [...this.paced]) {
      // Telling one may let all others go on, or end them.
      if (this.paced.get(stream) !== at) continue;
      if (isOver(at, now, LONGEST_PAUSE_MS)) this.tell(stream);
      else this.look(stream, at);
    }
  }

  private gained(stream: S): void {
    this.gaining.delete(stream);
    if (this.gaining.size === 0) this.release();
  }

  private release(): void {
    this.gaining.clear();
    this.alarm.set(undefined);
    for (const stream of [...this.told.keys()]) if (this.wanted(stream) !== undefined) this.tell(stream);
  }
}
