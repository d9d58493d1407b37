import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import type { ClusterSettings } from "./settings";

/** Largest file of the audit log, megabytes, and how many full ones are kept beside it: a few hours of requests in all. */
const MAX_MEGABYTES = 64;
const FULL_FILES = 2;

const folderOf = (settings: ClusterSettings): string => path.join(settings.state, "audit");
const policyOf = (settings: ClusterSettings): string => path.join(settings.state, "audit-policy.json");

/**
 * What the mesh's control plane asks the API server for, without any content, and nothing of anybody else: each request is
 * told once, when it has been answered.
 */
const POLICY = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted"],
  rules: [{ level: "Metadata", userGroups: [`system:serviceaccounts:${PEPR_NAMESPACE}`] }, { level: "None" }],
};

/** Flags of the API server, by name. */
export function auditFlags(settings: ClusterSettings): Readonly<Record<string, string | number>> {
  return {
    "audit-policy-file": policyOf(settings),
    "audit-log-path": path.join(folderOf(settings), "audit.log"),
    "audit-log-maxsize": MAX_MEGABYTES,
    "audit-log-maxbackup": FULL_FILES,
  };
}

/** Writes the policy where the API server reads it when it starts. */
export function writeAuditPolicy(settings: ClusterSettings): void {
  mkdirSync(folderOf(settings), { recursive: true, mode: 0o700 });
  writeFileSync(policyOf(settings), JSON.stringify(POLICY, undefined, 2));
}

/** Files of the audit log, the oldest first; none where the API server was started without one. */
export function auditFiles(settings: ClusterSettings): readonly string[] {
  const folder = folderOf(settings);
  if (!existsSync(folder)) return [];
  // Full ones have the time in their names, so they stand before the present one once the dot is out of the way.
  const key = (name: string): string => (name === "audit.log" ? "~" : name);
  const names = readdirSync(folder).filter(name => /^audit.*\.log$/.test(name));
  return names.sort((a, b) => (key(a) < key(b) ? -1 : 1)).map(name => path.join(folder, name));
}
