/** So many at once, the others in the order they came. */
export class Turns {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** `atOnce`: at least 1. */
  constructor(private readonly atOnce: number) {}

  /** Runs the work when its turn has come; gives what it gives. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.running < this.atOnce) this.running += 1;
    else await new Promise<void>(resolve => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place is handed on, not given back, so nobody overtakes.
      const next = this.waiting.shift();
      if (next === undefined) this.running -= 1;
      else next();
    }
  }
}
