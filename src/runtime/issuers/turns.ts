/** Turns at an issuer: so many requests at once, the most urgent next, and nobody waits for ever. */
import { IssuerError } from "../../certificate/issuer";

/**
 * How urgent a request is: `new`, somebody has no certificate and is asked for the first time; `waiting`, has none and asked in
 * vain; `renewal`, has one that goes on being good for a while.
 */
export type Urgency = "new" | "waiting" | "renewal";

/** What a request for a certificate says of itself. */
export interface Wish {
  /** Default `waiting`. */
  readonly urgency?: Urgency;
  /** Asked when its turn has come: what nobody wants any more is not asked for. Default: it is wanted. */
  readonly isWanted?: () => boolean;
}

/** One place of so many goes to whoever has waited longest. */
const OLDEST_EVERY = 4;

interface Waiting {
  /** Its number in the order of arrival. */
  readonly number: number;
  readonly isWanted: () => boolean;
  readonly begin: () => void;
  readonly giveUp: (reason: IssuerError) => void;
}

/**
 * So many at once. Of those that wait, `new` ones are next and the newest of them first: a replica that has started asks for
 * everybody, most proxies hold a leaf of another replica still, and a pod that starts now comes last. Then the others in the
 * order they came, renewals last. Each fourth place goes to the oldest of all, so that whoever has come behind N others has
 * its turn after 4·(N+1) places at most.
 */
export class Turns {
  private running = 0;
  private arrived = 0;
  private handed = 0;
  private readonly lines: Readonly<Record<Urgency, Waiting[]>> = { new: [], waiting: [], renewal: [] };

  /** `atOnce`: at least 1. */
  constructor(private readonly atOnce: number) {}

  /** Runs the work when its turn has come; gives what it gives. Rejects, and the work is not run, when nobody wants it then. */
  async run<T>(work: () => Promise<T>, wish: Wish = {}): Promise<T> {
    if (this.running < this.atOnce) this.running += 1;
    else await this.turn(wish);
    try {
      return await work();
    } finally {
      // The place is handed on, not given back, so nobody who comes now overtakes.
      const next = this.next();
      if (next === undefined) this.running -= 1;
      else next.begin();
    }
  }

  private turn({ urgency = "waiting", isWanted = () => true }: Wish): Promise<void> {
    return new Promise((begin, giveUp) => {
      this.lines[urgency].push({ number: (this.arrived += 1), isWanted, begin, giveUp });
    });
  }

  /** Who has the next turn; those before it that nobody wants any more are given up. */
  private next(): Waiting | undefined {
    this.handed += 1;
    for (;;) {
      const next = this.pick();
      if (next === undefined || next.isWanted()) return next;
      next.giveUp(new IssuerError("unavailable", "nobody waits for this certificate any more"));
    }
  }

  private pick(): Waiting | undefined {
    if (this.handed % OLDEST_EVERY === 0) return this.oldest()?.shift();
    const { new: fresh, waiting, renewal } = this.lines;
    return fresh.pop() ?? waiting.shift() ?? renewal.shift();
  }

  /** The line whose first has waited longest. */
  private oldest(): Waiting[] | undefined {
    let oldest: Waiting[] | undefined;
    for (const line of Object.values(this.lines)) {
      const [first] = line;
      if (first !== undefined && first.number < (oldest?.[0]?.number ?? Infinity)) oldest = line;
    }
    return oldest;
  }
}
