import type { Equals } from "./equality";
import { sameElements } from "./equality";
import type { Cell, Family, GraphInternals, Input } from "./graph";

/** Extracts the index keys of a row; a row may stand under several keys or none. */
export type IndexKeys<V> = (value: V, key: string) => readonly string[];

/**
 * Rows from outside, by key, with indexes. A reader of one row or of one index key is disturbed by a change of exactly
 * that; storage costs nothing per row that nobody reads.
 */
export interface Table<V, I extends string> {
  /** Adds or replaces a row, or removes it (undefined). False when nothing changed. */
  set(key: string, value: V | undefined): boolean;
  /** Makes `rows` the whole content, touching only what differs. Returns the keys that changed. */
  reset(rows: ReadonlyMap<string, V>): readonly string[];
  /** The row, or undefined while there is none. */
  readonly row: Family<string, V | undefined>;
  /** Keys of all rows, sorted. */
  readonly keys: Cell<readonly string[]>;
  /** Keys of the rows that stand under an index key, sorted. */
  by(index: I, indexKey: string): Cell<readonly string[]>;
  /** The rows as they are, for use outside the graph. */
  readonly rows: ReadonlyMap<string, V>;
}

/** How a table is made. */
export interface TableSpec<V, I extends string> {
  readonly label: string;
  readonly equals: Equals<V>;
  readonly indexes: Readonly<Record<I, IndexKeys<V>>>;
}

/** Plain buckets of an index with a signal per bucket that somebody reads. */
interface Index<V> {
  readonly keysOf: IndexKeys<V>;
  readonly buckets: Map<string, Set<string>>;
  readonly cell: Family<string, readonly string[]>;
  touch(indexKey: string): void;
}

/** Code-unit order, the same on every machine. */
export function sorted(keys: Iterable<string>): readonly string[] {
  return [...keys].sort();
}

/** Makes a table of inputs in a graph. */
export function createTable<V, I extends string = never>(
  graph: GraphInternals,
  spec: TableSpec<V, I>,
): Table<V, I> {
  const rows = new Map<string, V>();
  const signals = signalsOf(graph, spec.label);
  const rowInputs = new Map<string, Input<V | undefined>>();
  const row = (key: string): Cell<V | undefined> => {
    const known = rowInputs.get(key);
    if (known !== undefined) return known;
    const made = graph.transientInput<V | undefined>(`${spec.label}[${key}]`, rows.get(key), () => {
      if (rowInputs.get(key) === made) rowInputs.delete(key);
    });
    rowInputs.set(key, made);
    return made;
  };
  const keys = graph.derive<readonly string[]>(
    `${spec.label}.keys`,
    read => {
      read(signals.cell("*"));
      return sorted(rows.keys());
    },
    sameElements,
  );
  const indexes = new Map<string, Index<V>>();
  for (const [name, keysOf] of Object.entries<IndexKeys<V>>(spec.indexes)) {
    indexes.set(name, createIndex(graph, `${spec.label}.${name}`, keysOf));
  }

  const set = (key: string, value: V | undefined): boolean => {
    const before = rows.get(key);
    if (before === undefined ? value === undefined : value !== undefined && spec.equals(before, value))
      return false;
    if (value === undefined) rows.delete(key);
    else rows.set(key, value);
    for (const index of indexes.values()) reindex(index, key, before, value);
    if (before === undefined || value === undefined) signals.touch("*");
    rowInputs.get(key)?.set(value);
    return true;
  };

  return {
    rows,
    row,
    keys,
    set,
    by: (index, indexKey) => {
      const found = indexes.get(index);
      if (found === undefined) throw new Error(`${spec.label} has no index ${index}`);
      return found.cell(indexKey);
    },
    reset: wanted => {
      const gone = [...rows.keys()].filter(key => !wanted.has(key));
      const changed = gone.filter(key => set(key, undefined));
      for (const [key, value] of wanted) if (set(key, value)) changed.push(key);
      return changed;
    },
  };
}

function createIndex<V>(graph: GraphInternals, label: string, keysOf: IndexKeys<V>): Index<V> {
  const buckets = new Map<string, Set<string>>();
  const signals = signalsOf(graph, label);
  const cell = graph.family<string, readonly string[]>({
    label,
    keyOf: indexKey => indexKey,
    compute: (read, indexKey) => {
      read(signals.cell(indexKey));
      return sorted(buckets.get(indexKey) ?? []);
    },
    equals: sameElements,
  });
  return { keysOf, buckets, cell, touch: signals.touch };
}

function reindex<V>(index: Index<V>, key: string, before: V | undefined, after: V | undefined): void {
  const old = new Set(before === undefined ? [] : index.keysOf(before, key));
  const fresh = new Set(after === undefined ? [] : index.keysOf(after, key));
  for (const indexKey of old) if (!fresh.has(indexKey)) leave(index, indexKey, key);
  for (const indexKey of fresh) if (!old.has(indexKey)) join(index, indexKey, key);
}

function leave<V>(index: Index<V>, indexKey: string, key: string): void {
  const bucket = index.buckets.get(indexKey);
  bucket?.delete(key);
  if (bucket?.size === 0) index.buckets.delete(indexKey);
  index.touch(indexKey);
}

function join<V>(index: Index<V>, indexKey: string, key: string): void {
  const bucket = index.buckets.get(indexKey) ?? new Set<string>();
  index.buckets.set(indexKey, bucket.add(key));
  index.touch(indexKey);
}

/** Counters that exist only while somebody reads them. */
function signalsOf(
  graph: GraphInternals,
  label: string,
): { cell: (key: string) => Cell<number>; touch: (key: string) => void } {
  const inputs = new Map<string, { input: Input<number>; count: number }>();
  return {
    cell: key => {
      const known = inputs.get(key);
      if (known !== undefined) return known.input;
      const input = graph.transientInput(`${label}~${key}`, 0, () => inputs.delete(key));
      inputs.set(key, { input, count: 0 });
      return input;
    },
    touch: key => {
      const signal = inputs.get(key);
      if (signal !== undefined) signal.input.set(++signal.count);
    },
  };
}
