import type { ObjectRef } from "./object-ref";

/** `error`: the object (or the named part) has no effect. `warning`: it has effect, with a caveat. */
export type Severity = "error" | "warning";

/** One finding about one object, produced by a compile step and shown to the object's owner. */
export interface Diagnostic {
  readonly severity: Severity;
  /** Stable upper-camel-case reason, used as condition reason and event reason. */
  readonly code: string;
  readonly subject: ObjectRef;
  /** Path of the field that is wrong, like `spec.ports[2].appProtocol`; absent when the whole object is meant. */
  readonly field?: string;
  /** A sentence for the owner: what is wrong and what happens instead. */
  readonly message: string;
}

/** What every compile step returns: a value that is always usable, and what its inputs' owners should know. */
export interface Compiled<T> {
  readonly value: T;
  readonly diagnostics: readonly Diagnostic[];
}
