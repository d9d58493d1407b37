/** A token bucket on a clock that is passed in. */
export class TokenBucket {
  private level: number;
  private at: number;

  constructor(
    private readonly rate: number,
    private readonly burst: number,
    now: number,
  ) {
    this.level = burst;
    this.at = now;
  }

  /** Takes one token; returns how many milliseconds it comes too early, 0 when it is in time. */
  take(now: number): number {
    this.fill(now);
    this.level -= 1;
    return this.missingMs(0);
  }

  /** How many milliseconds it is until there is a token, 0 when there is one; takes none. */
  waitMs(now: number): number {
    this.fill(now);
    return this.missingMs(1);
  }

  /** Takes one token if there is one. */
  tryTake(now: number): boolean {
    if (this.take(now) === 0) return true;
    this.level += 1;
    return false;
  }

  /** Whether half of the burst was left when a token was taken last. */
  isHalfFull(): boolean {
    return this.level >= this.burst / 2;
  }

  /** Nothing has been taken for so long that the bucket may be forgotten. */
  isFull(now: number): boolean {
    return this.level + (Math.max(0, now - this.at) * this.rate) / 1000 >= this.burst;
  }

  private fill(now: number): void {
    this.level = Math.min(this.burst, this.level + (Math.max(0, now - this.at) * this.rate) / 1000);
    this.at = now;
  }

  private missingMs(level: number): number {
    return this.level >= level ? 0 : Math.ceil(((level - this.level) * 1000) / this.rate);
  }
}
