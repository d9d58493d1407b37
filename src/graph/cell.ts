import { sameElements, type Equals } from "./equality";

/** Anything that has a value now. Its value is reached through a {@link Read} or a watch. */
export interface Cell<T> {
  readonly label: string;
  readonly __value?: T;
}

/** Reads another cell and records the dependency. Valid only while the computation it was passed to runs. */
export type Read = <T>(cell: Cell<T>) => T;

/** `check`: something it depends on may have changed; `dirty`: something has. */
export type Freshness = "clean" | "check" | "dirty";

/** Who must be told of a change: a derived cell or a watch. */
export interface Reader {
  readonly label: string;
  freshness: Freshness;
  /** Readers of this reader, to be marked in turn; a watch has none. */
  readonly readers: ReadonlySet<Reader>;
  onStale?(): void;
}

/** What both kinds of cell have in common. */
export interface Source<T> extends Cell<T> {
  readonly readers: Set<Reader>;
  /** Brings the outcome up to date. Throws only when the cell depends on itself. */
  refresh(): void;
  /** The outcome as of the last refresh; throws what the computation threw. */
  current(): T;
  /** Nobody reads it any more. */
  release(): void;
}

/** What a cell needs of the graph it belongs to. */
export interface CellOwner {
  /** A computation runs now. */
  readonly busy: boolean;
  enter(): void;
  leave(): void;
  /** A cell holds an outcome now, or no longer. */
  gained(): void;
  lost(): void;
  unlink(source: Source<unknown>, reader: Reader): void;
}

/** Marks readers and everything behind them; each is told once until it is read again. */
function markReaders(readers: Iterable<Reader>): void {
  const pending: [Reader, Freshness][] = [];
  for (const reader of readers) pending.push([reader, "dirty"]);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [reader, mark] = next;
    const before = reader.freshness;
    if (before !== "dirty") reader.freshness = mark;
    if (before !== "clean") continue;
    reader.onStale?.();
    for (const further of reader.readers) pending.push([further, "check"]);
  }
}

/** How an input is made. */
export interface InputSpec<T> {
  readonly label: string;
  readonly initial: T;
  readonly equals: Equals<T>;
  readonly onReleased: () => void;
}

/** A cell set from outside. */
export class InputCell<T> implements Source<T> {
  readonly label: string;
  readonly readers = new Set<Reader>();
  private value: T;

  constructor(
    private readonly owner: CellOwner,
    private readonly spec: InputSpec<T>,
  ) {
    this.label = spec.label;
    this.value = spec.initial;
  }

  set(value: T): boolean {
    if (this.owner.busy) throw new Error(`input ${this.label} set inside a computation`);
    if (this.spec.equals(this.value, value)) return false;
    this.value = value;
    markReaders(this.readers);
    return true;
  }

  refresh(): void {
    // An input is always up to date.
  }

  current(): T {
    return this.value;
  }

  release(): void {
    this.spec.onReleased();
  }
}

/** How a derived cell is made. */
export interface DerivedSpec<T> {
  readonly label: string;
  readonly compute: (read: Read) => T;
  /** The value when the computation throws and there was one before, which it is given; default: the error is the outcome. */
  readonly rescue?: ((error: unknown, last: T) => T) | undefined;
  readonly equals: Equals<T>;
  readonly onReleased: () => void;
}

/** A computation that throws has an outcome too: kept until an input changes, thrown to each reader. */
type Outcome<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown };

/** A cell computed from others. */
export class DerivedCell<T> implements Source<T>, Reader {
  readonly label: string;
  readonly readers = new Set<Reader>();
  freshness: Freshness = "dirty";
  private sources: readonly Source<unknown>[] = [];
  private outcome: Outcome<T> | undefined;
  private running = false;

  constructor(
    private readonly owner: CellOwner,
    private readonly spec: DerivedSpec<T>,
  ) {
    this.label = spec.label;
  }

  refresh(): void {
    if (this.freshness === "clean") return;
    if (this.running) throw new Error(`${this.label} depends on itself`);
    this.running = true;
    try {
      if (this.freshness === "check") this.verify();
      if (this.freshness === "dirty") this.settle(this.compute());
    } finally {
      this.running = false;
    }
  }

  current(): T {
    const outcome = this.outcome;
    if (outcome === undefined) throw new Error(`${this.label} was read before it was computed`);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.value;
  }

  release(): void {
    for (const source of this.sources) this.owner.unlink(source, this);
    this.sources = [];
    if (this.outcome !== undefined) this.owner.lost();
    this.outcome = undefined;
    this.freshness = "dirty";
    this.spec.onReleased();
  }

  /** In the order they were read, so that a source is looked at only if the earlier ones still lead to it. */
  private verify(): void {
    for (const source of this.sources) {
      source.refresh();
      if (this.freshness === "dirty") return;
    }
    this.freshness = "clean";
  }

  private compute(): Outcome<T> {
    const before = this.sources;
    const fresh: Source<unknown>[] = [];
    let open = true;
    const read: Read = cell => {
      if (!open) throw new Error(`${this.label} kept its reader after it was computed`);
      const source = cell as Source<unknown>;
      // Read at the same place as the last time: it is linked already.
      if (before[fresh.length] !== source) source.readers.add(this);
      fresh.push(source);
      source.refresh();
      return source.current() as never;
    };
    this.owner.enter();
    try {
      return { kind: "value", value: this.spec.compute(read) };
    } catch (error) {
      return this.rescued(error);
    } finally {
      open = false;
      this.owner.leave();
      this.relink(fresh);
    }
  }

  private rescued(error: unknown): Outcome<T> {
    const { rescue } = this.spec;
    const last = this.outcome;
    if (rescue === undefined || last?.kind !== "value") return { kind: "error", error };
    return { kind: "value", value: rescue(error, last.value) };
  }

  /** The same source read twice stands twice, which costs less than looking. */
  private relink(fresh: readonly Source<unknown>[]): void {
    const before = this.sources;
    this.sources = fresh;
    if (sameElements(before, fresh)) return;
    const kept = new Set(fresh);
    for (const source of before) if (!kept.has(source)) this.owner.unlink(source, this);
  }

  private settle(next: Outcome<T>): void {
    const before = this.outcome;
    this.freshness = "clean";
    if (before?.kind === "value" && next.kind === "value" && this.spec.equals(before.value, next.value))
      return;
    if (before === undefined) this.owner.gained();
    this.outcome = next;
    for (const reader of this.readers) if (reader.freshness === "check") reader.freshness = "dirty";
  }
}
