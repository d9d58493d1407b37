import type { Clock } from "../ports";

/** Longest single timer, milliseconds; a later alarm looks again in between. */
const MAX_TIMER_MS = 3_600_000;

/** A timer for one moment at a time that can be moved. */
export class Alarm {
  private at: number | undefined;
  private timer: { cancel(): void } | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly ring: () => void,
  ) {}

  /** Rings at `at`, epoch milliseconds, instead of any earlier setting; undefined: not at all. */
  set(at: number | undefined): void {
    if (at === this.at) return;
    this.timer?.cancel();
    this.timer = undefined;
    this.at = at;
    if (at !== undefined) this.wait(at);
  }

  private wait(at: number): void {
    const left = Math.max(0, at - this.clock.now());
    const look = (): void => {
      if (left > MAX_TIMER_MS) {
        this.wait(at);
        return;
      }
      this.at = undefined;
      this.timer = undefined;
      this.ring();
    };
    this.timer = this.clock.setTimeout(look, Math.min(left, MAX_TIMER_MS));
  }
}
