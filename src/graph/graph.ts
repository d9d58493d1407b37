/**
 * Incremental cells. Inputs are set; derived cells record what they read. A change marks what depends on it (push),
 * the next read verifies backwards from the reader (pull), and a result equal to the one before stops the change.
 * Nothing here is global: the reader is passed to each computation, and only cells that somebody watches stay computed.
 */
import type { Cell, CellOwner, Read, Reader, Source } from "./cell";
import { DerivedCell, InputCell } from "./cell";
import type { Equals } from "./equality";

export type { Cell, Read };

/** A cell whose value comes from outside. */
export interface Input<T> extends Cell<T> {
  /** Sets the value; false when it equals the one before, and then nothing is marked. Throws inside a computation. */
  set(value: T): boolean;
}

/** A reader from outside the graph; as long as it is open, its cell and all that it needs stay computed. */
export interface Watch<T> {
  /** The value now, brought up to date first. */
  read(): T;
  close(): void;
}

/** A set of derived cells by key. The key is everything the computation may depend on besides what it reads. */
export type Family<K, T> = (key: K) => Cell<T>;

/** How a family is made. */
export interface FamilySpec<K, T> {
  readonly label: string;
  /** One string per distinct key; equal strings share a cell. */
  readonly keyOf: (key: K) => string;
  readonly compute: (read: Read, key: K) => T;
  /**
   * The value of a key whose computation throws, given the one before. Where there was none, or by default, whoever reads it is
   * thrown the error.
   */
  readonly rescue?: (error: unknown, key: K, last: T) => T;
  /** Default: Object.is. */
  readonly equals?: Equals<T>;
}

/** See the head of this file. */
export interface Graph {
  input<T>(label: string, initial: T, equals?: Equals<T>): Input<T>;
  derive<T>(label: string, compute: (read: Read) => T, equals?: Equals<T>): Cell<T>;
  family<K, T>(spec: FamilySpec<K, T>): Family<K, T>;
  /** `onStale` is called once when the value may have changed, and again only after the next `read`. */
  watch<T>(cell: Cell<T>, onStale: () => void): Watch<T>;
  /** The value now, without keeping anything computed for it afterwards. */
  peek<T>(cell: Cell<T>): T;
  /** Runs something that reads and closes many watches; cells that lost their last reader are released at its end. */
  batch<T>(run: () => T): T;
  /** How many derived cells hold a value, and how many computations have run. */
  stats(): { readonly computedCells: number; readonly computations: number };
}

/** @internal Lets {@link "./table"} make inputs that vanish when unread. */
export interface GraphInternals extends Graph {
  transientInput<T>(label: string, initial: T, onReleased: () => void): Input<T>;
}

/** Makes an empty graph. */
export function createGraph(): GraphInternals {
  return new CellGraph();
}

class CellGraph implements GraphInternals, CellOwner {
  /** Cells that lost their last reader (or never had one) since the outermost batch began. */
  private readonly loose = new Set<Source<unknown>>();
  private depth = 0;
  private computing = 0;
  private computations = 0;
  private computedCells = 0;

  input<T>(label: string, initial: T, equals: Equals<T> = Object.is): Input<T> {
    return new InputCell(this, { label, initial, equals, onReleased: () => undefined });
  }

  transientInput<T>(label: string, initial: T, onReleased: () => void): Input<T> {
    const input = new InputCell(this, { label, initial, equals: Object.is, onReleased });
    this.loose.add(input);
    return input;
  }

  derive<T>(label: string, compute: (read: Read) => T, equals: Equals<T> = Object.is): Cell<T> {
    return new DerivedCell(this, { label, compute, equals, onReleased: () => undefined });
  }

  family<K, T>(spec: FamilySpec<K, T>): Family<K, T> {
    const cells = new Map<string, DerivedCell<T>>();
    const { rescue } = spec;
    return key => {
      const name = spec.keyOf(key);
      const known = cells.get(name);
      if (known !== undefined) return known;
      const cell = new DerivedCell<T>(this, {
        label: `${spec.label}(${name})`,
        compute: read => spec.compute(read, key),
        rescue: rescue && ((error, last) => rescue(error, key, last)),
        equals: spec.equals ?? Object.is,
        onReleased: () => {
          if (cells.get(name) === cell) cells.delete(name);
        },
      });
      cells.set(name, cell);
      this.loose.add(cell);
      return cell;
    };
  }

  watch<T>(cell: Cell<T>, onStale: () => void): Watch<T> {
    const source = cell as Source<T>;
    const watcher: Reader = {
      label: `watch(${cell.label})`,
      freshness: "dirty",
      readers: new Set(),
      onStale,
    };
    source.readers.add(watcher);
    return {
      read: () =>
        this.batch(() => {
          source.refresh();
          watcher.freshness = "clean";
          return source.current();
        }),
      close: () => {
        this.batch(() => {
          this.unlink(source, watcher);
        });
      },
    };
  }

  peek<T>(cell: Cell<T>): T {
    const watch = this.watch(cell, () => undefined);
    return this.batch(() => {
      try {
        return watch.read();
      } finally {
        watch.close();
      }
    });
  }

  batch<T>(run: () => T): T {
    this.depth++;
    try {
      return run();
    } finally {
      this.depth--;
      if (this.depth === 0 && this.computing === 0) this.releaseLoose();
    }
  }

  stats(): { readonly computedCells: number; readonly computations: number } {
    return { computedCells: this.computedCells, computations: this.computations };
  }

  enter(): void {
    this.computing++;
    this.computations++;
  }

  leave(): void {
    this.computing--;
  }

  get busy(): boolean {
    return this.computing > 0;
  }

  gained(): void {
    this.computedCells++;
  }

  lost(): void {
    this.computedCells--;
  }

  unlink(source: Source<unknown>, reader: Reader): void {
    source.readers.delete(reader);
    if (source.readers.size === 0) this.loose.add(source);
  }

  private releaseLoose(): void {
    for (const source of this.loose) {
      this.loose.delete(source);
      if (source.readers.size === 0) source.release();
    }
  }
}
