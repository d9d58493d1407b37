import { numberOf, type CounterReader, type Reading } from "./counters";
import type { Screen } from "./screen";

/** Milliseconds between two looks at the counters: the steps of the story say how soon their effect was seen. */
const EVERY_MS = 250;

/** A number in a reading. */
export interface Counter {
  readonly program: string;
  readonly name: string;
}

/** How much a counter has risen between two readings. */
export function rise(before: Reading, after: Reading, counter: Counter): number {
  return numberOf(after, counter.program, counter.name) - numberOf(before, counter.program, counter.name);
}

/** Keeps the counters on the screen up to date, and waits for what they should show. */
export class Watch {
  private latest: Reading = {};
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private readonly waiters = new Set<(reading: Reading) => void>();
  private readonly cancelled = new AbortController();

  public constructor(
    private readonly reader: CounterReader,
    private readonly screen: Screen,
  ) {}

  /** Looks once, and from then on four times a second. */
  public async start(): Promise<void> {
    await this.look();
    this.plan();
  }

  /** Looks no more. */
  public stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.screen.release();
  }

  /** The last reading. */
  public get reading(): Reading {
    return this.latest;
  }

  /**
   * Waits until a reading satisfies `holds`, which is given the reading from before the wait too.
   * Throws with `what` after `timeoutMs`, and what {@link cancel} was given.
   */
  public until(
    what: string,
    timeoutMs: number,
    holds: (before: Reading, now: Reading) => boolean,
  ): Promise<Reading> {
    const before = this.latest;
    return new Promise((resolve, reject) => {
      const { signal } = this.cancelled;
      const end = (settle: () => void): void => {
        clearTimeout(limit);
        this.waiters.delete(waiter);
        signal.removeEventListener("abort", stop);
        settle();
      };
      const waiter = (reading: Reading): void => {
        if (holds(before, reading))
          end(() => {
            resolve(reading);
          });
      };
      const stop = (): void => {
        end(() => {
          reject(signal.reason as Error);
        });
      };
      const limit = setTimeout(() => {
        end(() => {
          reject(new Error(`${what}: not seen within ${timeoutMs / 1000} s`));
        });
      }, timeoutMs);
      this.waiters.add(waiter);
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
    });
  }

  /** Waits this long, with the counters going on. Throws what {@link cancel} was given. */
  public async rest(ms: number): Promise<void> {
    const ends = Date.now() + ms;
    await this.until("the end of the rest", ms + 30_000, () => Date.now() >= ends);
  }

  /** Sets the counters of these programs to zero, and looks at them. Throws when one does not answer. */
  public async reset(programs: readonly string[]): Promise<void> {
    await this.reader.ask(programs, "reset");
    await this.look();
  }

  /** Lets a shopper buy many books at once, and again, until `seen` is settled; whatever becomes of them, the counters tell. */
  public async rushUntil<T>(program: string, seen: Promise<T>): Promise<T> {
    let over = false;
    const end = seen.finally(() => (over = true));
    const rushing = async (): Promise<void> => {
      while (!over) await this.reader.ask([program], "rush").catch(() => this.pause());
    };
    const [result] = await Promise.all([end, rushing()]);
    return result;
  }

  /** Ends all waiting, present and future, with this error. */
  public cancel(error: Error): void {
    this.cancelled.abort(error);
  }

  /** Waits until each of the counters has risen by `by` at least. */
  public untilRisen(counters: readonly Counter[], by: number, timeoutMs: number): Promise<Reading> {
    const what = counters.map(({ program, name }) => `${program} ${name}`).join(", ");
    return this.until(`a rise of ${what}`, timeoutMs, (before, now) =>
      counters.every(counter => rise(before, now, counter) >= by),
    );
  }

  private pause(): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, EVERY_MS));
  }

  private plan(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      void this.look().then(() => {
        this.plan();
      });
    }, EVERY_MS);
  }

  private async look(): Promise<void> {
    try {
      this.latest = await this.reader.read();
    } catch {
      return; // The API server may be busy; whoever waits has a time limit of its own.
    }
    if (this.stopped) return;
    this.screen.show(this.latest);
    for (const waiter of [...this.waiters]) waiter(this.latest);
  }
}
