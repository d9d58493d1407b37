/** Objects as they would be after files were applied and objects deleted. */
import { POLICY_KINDS } from "../../ingest/index";
import { asObject, type Json } from "../../ingest/fields";
import { CommandError } from "../failure";
import { documentKey, type KubeDocument } from "../offline/documents";

/** What becomes of an object. */
export interface ObjectChange {
  /** Key of the object, `Kind/namespace/name`. */
  readonly object: string;
  readonly change: "added" | "changed" | "removed" | "unchanged";
}

/** A plan's two sides. */
export interface Changes {
  readonly after: readonly KubeDocument[];
  readonly objects: readonly ObjectChange[];
  /** Keys of the objects that are new or different. */
  readonly changed: ReadonlySet<string>;
}

/** Stands for the time of creation of what is not created yet: of rivals it is the youngest. */
const LATER = "9999-12-31T23:59:59Z";

const WHOLE = new Set<string>(POLICY_KINDS);

/**
 * What applying files and deleting objects (by key) would make of objects. Throws {@link CommandError} for a deletion of what
 * is not there.
 */
export function applied(
  base: readonly KubeDocument[],
  files: readonly KubeDocument[],
  deletions: readonly string[],
): Changes {
  const present = new Map(base.map(document => [documentKey(document), document]));
  const objects: ObjectChange[] = [];
  const changed = new Set<string>();
  for (const key of deletions) {
    if (!present.delete(key)) throw new CommandError(`--delete ${key}: there is no such object`);
    objects.push({ object: key, change: "removed" });
  }
  for (const file of new Map(files.map(each => [documentKey(each), each])).values()) {
    const key = documentKey(file);
    const before = present.get(key);
    const after = before === undefined ? created(file) : merged(before, file);
    const change = before === undefined ? "added" : same(before, after) ? "unchanged" : "changed";
    objects.push({ object: key, change });
    present.set(key, after);
    if (change !== "unchanged") changed.add(key);
  }
  return { after: [...present.values()], objects, changed };
}

function created(file: KubeDocument): KubeDocument {
  return { ...file, metadata: { creationTimestamp: LATER, ...file.metadata } };
}

/**
 * Policies are taken as they are written, as `kubectl apply` makes them; of other objects, what the files do not speak of
 * stays (addresses, status, what others have set).
 */
function merged(before: KubeDocument, file: KubeDocument): KubeDocument {
  const metadata = { ...before.metadata, ...own(file.metadata) };
  if (!WHOLE.has(file.kind)) return mergePatch(before, { ...file, metadata }) as KubeDocument;
  const { status } = before;
  return { ...file, ...(status === undefined ? {} : { status }), metadata };
}

function own(metadata: KubeDocument["metadata"]): KubeDocument["metadata"] {
  const entries = Object.entries(metadata).filter(([name]) => name !== "resourceVersion" && name !== "uid");
  return Object.fromEntries(entries) as KubeDocument["metadata"];
}

/** RFC 7386: objects are merged, null removes a field, anything else (lists too) replaces. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result = new Map(Object.entries(asObject(target)));
  for (const [name, value] of Object.entries(patch as Json)) {
    if (value === null) result.delete(name);
    else result.set(name, mergePatch(result.get(name), value));
  }
  return Object.fromEntries(result);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, part]) => [name, sorted(part)]),
  );
}
