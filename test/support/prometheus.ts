/** Prometheus' text format, as far as these tests read it. */

/** One line of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** The samples of a scrape; comments are left out, and a line that is neither is an error. */
export function samplesOf(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line): Sample[] => {
    if (line === "" || line.startsWith("#")) return [];
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) throw new Error(`no sample: ${line}`);
    const pairs = [...labels.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, text] as const);
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** How labels of a sample must look; a function says it in code. */
export type Selector = Readonly<Record<string, string | ((value: string) => boolean)>>;

/** The sum of all samples of a name with these labels; 0 when there is none. */
export function sumOf(samples: readonly Sample[], name: string, selector: Selector = {}): number {
  const fits = ({ labels }: Sample): boolean =>
    Object.entries(selector).every(([key, want]) => {
      const value = labels[key] ?? "";
      return typeof want === "string" ? value === want : want(value);
    });
  return samples
    .filter(sample => sample.name === name && fits(sample))
    .reduce((sum, { value }) => sum + value, 0);
}

/** What samples have grown by between two scrapes, as `increase()` has it (no counter was set back in between). */
export function increaseOf(
  [before, after]: readonly [readonly Sample[], readonly Sample[]],
  name: string,
  selector: Selector = {},
): number {
  return sumOf(after, name, selector) - sumOf(before, name, selector);
}

/** Bounds of a histogram's buckets in order, and what has come into each or one before it between two scrapes. */
function bucketsOf(
  scrapes: readonly [readonly Sample[], readonly Sample[]],
  name: string,
  selector: Selector,
): readonly (readonly [bound: number, count: number])[] {
  const own = scrapes[1].filter(sample => sample.name === `${name}_bucket`);
  const bounds = [...new Set(own.map(({ labels }) => labels["le"] ?? ""))];
  return bounds
    .map((le): readonly [number, number] => [
      le === "+Inf" ? Infinity : Number(le),
      increaseOf(scrapes, `${name}_bucket`, { ...selector, le }),
    ])
    .sort(([a], [b]) => a - b);
}

/** `histogram_quantile(quantile, sum(rate(…_bucket)) by (le))` between two scrapes; NaN when nothing came in. */
export function quantileOf(
  scrapes: readonly [readonly Sample[], readonly Sample[]],
  quantile: number,
  name: string,
  selector: Selector = {},
): number {
  const buckets = bucketsOf(scrapes, name, selector);
  const rank = quantile * (buckets.at(-1)?.[1] ?? NaN);
  const index = buckets.findIndex(([, count]) => count >= rank);
  const [bound = NaN, count = 0] = buckets[index] ?? [];
  const [lower, below] = buckets[index - 1] ?? [0, 0];
  if (bound === Infinity) return lower;
  return count === below ? NaN : lower + ((bound - lower) * (rank - below)) / (count - below);
}
