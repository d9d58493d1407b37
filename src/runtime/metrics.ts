import { contained } from "./contained";
import type { Log } from "./ports";

/** Label values of one series; names are fixed per metric. */
export type Labels = Readonly<Record<string, string>>;

/** Only grows. */
export interface Counter {
  inc(labels?: Labels, by?: number): void;
}

/** A value that goes up and down. */
export interface Gauge {
  set(value: number, labels?: Labels): void;
  /** The series is no more, until it is set again; nothing where there is none. */
  clear(labels?: Labels): void;
}

/** A distribution over fixed upper bounds. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** What a metric is called and means. */
export interface MetricInfo {
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  /** Label names; a series is made of exactly these. */
  readonly labels?: readonly string[];
}

/** The metrics of one process. */
export interface Metrics {
  counter(info: MetricInfo): Counter;
  gauge(info: MetricInfo): Gauge;
  /** `buckets`: upper bounds in rising order, without infinity. */
  histogram(info: MetricInfo & { readonly buckets: readonly number[] }): Histogram;
  /** Called before each scrape, for gauges that are read from elsewhere. One that throws is logged; the others are read. */
  onCollect(collect: () => void): void;
  /** Prometheus text format 0.0.4. */
  text(): string;
}

/** A metric never has more series: labels may come from outside, memory may not. The rest is counted as `other`. */
const MAX_SERIES = 2_000;
const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** Makes an empty registry; `log` is told of what cannot be read, by default nobody is. */
export function createMetrics(log?: Pick<Log, "error">): Metrics {
  const families = new Map<string, Family>();
  const collectors: (() => void)[] = [];
  const family = (type: Family["type"], info: MetricInfo): Family => {
    if (!NAME.test(info.name) || families.has(info.name))
      throw new Error(`metric ${info.name} cannot be added`);
    const made = new Family(type, info);
    families.set(info.name, made);
    return made;
  };
  return {
    counter: info => {
      const counter = family("counter", info);
      return {
        inc: (labels = {}, by = 1) => {
          counter.series(labels).add(by);
        },
      };
    },
    gauge: info => {
      const gauge = family("gauge", info);
      return {
        set: (value, labels = {}) => {
          gauge.series(labels).put(value);
        },
        clear: (labels = {}) => {
          gauge.remove(labels);
        },
      };
    },
    histogram: ({ buckets, ...info }) => {
      const histogram = family("histogram", info);
      return {
        observe: (value, labels = {}) => {
          histogram.series(labels).observe(value, buckets);
        },
      };
    },
    onCollect: collect => void collectors.push(collect),
    text: () => {
      for (const collect of collectors) contained(log, "metrics", collect);
      return [...families.values()].map(made => made.text()).join("");
    },
  };
}

class Series {
  value = 0;
  count = 0;
  buckets: { readonly bound: number; count: number }[] = [];

  constructor(readonly labels: readonly (readonly [string, string])[]) {}

  add(by: number): void {
    if (by > 0) this.value += by;
  }

  put(value: number): void {
    this.value = value;
  }

  observe(value: number, bounds: readonly number[]): void {
    if (this.buckets.length === 0) this.buckets = bounds.map(bound => ({ bound, count: 0 }));
    this.value += value;
    this.count += 1;
    for (const bucket of this.buckets) if (value <= bucket.bound) bucket.count += 1;
  }
}

class Family {
  private readonly all = new Map<string, Series>();

  constructor(
    readonly type: "counter" | "gauge" | "histogram",
    private readonly info: MetricInfo,
  ) {}

  remove(labels: Labels): void {
    this.all.delete(JSON.stringify(this.pairsOf(labels)));
  }

  private pairsOf(labels: Labels): readonly (readonly [string, string])[] {
    return (this.info.labels ?? []).map(name => [name, labels[name] ?? ""] as const);
  }

  series(labels: Labels): Series {
    const names = this.info.labels ?? [];
    let pairs = this.pairsOf(labels);
    let key = JSON.stringify(pairs);
    if (!this.all.has(key) && this.all.size >= MAX_SERIES) {
      pairs = names.map(name => [name, "other"] as const);
      key = JSON.stringify(pairs);
    }
    const found = this.all.get(key) ?? new Series(pairs);
    this.all.set(key, found);
    return found;
  }

  text(): string {
    const { name, help } = this.info;
    const lines = [
      `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
      `# TYPE ${name} ${this.type}`,
    ];
    for (const series of this.all.values()) lines.push(...this.lines(series));
    return `${lines.join("\n")}\n`;
  }

  private lines(series: Series): string[] {
    const { name } = this.info;
    const { labels } = series;
    if (this.type !== "histogram") return [`${name}${braces(labels)} ${number(series.value)}`];
    const buckets = series.buckets.map(
      ({ bound, count }) => `${name}_bucket${braces([...labels, ["le", number(bound)]])} ${count}`,
    );
    return [
      ...buckets,
      `${name}_bucket${braces([...labels, ["le", "+Inf"]])} ${series.count}`,
      `${name}_sum${braces(labels)} ${number(series.value)}`,
      `${name}_count${braces(labels)} ${series.count}`,
    ];
  }
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

function braces(labels: readonly (readonly [string, string])[]): string {
  if (labels.length === 0) return "";
  const escape = (text: string): string =>
    text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `{${labels.map(([name, value]) => `${name}="${escape(value)}"`).join(",")}}`;
}
