/** When to renew a certificate: a pure function of its life, its name and the time. */

/** A certificate as rotation sees it; times in epoch milliseconds. */
export interface Renewable {
  /** Identity and serial number: the seed of the jitter. */
  readonly seed: string;
  readonly issuedAt: number;
  readonly notAfter: number;
}

/** Share of the life after which a certificate is renewed at the latest. */
const HALF_LIFE = 0.5;
/**
 * Jitter as a share of the life, all of it before the half: so a leaf of a minute outlives 25 s without a control plane, and
 * the 3 s that a proxy may take to reconnect, whenever they begin.
 */
const JITTER = 0.1;
/** Share of the life that must be left; with less, renewal is not spread any more. */
const URGENT = 0.25;
/** Longest time over which overdue renewals are spread, milliseconds. */
const SPREAD_MS = 60_000;

/** A number in [0, 1) that depends on the seed only (FNV-1a, finished with a multiplication). */
export function jitterOf(seed: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < seed.length; i += 1) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return ((hash ^ (hash >>> 13)) >>> 0) / 0x1_0000_0000;
}

/** When the certificate is due by its own life: at half of it, or up to a tenth of the life before. */
export function dueTime(certificate: Renewable): number {
  const life = certificate.notAfter - certificate.issuedAt;
  const share = HALF_LIFE - JITTER * jitterOf(certificate.seed);
  return Math.floor(certificate.issuedAt + life * share);
}

/**
 * When to renew, never before `now`. Certificates that became due together (a clock jump, a sleeping machine) are spread
 * over up to a minute while they have a quarter of their life left; below that they are renewed at once.
 */
export function planRotation(now: number, certificate: Renewable): number {
  const due = dueTime(certificate);
  if (due > now) return due;
  const life = certificate.notAfter - certificate.issuedAt;
  const slack = certificate.notAfter - now - URGENT * life;
  const late = now - due;
  if (slack <= 0 || late < SPREAD_MS) return now;
  return now + Math.floor(Math.min(SPREAD_MS, slack) * jitterOf(`spread ${certificate.seed}`));
}
