import { conditionsOf, sameConditions, type Condition, type StatusFacts } from "./conditions";

/** The status of a custom object of the mesh. */
export interface ObjectStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  /** `committed` or `error`, only on kinds that OSM gave it to. */
  readonly currentStatus?: string;
  /** Why it is `error`; "" otherwise. */
  readonly reason?: string;
  /** Fields that only one kind has. */
  readonly [field: string]: unknown;
}

/** The status of a condition that OSM would have called an error. */
const BAD: Readonly<Record<string, string>> = {
  Accepted: "False",
  ResolvedRefs: "False",
  Conflicted: "True",
};

/** Kinds with OSM's own two fields, which its tools show as a column. */
const WITH_CURRENT_STATUS: ReadonlySet<string> = new Set(["IngressBackend", "UpstreamTrafficSetting"]);

/**
 * What must be written as the status of an object, or undefined when it says all of it already. `status` is what stands
 * in the object, of whatever shape.
 */
export function statusChange(
  kind: string,
  status: unknown,
  facts: Omit<StatusFacts, "existing">,
): ObjectStatus | undefined {
  const given = fieldsOf(status);
  const existing = conditionsIn(status);
  const conditions = conditionsOf({ ...facts, existing });
  const osm = WITH_CURRENT_STATUS.has(kind) ? osmFields(conditions) : {};
  const extra = { ...osm, ...facts.fields };
  const same =
    given["observedGeneration"] === facts.generation &&
    sameConditions(conditions, existing) &&
    Object.entries(extra).every(([name, value]) => isSame(given[name], value));
  return same ? undefined : { observedGeneration: facts.generation, conditions, ...extra };
}

/** Whether two values of JSON say the same, whatever the order of their fields. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const [one, other] = [fieldsOf(a), fieldsOf(b)];
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every(key => isSame(one[key], other[key]));
}

function osmFields(conditions: readonly Condition[]): Pick<ObjectStatus, "currentStatus" | "reason"> {
  const bad = conditions.find(({ type, status }) => BAD[type] === status);
  return bad === undefined
    ? { currentStatus: "committed", reason: "" }
    : { currentStatus: "error", reason: bad.message };
}

function fieldsOf(status: unknown): Readonly<Record<string, unknown>> {
  return (typeof status === "object" && status !== null ? status : {}) as Record<string, unknown>;
}

/** The conditions in a status of whatever shape. */
export function conditionsIn(status: unknown): readonly Condition[] {
  const value = fieldsOf(status)["conditions"];
  if (!Array.isArray(value)) return [];
  return (value as readonly unknown[]).filter(isCondition);
}

function isCondition(value: unknown): value is Condition {
  if (typeof value !== "object" || value === null) return false;
  const { type, status, lastTransitionTime } = value as Record<string, unknown>;
  return typeof type === "string" && typeof status === "string" && typeof lastTransitionTime === "string";
}
