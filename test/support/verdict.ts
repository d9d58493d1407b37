/** One line of JSON for each bound or big count that is judged; `npm run test:long` gathers them. */

/** What was judged. Times in milliseconds; what does not apply is left out. */
export interface Figures {
  /** How many things were tried, for example requests. */
  readonly count?: number;
  /** How many of them did not do what they had to. */
  readonly failed?: number;
  /** Of a load: what was due and not begun, as too much was under way. */
  readonly leftOut?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly longestMs?: number;
  /** What is aimed at, in words or as a number of the unit of what is judged. */
  readonly bound: string | number;
}

/** How the line begins, by which the ladder knows it. */
export const VERDICT_MARK = '{"point":';

/** The value below which this share (0 to 1) of the values lies; 0 for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Prints the verdict on one point. `full` says whether the counts were those of `npm run test:long`. */
export function verdict(point: string, pass: boolean, figures: Figures): void {
  const full = process.env["OSM_FULL"] === "1";
  process.stdout.write(`\n${JSON.stringify({ point, pass, full, ...figures })}\n`);
}
