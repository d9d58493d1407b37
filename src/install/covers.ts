import type { InstallObject } from "./object";

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function coversArray(live: readonly unknown[], wanted: readonly unknown[]): boolean {
  return live.length === wanted.length && wanted.every((entry, index) => covers(live[index], entry));
}

/**
 * Whether a live object has everything that is wanted: every wanted field with that value, lists of the same length, and
 * an empty wanted object only where nothing stands. Fields that the API server adds as defaults do not count as drift.
 */
export function covers(live: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) return Array.isArray(live) && coversArray(live, wanted);
  if (!isRecord(wanted)) return live === wanted;
  const fields = Object.entries(wanted);
  if (fields.length === 0) return live === undefined || (isRecord(live) && Object.keys(live).length === 0);
  return isRecord(live) && fields.every(([field, value]) => covers(live[field], value));
}

/** Whether an object is as it should be. Kind and version are not compared: items of a list carry neither. */
export function isAsWanted(live: object, wanted: InstallObject): boolean {
  return Object.entries(wanted).every(
    ([field, value]) =>
      field === "apiVersion" || field === "kind" || covers((live as Record<string, unknown>)[field], value),
  );
}
