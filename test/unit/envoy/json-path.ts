import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { encodeLeaf } from "../../../src/envoy/encode";
import type { Leaf } from "../../../src/policy/types";
import { resourceJson } from "../../support/envoy-json";

/** The resource of a leaf, read back by reflection. */
export function built(leaf: Leaf): JsonObject {
  return resourceJson(encodeLeaf(leaf));
}

/** The value at a path of keys and indices, undefined where there is none. */
export function at(value: JsonValue | undefined, ...path: (string | number)[]): JsonValue | undefined {
  let current: JsonValue | undefined = value;
  for (const key of path) {
    if (Array.isArray(current)) current = current[Number(key)];
    else if (typeof current === "object" && current !== null) current = current[key];
    else return undefined;
  }
  return current;
}

/** Every value under the given key, wherever it stands. */
export function all(value: JsonValue | undefined, key: string): JsonValue[] {
  if (Array.isArray(value)) return value.flatMap(item => all(item, key));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) => [
    ...(name === key ? [item] : []),
    ...all(item, key),
  ]);
}
