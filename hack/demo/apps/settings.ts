/** Environment of a program, as the container is given it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Port of every program's own pages. */
export const APP_PORT = 14001;

/**
 * Port where the same counters are served once more. The manifests take it out of interception, so that the API server,
 * which has no mesh certificate, can read it.
 */
export const COUNTERS_PORT = 14002;

/** A whole number from the environment. Throws when it is set to something else. */
export function wholeNumber(env: Environment, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name}=${text}: a whole number is needed`);
  return value;
}

/** A word from the environment; an empty one counts as not set. */
export function word(env: Environment, name: string, fallback: string): string {
  const text = env[name];
  return text === undefined || text === "" ? fallback : text;
}

/** Whether a switch is on: `true`, `yes` or `1`. */
export function isOn(env: Environment, name: string): boolean {
  return ["true", "yes", "1"].includes((env[name] ?? "").toLowerCase());
}
