/** Waiting times between attempts, in milliseconds. */
export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Jittered exponential waiting that never gives up: 0.1 s to 2 s by default, so that a change made while the API
 * server was away is seen within 3 s of its return, while many clients do not knock in step.
 */
export class Backoff {
  private failures = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(
    private readonly random: () => number,
    private readonly limits: BackoffLimits = { minMs: 100, maxMs: 2_000 },
  ) {}

  /** Attempts that failed since the last success. */
  get consecutiveFailures(): number {
    return this.failures;
  }

  /** To be called when an attempt succeeded. */
  succeeded(): void {
    this.failures = 0;
  }

  /** The wait after one more failure; never shorter than what the server asked for (seconds, at most 60 honoured). */
  failed(retryAfterSeconds?: number): number {
    const ceiling = Math.min(this.limits.maxMs, this.limits.minMs * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    const wait = ceiling / 2 + (ceiling / 2) * this.random();
    if (retryAfterSeconds === undefined) return wait;
    // Jitter on top: all clients were told the same second.
    return Math.max(wait, Math.min(retryAfterSeconds, 60) * 1_000 + 500 * this.random());
  }
}
