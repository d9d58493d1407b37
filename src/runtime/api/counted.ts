/** What sidecars' Prometheus pages say of HTTP requests; pure. */

/** What was counted between two ends since the proxy started. */
export interface Counted {
  /** By answer: class (`2xx`) or code (`403`). */
  readonly answers: Map<string, number>;
  /** Requests that took at most so long, by milliseconds as the page writes them. */
  readonly within: Map<string, number>;
}

/** By what was called: `namespace/service|port`, or `>namespace/Kind/name` and the caller's in front of it. */
export type Counts = ReadonlyMap<string, Counted>;

const LINE = /^(\w+)\{(.*)\} (\S+)$/;
/** Where the last label ended, and no further: a page is whatever a pod likes to answer, so no pattern searches in it. */
const LABEL = /(\w{1,64})="([^"\\]{0,256})"(?:,|$)/y;
const FRONTEND = /^outbound\|([^|]+\/[^|]+\|\d+)$/;
/** Series of one page that are looked at. */
const MOST_KEYS = 2_000;
/** Characters of a line; names in Kubernetes end long before. */
const MOST_LINE = 2_048;
/** Answers and times that are told apart at one key. */
const MOST_LABELS = 64;
/** A class, a code, or the upper bound of a time. */
const KNOWN = { answers: /^\d(?:xx|\d{0,2})$/, within: /^(?:\d{1,9}(?:\.\d{1,6})?|\+Inf)$/ } as const;

function endOf(labels: ReadonlyMap<string, string>, side: "source" | "destination"): string {
  const [namespace, kind, name] = ["namespace", "kind", "name"].map(part => labels.get(`${side}_${part}`));
  return namespace === undefined || namespace === "unknown"
    ? "unknown"
    : `${namespace}/${kind ?? ""}/${name ?? ""}`;
}

interface Reading {
  readonly of: string;
  readonly kind: keyof Counted;
  readonly label: string;
  readonly value: number;
}

/** What a series counts, and how: `request_total`, answers by class at a frontend, or times at one. */
function meaning(name: string, labels: ReadonlyMap<string, string>): Omit<Reading, "value"> | undefined {
  if (name === "osm_request_total") {
    const of = `${endOf(labels, "source")}>${endOf(labels, "destination")}`;
    return { of, kind: "answers", label: labels.get("response_code") ?? "" };
  }
  const of = FRONTEND.exec(labels.get("envoy_http_conn_manager_prefix") ?? "")?.[1];
  if (of === undefined) return undefined;
  if (name === "envoy_http_downstream_rq_xx")
    return { of, kind: "answers", label: `${labels.get("envoy_response_code_class") ?? ""}xx` };
  if (name === "envoy_http_downstream_rq_time_bucket")
    return { of, kind: "within", label: labels.get("le") ?? "" };
  return undefined;
}

/** All labels; undefined: something else is among them. */
function readLabels(text: string): ReadonlyMap<string, string> | undefined {
  const labels = new Map<string, string>();
  for (let from = 0; from < text.length; from = LABEL.lastIndex) {
    LABEL.lastIndex = from;
    const [, label = "", own = ""] = LABEL.exec(text) ?? [];
    if (label === "") return undefined;
    labels.set(label, own);
  }
  return labels;
}

/** What a line of a page counts; undefined: nothing that is shown. */
function readLine(line: string): Reading | undefined {
  if (line.length > MOST_LINE) return undefined;
  const parts = LINE.exec(line);
  return parts === null ? undefined : reading(parts);
}

function reading([, name = "", inner = "", text = ""]: readonly string[]): Reading | undefined {
  const labels = readLabels(inner);
  const found = labels && meaning(name, labels);
  if (found === undefined || !KNOWN[found.kind].test(found.label)) return undefined;
  const value = Number(text);
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER ? { ...found, value } : undefined;
}

const nothing = (): Counted => ({ answers: new Map<string, number>(), within: new Map<string, number>() });

function add(sum: Map<string, number>, label: string, value: number): void {
  if (sum.size < MOST_LABELS || sum.has(label)) sum.set(label, (sum.get(label) ?? 0) + value);
}

/** Reads a page; what it does not know it leaves out. */
export function readCounts(page: string): Counts {
  const counts = new Map<string, Counted>();
  for (const line of page.split("\n")) {
    const found = readLine(line);
    if (found === undefined || (counts.size >= MOST_KEYS && !counts.has(found.of))) continue;
    const counted = counts.get(found.of) ?? nothing();
    counts.set(found.of, counted);
    add(counted[found.kind], found.label, found.value);
  }
  return counts;
}

function addTo(
  sum: Map<string, number>,
  now: Map<string, number>,
  before: Map<string, number> | undefined,
): void {
  for (const [key, value] of now) {
    const earlier = before?.get(key) ?? 0;
    // A counter that is lower than before has begun again.
    const grown = value >= earlier ? value - earlier : value;
    add(sum, key, grown);
  }
}

/** Adds to `sum`, under `name` of each key (undefined: not), what was counted from one page of a proxy to the next. */
export function addGrowth(
  sum: Map<string, Counted>,
  pages: { readonly before: Counts; readonly now: Counts },
  name: (key: string) => string | undefined,
): void {
  for (const [key, { answers, within }] of pages.now) {
    const named = name(key);
    if (named === undefined) continue;
    const into = sum.get(named) ?? nothing();
    sum.set(named, into);
    addTo(into.answers, answers, pages.before.get(key)?.answers);
    addTo(into.within, within, pages.before.get(key)?.within);
  }
}

/** The time within which a share of the requests was answered, by linear interpolation; undefined: none was. */
export function quantile(within: ReadonlyMap<string, number>, share: number): number | undefined {
  const buckets = [...within]
    .map(([bound, count]) => ({ bound: bound === "+Inf" ? Infinity : Number(bound), count }))
    .sort((a, b) => a.bound - b.bound);
  const all = buckets.at(-1)?.count ?? 0;
  if (all <= 0) return undefined;
  const wanted = all * share;
  let from = { bound: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= wanted && bucket.count > from.count) {
      if (bucket.bound === Infinity) return from.bound;
      const part = (wanted - from.count) / (bucket.count - from.count);
      return from.bound + part * (bucket.bound - from.bound);
    }
    from = bucket;
  }
  return from.bound;
}
