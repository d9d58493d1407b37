import type { Compiled } from "../model/diagnostic";

/** How one Kubernetes kind enters the mesh: what is listed and watched, and what is kept of each object. */
export interface Projector<V> {
  readonly kind: string;
  /** Collection over all namespaces. */
  readonly apiPath: string;
  /** `namespace/name`, or `name` for cluster-scoped kinds. */
  key(object: unknown): string;
  /** The model value of an object; whatever is not in it is dropped. Never throws, whatever the JSON. */
  project(object: unknown): Compiled<V>;
}

/** A value without findings. */
export function clean<T>(value: T): Compiled<T> {
  return { value, diagnostics: [] };
}
