import type { KubeObject, WatchEvent } from "../kube";

/** What is told about the objects of one kind, in order. Values are projected and pruned. */
export type Change<V> =
  | { readonly type: "upsert"; readonly key: string; readonly value: V }
  | { readonly type: "delete"; readonly key: string }
  /** All there is, after a list: whatever is not in it does not exist. One step. */
  | { readonly type: "reset"; readonly entries: ReadonlyMap<string, V> };

/** How objects become values. */
export interface Projection<V> {
  /** Map key of an object; default `namespace/name`, or `name` for cluster-scoped kinds. */
  key?(object: KubeObject): string;
  /** The value to keep; undefined when the mesh has no use for the object. Must not throw on any JSON. */
  project(object: KubeObject): V | undefined;
  /** Whether two values are the same to every reader. Default: {@link sameJson}. */
  equal?(a: V, b: V): boolean;
}

/** What came of one watch event. */
export type Outcome = "changed" | "unchanged" | "stale" | "bookmark" | "expired" | "error";

/** `namespace/name`, or `name` for cluster-scoped objects. */
function objectKey(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** Negative when `a` is older than `b`. Resource versions of one API server are decimal numbers of any length. */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Structural equality of plain JSON-like values (arrays, records, Maps, primitives). */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (Array.isArray(a)) return Array.isArray(b) && sameArray(a, b);
  if (a instanceof Map) return b instanceof Map && sameArray([...a], [...b]);
  return !Array.isArray(b) && sameRecord(a, b);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function sameArray(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
}

function sameRecord(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(key => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

interface Entry<V> {
  readonly version: string;
  /** undefined: the object exists, and the mesh has no use for it. */
  readonly value: V | undefined;
}

/**
 * The memory of one informer, without I/O: takes list pages and watch events, keeps projected values only, never
 * goes back to an older resource version, and reports differences. A list replaces everything in one step.
 */
export class WatchState<V> {
  private entries = new Map<string, Entry<V>>();
  private listing: Map<string, Entry<V>> | undefined;
  private version = "";
  private staleLists = 0;
  private listed = false;

  constructor(
    private readonly projection: Projection<V>,
    private readonly onChange: (change: Change<V>) => void,
    /** Told when a projection threw (our bug): the object keeps its last value, everything else goes on. */
    private readonly onFault: (key: string, error: unknown) => void = () => undefined,
  ) {}

  /** Where a watch continues; "" before the first list. */
  get resourceVersion(): string {
    return this.version;
  }

  /** Number of values held. */
  get size(): number {
    return this.entries.size;
  }

  /** The value under a key, if any. */
  get(key: string): V | undefined {
    return this.entries.get(key)?.value;
  }

  /** All values the mesh has a use for. */
  values(): ReadonlyMap<string, V> {
    return visible(this.entries);
  }

  /** Begins a list; what earlier pages of an unfinished one brought is dropped. */
  beginList(): void {
    this.listing = new Map();
  }

  /** Takes a page. Each object is projected and let go. */
  page(items: readonly KubeObject[]): void {
    const target = this.listing;
    if (target === undefined) throw new Error("page outside of a list");
    for (const object of items) {
      const key = this.keyOf(object);
      if (key !== undefined) target.set(key, this.entryOf(key, object));
    }
  }

  /**
   * Ends a list made at `resourceVersion` and reports one `reset` if anything differs (always the first time).
   * False when the list is older than what has been seen: it came from a lagging server and is dropped. The third one
   * in a row is believed, because then the store itself has been restored to an earlier state.
   */
  endList(resourceVersion: string): boolean {
    const fresh = this.listing;
    if (fresh === undefined) throw new Error("end of a list that was not begun");
    this.listing = undefined;
    if (this.listed && compareVersions(resourceVersion, this.version) < 0 && this.staleLists < 2) {
      this.staleLists += 1;
      return false;
    }
    this.staleLists = 0;
    this.version = resourceVersion;
    const first = !this.listed;
    this.listed = true;
    const changed = this.adopt(fresh);
    if (changed || first) this.onChange({ type: "reset", entries: visible(fresh) });
    return true;
  }

  /** Takes one watch event, in the order of the wire. */
  event(event: WatchEvent): Outcome {
    switch (event.type) {
      case "BOOKMARK":
        this.advance(event.object.metadata.resourceVersion ?? "");
        return "bookmark";
      case "ERROR":
        return event.object["code"] === 410 ? "expired" : "error";
      case "DELETED":
        return this.remove(event.object);
      case "ADDED":
      case "MODIFIED":
        return this.put(event.object);
    }
  }

  /** Makes `fresh` the content, keeping equal values as they were (readers compare by identity first). */
  private adopt(fresh: Map<string, Entry<V>>): boolean {
    let changed = fresh.size !== this.entries.size;
    for (const [key, entry] of fresh) {
      const old = this.entries.get(key);
      if (old !== undefined && this.equal(old.value, entry.value)) {
        fresh.set(key, { version: entry.version, value: old.value });
      } else if (old !== undefined || entry.value !== undefined) {
        changed = true;
      }
    }
    this.entries = fresh;
    return changed;
  }

  private put(object: KubeObject): Outcome {
    const version = object.metadata.resourceVersion ?? "";
    if (compareVersions(version, this.version) <= 0) return "stale";
    const key = this.keyOf(object);
    if (key === undefined) return this.unnamed(version);
    const old = this.entries.get(key);
    const entry = this.entryOf(key, object);
    this.version = version;
    if (old !== undefined && this.equal(old.value, entry.value)) {
      this.entries.set(key, { version, value: old.value });
      return "unchanged";
    }
    this.entries.set(key, entry);
    if (entry.value !== undefined) {
      this.onChange({ type: "upsert", key, value: entry.value });
      return "changed";
    }
    if (old?.value === undefined) return "unchanged";
    this.onChange({ type: "delete", key });
    return "changed";
  }

  private remove(object: KubeObject): Outcome {
    const version = object.metadata.resourceVersion ?? "";
    const key = this.keyOf(object);
    if (key === undefined) return this.unnamed(version);
    const old = this.entries.get(key);
    if (old !== undefined && compareVersions(version, old.version) < 0) return "stale";
    this.advance(version);
    if (old === undefined) return "unchanged";
    this.entries.delete(key);
    if (old.value === undefined) return "unchanged";
    this.onChange({ type: "delete", key });
    return "changed";
  }

  private advance(version: string): void {
    if (compareVersions(version, this.version) > 0) this.version = version;
  }

  /** undefined: it cannot be told which object it is. */
  private keyOf(object: KubeObject): string | undefined {
    try {
      return this.projection.key?.(object) ?? objectKey(object);
    } catch (error) {
      this.onFault("", error);
      return undefined;
    }
  }

  /** The object is passed over, and what comes after it is not. */
  private unnamed(version: string): Outcome {
    this.advance(version);
    return "unchanged";
  }

  private entryOf(key: string, object: KubeObject): Entry<V> {
    const version = object.metadata.resourceVersion ?? "";
    try {
      return { version, value: this.projection.project(object) };
    } catch (error) {
      this.onFault(key, error);
      return { version, value: this.get(key) };
    }
  }

  private equal(a: V | undefined, b: V | undefined): boolean {
    if (a === undefined || b === undefined) return a === b;
    return this.projection.equal?.(a, b) ?? sameJson(a, b);
  }
}

function visible<V>(entries: ReadonlyMap<string, Entry<V>>): ReadonlyMap<string, V> {
  const values = new Map<string, V>();
  for (const [key, { value }] of entries) if (value !== undefined) values.set(key, value);
  return values;
}
