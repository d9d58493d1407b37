import fc from "fast-check";
import { RIGHT_OBJECTS } from "./right-objects";
import type { Written } from "./smi-versions";

/** JSON that has broken programs: as it arrives, so `__proto__` is an own key. */
export const EDGE_VALUES: readonly unknown[] = (
  JSON.parse(`[
    null, true, false, 0, -0, -1, 1e308, -1e308, 5e-324, 0.1, 9007199254740992, 9007199254740993, 4294967295, 4294967296,
    2147483648, 65535, 65536, "", " ", "0", "-1", "1e999", "NaN", "Infinity", "null", "true", "__proto__", "constructor",
    "prototype", "toString", "hasOwnProperty", "valueOf", "\\u0000", "\\ud800", "\\udfff\\ud800", "\\u202e", "\\ufeff",
    "%s%n", "\${x}", "../../etc/passwd", "a/b", "a|b", "*", "*.", ".", "..", "a..b", "-", "[", "(", "\\\\", ".*", "::1",
    [], [[]], [null], {}, {"": ""}, {"__proto__": {"polluted": true}}, {"constructor": {"prototype": {"polluted": true}}},
    {"toString": null}, {"valueOf": 1}, {"length": 3, "0": "a"}, {"toJSON": "x"}, {"then": {}}, {"kind": "constructor"},
    {"kind": "__proto__", "name": "__proto__", "namespace": "__proto__"}, {"__proto__": null}, {"name": {"toString": 1}}
  ]`) as unknown[]
).concat(["a".repeat(1_100), "a".repeat(70_000), "(".repeat(600), "[".repeat(600), "a*".repeat(500)]);

type Path = readonly (string | number)[];

/** Every place in a JSON value, the value itself first. */
export function placesOf(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inside = Array.isArray(value)
    ? value.flatMap((item, index) => placesOf(item, [...path, index]))
    : Object.entries(value).flatMap(([key, item]) => placesOf(item, [...path, key]));
  return [path, ...inside];
}

/** A copy with another value at a place; `undefined` takes it out. */
export function replaced(value: unknown, path: Path, by: unknown): unknown {
  const [head, ...rest] = path;
  if (head === undefined) return by;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown, index) => (index === head ? replaced(item, rest, by) : item));
    return items.filter(item => item !== undefined);
  }
  const fields = Object.entries(value as object).map(([key, item]) => [
    key,
    key === head ? replaced(item, rest, by) : (item as unknown),
  ]);
  return Object.fromEntries(fields.filter(([, item]) => item !== undefined)) as unknown;
}

/** What stands for a part of an object: something wrong, something else that is right, or nothing. */
const someValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(...EDGE_VALUES),
  fc.constant(undefined),
  fc.constantFrom(
    "cart",
    "shop",
    "it",
    "/",
    "GET",
    "80",
    "5s",
    "1m",
    "cart.shop",
    "v1",
    "8080",
    "10.0.0.0/8",
  ),
  fc.nat({ max: 100_000 }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Objects of every kind and version, of namespace `shop`, with up to `most` places changed. */
export function hostileObject(most = 5): fc.Arbitrary<Written> {
  return fc
    .tuple(
      fc.constantFrom(...RIGHT_OBJECTS),
      fc.constantFrom("it", "other", "routes", "ports", "third"),
      fc.array(fc.tuple(fc.nat(), someValue), { maxLength: most }),
    )
    .map(([right, name, changes]) => {
      const { apiVersion, kind, ...body } = right;
      const changed = changes.reduce<unknown>((object, [at, value]) => {
        const places = placesOf(object).slice(1);
        return places.length === 0 ? object : replaced(object, places[at % places.length] ?? [], value);
      }, body);
      const metadata = { name, namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z" };
      return { ...(changed as object), apiVersion, kind, metadata };
    });
}
