import type { Clock } from "../ports";

/** So many bytes may be on their way to proxies before changes for others wait. */
export const BACKLOG_BYTES = 16 * 2 ** 20;

/** When nothing has gone out for so long, it is waited for no more: who does not read must not hold up the others, milliseconds. */
export const BACKLOG_WAIT_MS = 3_000;

/** What a backlog works with. */
export interface BacklogOptions {
  readonly clock: Pick<Clock, "setTimeout">;
  /** Runs something in a turn of its own. */
  readonly later: (run: () => void) => void;
  /** Default {@link BACKLOG_BYTES}. */
  readonly limit?: number;
}

/**
 * Bytes that have been written to all streams together and are not on the wire yet. Each stream has a copy of its own of what it is
 * sent, so a change of every listener, told to a thousand proxies in one turn, is more memory than a pod has.
 */
export class Backlog {
  private bytes = 0;
  /** Writes of an earlier one are not counted any more. */
  private generation = 0;
  private waiting: (() => void) | undefined;
  private timer: { cancel(): void } | undefined;
  /** Something has gone out since the timer was set. */
  private moves = false;

  constructor(private readonly options: BacklogOptions) {}

  get hasRoom(): boolean {
    return this.bytes < (this.options.limit ?? BACKLOG_BYTES);
  }

  /** Counts a write; gives what is to be called once it is on the wire or its stream is over, once or more often. */
  wrote(bytes: number): () => void {
    const { generation } = this;
    let open = true;
    this.bytes += bytes;
    return () => {
      if (!open || generation !== this.generation) return;
      open = false;
      this.moves = true;
      this.bytes -= bytes;
      if (this.hasRoom) this.goOn();
    };
  }

  /**
   * Runs it in a turn of its own as soon as there is room, or when nothing has gone out for {@link BACKLOG_WAIT_MS}; one that waits
   * already is replaced.
   */
  whenRoom(run: () => void): void {
    this.waiting = run;
    if (this.hasRoom) this.goOn();
    else this.timer ??= this.look();
  }

  private look(): { cancel(): void } {
    this.moves = false;
    return this.options.clock.setTimeout(() => {
      if (this.moves) {
        this.timer = this.look();
        return;
      }
      this.generation += 1;
      this.bytes = 0;
      this.goOn();
    }, BACKLOG_WAIT_MS);
  }

  private goOn(): void {
    this.timer?.cancel();
    this.timer = undefined;
    const { waiting } = this;
    this.waiting = undefined;
    if (waiting !== undefined) this.options.later(waiting);
  }
}
