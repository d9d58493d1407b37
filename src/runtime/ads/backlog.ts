import type { Clock } from "../ports";

/** So many bytes may be on their way to proxies before changes for others wait. */
export const BACKLOG_BYTES = 16 * 2 ** 20;

/** Those who wait are told the next portion after so long in any case: who does not read must not hold up the others, milliseconds. */
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
      this.bytes -= bytes;
      if (this.hasRoom) this.goOn();
    };
  }

  /**
   * Runs it in a turn of its own as soon as there is room, or after {@link BACKLOG_WAIT_MS}, when what there is counts no more; one
   * that waits already is replaced.
   */
  whenRoom(run: () => void): void {
    this.waiting = run;
    if (this.hasRoom) this.goOn();
    else
      this.timer ??= this.options.clock.setTimeout(() => {
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
