import type { TestObject } from "./objects";

/** A document of a step: an object, or what changes in one that is there (a JSON merge patch), or a deletion. */
export type StepDocument = TestObject | { readonly delete: string };

/** Changes that happen together. */
export interface SceneStep {
  /** Like `01-scale`. */
  readonly name: string;
  readonly documents: readonly StepDocument[];
}

/** What a step does to the objects of a scene. */
export interface StepChanges {
  /** New and changed objects, whole. */
  readonly upserts: readonly TestObject[];
  /** Deleted objects as they last were. */
  readonly removals: readonly TestObject[];
}

/** `Kind/namespace/name`, or `Kind/name` of an object without a namespace: how a scene's files name objects. */
export function keyOf({ kind, metadata: { namespace, name } }: TestObject): string {
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

/** Works out a step. Throws when it deletes what is not there, or changes nothing in an object. */
export function afterStep(present: ReadonlyMap<string, TestObject>, step: SceneStep): StepChanges {
  const upserts: TestObject[] = [];
  const removals: TestObject[] = [];
  for (const document of step.documents) {
    if (isDeletion(document)) {
      const object = present.get(document.delete);
      if (object === undefined) throw new Error(`${step.name}: there is no ${document.delete}`);
      removals.push(object);
    } else {
      upserts.push(patched(present.get(keyOf(document)), document, step.name));
    }
  }
  return { upserts, removals };
}

function isDeletion(document: StepDocument): document is { readonly delete: string } {
  return typeof (document as { delete?: unknown }).delete === "string";
}

function patched(before: TestObject | undefined, patch: TestObject, step: string): TestObject {
  if (before === undefined) return patch;
  const after = mergePatch(before, patch) as TestObject;
  if (JSON.stringify(after) === JSON.stringify(before))
    throw new Error(`${step}: ${keyOf(patch)} is as before`);
  return after;
}

/** RFC 7386: objects are merged, null removes a field, anything else (lists too) replaces. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, key);
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
