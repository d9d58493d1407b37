/**
 * Which Kubernetes object a fact comes from: the subject of a diagnostic and the origin of a resource.
 * Values are plain and frozen by convention; equality is by {@link objectRefKey}.
 */
export interface ObjectRef {
  /** API group, "" for the core group. */
  readonly group: string;
  readonly kind: string;
  /** "" for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

/** One string per object, usable as a map key and in messages: `Kind.group/namespace/name`. */
export function objectRefKey(ref: ObjectRef): string {
  const kind = ref.group === "" ? ref.kind : `${ref.kind}.${ref.group}`;
  return ref.namespace === "" ? `${kind}/${ref.name}` : `${kind}/${ref.namespace}/${ref.name}`;
}

const within = new WeakMap<object, readonly ObjectRef[]>();

/**
 * Every object that has a part in a value: all lists called `origins` in it, however deep, without repetition. Looked up
 * once per value, which must not change afterwards.
 */
export function originsWithin(value: object): readonly ObjectRef[] {
  const known = within.get(value);
  if (known !== undefined) return known;
  const found = new Map<string, ObjectRef>();
  collect(value, found);
  const all = [...found.values()];
  within.set(value, all);
  return all;
}

function collect(value: unknown, found: Map<string, ObjectRef>): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    if (name !== "origins" || !Array.isArray(part)) collect(part, found);
    else for (const ref of part as readonly ObjectRef[]) found.set(objectRefKey(ref), ref);
  }
}
