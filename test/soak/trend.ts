/** What a row of readings says of growth. */

/** A value at a time. */
export interface Reading {
  /** Milliseconds. */
  readonly at: number;
  readonly value: number;
}

/** A straight line through readings. */
export interface Trend {
  /** Growth in an hour, in the unit of the values. */
  readonly perHour: number;
  /** How uncertain that is: its standard error. */
  readonly noise: number;
}

const HOUR_MS = 3_600_000;

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** The line of least squares; with fewer than three readings nothing is known of its noise, which is infinite then. */
export function trendOf(readings: readonly Reading[]): Trend {
  const hours = readings.map(({ at }) => at / HOUR_MS);
  const values = readings.map(({ value }) => value);
  const [middle, level] = [mean(hours), mean(values)];
  const spread = hours.reduce((sum, hour) => sum + (hour - middle) ** 2, 0);
  if (spread === 0) return { perHour: 0, noise: Infinity };
  const together = hours.reduce(
    (sum, hour, index) => sum + (hour - middle) * ((values[index] ?? 0) - level),
    0,
  );
  const perHour = together / spread;
  const rest = hours.reduce(
    (sum, hour, index) => sum + ((values[index] ?? 0) - level - perHour * (hour - middle)) ** 2,
    0,
  );
  const freedom = readings.length - 2;
  return { perHour, noise: freedom < 1 ? Infinity : Math.sqrt(rest / freedom / spread) };
}
