/** Renewal of a server's own certificate while it runs, by the wall clock. */
import { planRotation } from "../../certificate/rotation";
import type { Lifetime } from "../../certificate/plan";
import type { IssuedPair } from "../issuers/issuer";
import type { Clock } from "../ports";

/** How often the wall clock is looked at: a machine that has slept finds its certificate old, not its timers, milliseconds. */
const LOOK_MS = 60_000;

/** What is renewed, and how. */
export interface ServingRenewal {
  readonly clock: Clock;
  /** Life of each certificate, milliseconds; it is renewed at half of it at the latest. */
  readonly validityMs: number;
  /** Issues a certificate and lets new connections see it; open ones stay. Gives what it has issued. */
  readonly present: (lifetime: Lifetime) => IssuedPair;
}

/** Replaces the certificate that is presented now, `first`, and each one after it, until it is stopped. */
export function keepServingRenewed(
  first: IssuedPair,
  { clock, validityMs, present }: ServingRenewal,
): { stop(): void } {
  const dueOf = ({ serial, notAfter }: IssuedPair, issuedAt: number): number =>
    planRotation(issuedAt, { seed: serial, issuedAt, notAfter });
  let due = dueOf(first, clock.now());
  let timer: { cancel(): void };
  const wait = (): void => {
    // A CA that is about to end gives ever shorter lives: no reason to do nothing else.
    timer = clock.setTimeout(look, Math.max(1_000, Math.min(LOOK_MS, due - clock.now())));
  };
  const look = (): void => {
    const now = clock.now();
    try {
      if (due <= now) due = dueOf(present({ now, validityMs }), now);
    } finally {
      // What cannot be issued now is asked for again.
      wait();
    }
  };
  wait();
  return {
    stop: () => {
      timer.cancel();
    },
  };
}
