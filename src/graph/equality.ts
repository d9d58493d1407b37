/** Decides whether a change stops here: true means "nothing to tell the readers". */
export type Equals<T> = (before: T, after: T) => boolean;

/**
 * Deep equality of plain data (JSON values, undefined, maps and sets of them). Objects are compared by their own
 * enumerable properties; a missing property and one that is undefined are the same.
 */
export function structurallyEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return arraysEqual(a, b);
  if (a instanceof Map || b instanceof Map) return mapsEqual(a, b);
  return recordsEqual(a as Record<string, unknown>, b as Record<string, unknown>);
}

/** Equality of arrays whose elements are the same objects in the same order. */
export function sameElements(before: readonly unknown[], after: readonly unknown[]): boolean {
  if (before === after) return true;
  if (before.length !== after.length) return false;
  for (let i = 0; i < before.length; i++) if (!Object.is(before[i], after[i])) return false;
  return true;
}

function arraysEqual(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
  return a.every((element, i) => structurallyEqual(element, b[i]));
}

function mapsEqual(a: unknown, b: unknown): boolean {
  if (!(a instanceof Map) || !(b instanceof Map) || a.size !== b.size) return false;
  for (const [key, value] of a) if (!b.has(key) || !structurallyEqual(value, b.get(key))) return false;
  return true;
}

function recordsEqual(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(a);
  if (!keys.every(key => structurallyEqual(a[key], b[key]))) return false;
  return Object.keys(b).every(key => b[key] === undefined || Object.hasOwn(a, key));
}
