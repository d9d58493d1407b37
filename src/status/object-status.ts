import { conditionsOf, sameConditions, type Condition, type StatusFacts } from "./conditions";

/** The status of a custom object of the mesh. */
export interface ObjectStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
  /** `committed` or `error`, only on kinds that OSM gave it to. */
  readonly currentStatus?: string;
  /** Why it is `error`; "" otherwise. */
  readonly reason?: string;
}

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
  const given = (typeof status === "object" && status !== null ? status : {}) as Record<string, unknown>;
  const existing = readConditions(given["conditions"]);
  const conditions = conditionsOf({ ...facts, existing });
  const extra = WITH_CURRENT_STATUS.has(kind) ? osmFields(conditions) : {};
  const same =
    given["observedGeneration"] === facts.generation &&
    sameConditions(conditions, existing) &&
    Object.entries(extra).every(([name, value]) => given[name] === value);
  return same ? undefined : { observedGeneration: facts.generation, conditions, ...extra };
}

function osmFields(conditions: readonly Condition[]): Pick<ObjectStatus, "currentStatus" | "reason"> {
  const accepted = conditions.find(condition => condition.type === "Accepted");
  if (accepted?.status !== "False") return { currentStatus: "committed", reason: "" };
  return { currentStatus: "error", reason: accepted.message };
}

function readConditions(value: unknown): readonly Condition[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly unknown[]).filter(isCondition);
}

function isCondition(value: unknown): value is Condition {
  if (typeof value !== "object" || value === null) return false;
  const { type, status, lastTransitionTime } = value as Record<string, unknown>;
  return typeof type === "string" && typeof status === "string" && typeof lastTransitionTime === "string";
}
