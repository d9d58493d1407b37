/**
 * What this process is for. Pepr starts the same bundle four ways and tells them apart by two variables: `PEPR_MODE` and
 * `PEPR_WATCH_MODE`.
 */
export type Role =
  /** The command line reads the bindings from it; nothing may start. */
  | "build"
  /** `pepr dev`: one process with all duties. */
  | "dev"
  /** One of the replicated pods with webhooks and ADS. */
  | "admission"
  /** The one pod that writes. */
  | "watcher"
  /** One process outside of the cluster, without Pepr: all duties but those of webhooks. For measuring, and for tests. */
  | "outside"
  /** Another one beside that, which serves proxies and writes nothing. */
  | "outside-replica";

/** The role that Pepr's variables name; without any it is `admission`, like Pepr itself decides. */
export function roleOf(env: Readonly<Record<string, string | undefined>>): Role {
  if (env["PEPR_MODE"] === "build") return "build";
  if (env["PEPR_MODE"] === "dev") return "dev";
  return env["PEPR_WATCH_MODE"] === "true" ? "watcher" : "admission";
}

/** Whether one process has all duties; no pod of the cluster is another replica. */
export function isAlone(role: Role): boolean {
  return role === "dev" || role === "outside";
}

/** Whether the process has a server of Pepr's, which the API server asks about objects. */
export function admits(role: Role): boolean {
  return role !== "outside" && role !== "outside-replica";
}

/** Whether a role serves ADS. */
export function serves(role: Role): boolean {
  return role === "admission" || role === "outside-replica" || isAlone(role);
}

/** Whether a role has the duties of the single writer. */
export function writes(role: Role): boolean {
  return role === "watcher" || isAlone(role);
}
