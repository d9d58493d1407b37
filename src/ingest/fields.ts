/** Reading of JSON whose shape nobody guarantees: every function answers for any value and never throws. */

/** A JSON object as it arrives. */
export type Json = Readonly<Record<string, unknown>>;

/** The value if it is a JSON object, else an empty one. */
export function asObject(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** The value if it is an array, else an empty one. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** The value if it is a string that is not empty, else undefined. */
export function asText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The value if it is a number, else undefined. */
export function asNumber(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** The value if it is a whole number from 1 to 65535, else undefined. */
export function asPort(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535
    ? value
    : undefined;
}

/** The string-valued entries of an object, sorted by key so that equal maps print equally. */
export function asTextMap(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(asObject(value)).filter(
    (e): e is [string, string] => typeof e[1] === "string",
  );
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What every object carries. Absent parts read as empty strings. */
export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly deleting: boolean;
}

/** Metadata of any object. */
export function metaOf(object: unknown): ObjectMeta {
  const metadata = asObject(asObject(object)["metadata"]);
  return {
    namespace: asText(metadata["namespace"]) ?? "",
    name: asText(metadata["name"]) ?? "",
    uid: asText(metadata["uid"]) ?? "",
    labels: asTextMap(metadata["labels"]),
    annotations: asTextMap(metadata["annotations"]),
    deleting: metadata["deletionTimestamp"] !== undefined && metadata["deletionTimestamp"] !== null,
  };
}

/** Key of an object in its kind's table: `namespace/name`, or `name` for cluster-scoped kinds. */
export function objectKey(object: unknown): string {
  const { namespace, name } = metaOf(object);
  return namespace === "" ? name : `${namespace}/${name}`;
}
