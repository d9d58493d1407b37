import { validateCustomObject } from "../api/kinds";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import type { ServiceIdentity } from "../model/identity";
import type { PolicyObject } from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asText, metaOf } from "./fields";

/** One item of a list, with its place in the object. */
export interface Item {
  readonly json: Json;
  /** Like `spec.rules[2]`. */
  readonly field: string;
}

/** A policy object on its way into the model. */
export interface Reading extends PolicyObject {
  readonly namespace: string;
  /** Its `spec`, or the object itself where its version has none. */
  readonly body: Json;
  /** Items of a list of the body that nothing is wrong with. */
  items(list: string): readonly Item[];
  /** Key of an object of the same namespace. */
  own(name: unknown): string;
}

/** How a kind is read. */
export interface PolicyReader<V> {
  readonly group: string;
  readonly kind: string;
  /** Earlier versions have the fields of `spec` at the top. */
  readonly top?: boolean;
  /** Lists in which a wrong item costs only itself, because nothing is widened without it. */
  readonly itemLists?: readonly string[];
  readonly read: (reading: Reading) => V;
}

/**
 * Reads objects of a kind: what validation finds makes the value undefined, or costs the item of a list where the kind
 * says so. Never throws, whatever the JSON.
 */
export function policyIngest<V extends PolicyObject>(
  reader: PolicyReader<V>,
): (object: unknown) => Compiled<V | undefined> {
  return object => {
    const diagnostics = validateCustomObject(reader.kind, object);
    const wrong = diagnostics.filter(found => found.severity === "error");
    const spec = asObject(object)["spec"];
    const atTop = reader.top === true && (spec === undefined || spec === null);
    const path = atTop ? "" : "spec.";
    const inItem = (found: Diagnostic): boolean =>
      (reader.itemLists ?? []).some(list => found.field?.startsWith(`${path}${list}[`) === true);
    if (!wrong.every(inItem)) return { value: undefined, diagnostics };
    const body = atTop ? asObject(object) : asObject(spec);
    return { value: reader.read(readingOf(reader, object, { body, path, wrong })), diagnostics };
  };
}

function readingOf(
  reader: { readonly group: string; readonly kind: string },
  object: unknown,
  at: { readonly body: Json; readonly path: string; readonly wrong: readonly Diagnostic[] },
): Reading {
  const { namespace, name } = metaOf(object);
  const isWrong = (field: string): boolean =>
    at.wrong.some(found => found.field === field || found.field?.startsWith(`${field}.`) === true);
  return {
    ref: { group: reader.group, kind: reader.kind, namespace, name },
    createdAt: createdAtOf(object),
    namespace,
    body: at.body,
    items: list =>
      asArray(at.body[list])
        .map((json, index) => ({ json: asObject(json), field: `${at.path}${list}[${index}]` }))
        .filter(({ field }) => !isWrong(field)),
    own: of => `${namespace}/${asText(of) ?? ""}`,
  };
}

/** What every policy object carries, out of a reading. */
export function headOf({ ref, createdAt }: Reading): PolicyObject {
  return { ref, createdAt };
}

/** Milliseconds; 0, the oldest there is, for an object that was never stored. */
function createdAtOf(object: unknown): number {
  const text = asText(asObject(asObject(object)["metadata"])["creationTimestamp"]);
  const time = text === undefined ? 0 : Date.parse(text);
  return Number.isFinite(time) ? time : 0;
}

/** An identity out of a reference to a ServiceAccount. */
export function identityOf(reference: Json, ownNamespace: string): ServiceIdentity {
  return {
    namespace: asText(reference["namespace"]) ?? ownNamespace,
    serviceAccount: asText(reference["name"]) ?? "",
  };
}

/** A whole number or a number at all; undefined when it is something else. */
export function asNumber(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
