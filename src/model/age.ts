import type { ObjectRef } from "./object-ref";
import { objectRefKey } from "./object-ref";

/** By age, then by key: of objects that contradict each other the first wins. */
export function oldestFirst<T extends { readonly ref: ObjectRef; readonly createdAt: number }>(
  objects: readonly T[],
): readonly T[] {
  return [...objects].sort((a, b) => {
    if (a.createdAt !== b.createdAt) return a.createdAt - b.createdAt;
    return objectRefKey(a.ref) < objectRefKey(b.ref) ? -1 : 1;
  });
}
