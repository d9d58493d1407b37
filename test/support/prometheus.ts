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
