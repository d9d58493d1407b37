import { KubeError } from "../kube";
import { Backoff } from "./backoff";
import { isExpired } from "./errors";

/** While nobody answers: trying costs nobody anything, and the first to notice the return should be soon. */
const AWAY = { minMs: 100, maxMs: 1_000 };

/** Ours to say of what a server has answered. */
const JUDGED: ReadonlySet<string> = new Set(["StaleList", "ShortWatch"]);

const isAnswer = ({ status, reason }: KubeError): boolean => status !== 0 || JUDGED.has(reason);

/**
 * How long to wait after each failure of an informer, from one success to the next. Waits that grew while nobody answered say
 * nothing of a server that does: what it answers with errors is counted by itself.
 */
export class Outage {
  private readonly away: Backoff;
  private readonly refused: Backoff;
  /** It has said that it no longer has what is known here. */
  private expired = false;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.away = new Backoff(random, AWAY);
    this.refused = new Backoff(random);
  }

  /** It is over: something was heard as it should be. */
  over(): void {
    this.expired = false;
    this.away.succeeded();
    this.refused.succeeded();
  }

  /** Milliseconds to wait after a failure. */
  waitAfter(error: unknown): number {
    const answer = error instanceof KubeError && isAnswer(error) ? error : undefined;
    if (answer === undefined) return this.away.failed();
    // Of 429 it is a demand. Of 503 it is a forecast (RFC 9110 section 10.2.3), and an API server that has just started says five
    // seconds when its paths are there a moment later.
    const asked = answer.status === 429 ? answer.retryAfter : undefined;
    const wait = this.refused.failed(asked);
    if (!isExpired(error) || this.expired) return wait;
    // It says what is to be done instead: to list. The next one that says so waits, or that would go round and round.
    this.expired = true;
    return 0;
  }
}
