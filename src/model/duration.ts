const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** The longest, 292 years: the whole hours that 63 bits of nanoseconds hold, by which Go and Envoy count. Envoy takes no more. */
export const LONGEST_DURATION_MS = 2_562_047 * 3_600_000;

/**
 * A Go duration (`1h30m`, `1.5s`, `300ms`, `0`) in milliseconds, with fractions. undefined when it is not one, is longer than one
 * can be, or is negative: no duration of the mesh can be.
 */
export function parseDuration(text: string): number | undefined {
  const unsigned = text.startsWith("+") ? text.slice(1) : text;
  if (unsigned === "0") return 0;
  const parts = [...unsigned.matchAll(PART)];
  // Every character belongs to a part, or the text is something else that contains one.
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== unsigned) return undefined;
  const total = parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit ?? ""] ?? 0), 0);
  return total <= LONGEST_DURATION_MS ? total : undefined;
}
