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
