import type { Clock, Log } from "../ports";
import { Backoff } from "../kube/backoff";

/** What a {@link KeyedWorker} works with. */
export interface KeyedWorkerOptions {
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  readonly log: Log;
  /** Brings one key to its wanted state; called again later when it rejects. Reads what is current, never a payload. */
  readonly work: (key: string) => Promise<void>;
  /** Keys worked on at once. Default 4. */
  readonly parallel?: number;
}

/**
 * Level-triggered work by key: a key is worked on by one call at a time, calls that come meanwhile mean once more, and a
 * failure is tried again after 0.1–5 s for as long as it takes.
 */
export class KeyedWorker {
  private readonly waiting = new Set<string>();
  private readonly running = new Set<string>();
  private readonly failing = new Map<
    string,
    { readonly backoff: Backoff; readonly timer: { cancel(): void } }
  >();
  private stopped = false;

  constructor(private readonly options: KeyedWorkerOptions) {}

  /** Asks for a key to be looked at soon. Cheap; any number of times. */
  enqueue(key: string): void {
    if (this.stopped) return;
    this.waiting.add(key);
    this.startNext();
  }

  /** Keys that are waiting, running or to be tried again. */
  get pending(): number {
    return this.waiting.size + this.running.size + this.failing.size;
  }

  /** Starts nothing more. What runs comes to its end. */
  stop(): void {
    this.stopped = true;
    this.waiting.clear();
    for (const { timer } of this.failing.values()) timer.cancel();
    this.failing.clear();
  }

  private startNext(): void {
    for (const key of this.waiting) {
      if (this.running.size >= (this.options.parallel ?? 4)) return;
      if (this.running.has(key)) continue;
      this.waiting.delete(key);
      this.running.add(key);
      void this.run(key);
    }
  }

  private async run(key: string): Promise<void> {
    try {
      await this.options.work(key);
      this.succeeded(key);
    } catch (error) {
      this.failed(key, error);
    } finally {
      this.running.delete(key);
      this.startNext();
    }
  }

  private succeeded(key: string): void {
    this.failing.get(key)?.timer.cancel();
    this.failing.delete(key);
  }

  private failed(key: string, error: unknown): void {
    if (this.stopped) return;
    const before = this.failing.get(key);
    before?.timer.cancel();
    const backoff = before?.backoff ?? new Backoff(this.options.random);
    const message = error instanceof Error ? error.message : String(error);
    if (backoff.consecutiveFailures === 0)
      this.options.log.warn("will be tried again", { object: key, error: message });
    const timer = this.options.clock.setTimeout(() => {
      this.enqueue(key);
    }, backoff.failed());
    this.failing.set(key, { backoff, timer });
  }
}
