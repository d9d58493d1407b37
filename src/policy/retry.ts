/** Retries: a client's own terms for sending requests again. Of several of one client to one Service the oldest counts. */
import type { Diagnostic } from "../model/diagnostic";
import type { Retry } from "../model/traffic";
import type { HttpRule } from "./types";

/** Key of the Retry by key of the Service, of a client's Retries as given by `oldestFirst`. */
export function chooseRetries(retries: readonly Retry[]): Readonly<Record<string, string>> {
  const chosen = new Map<string, string>();
  for (const { ref, destinations } of retries) {
    for (const service of destinations) {
      if (!chosen.has(service)) chosen.set(service, `${ref.namespace}/${ref.name}`);
    }
  }
  return Object.fromEntries([...chosen].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Rules of a client that has a Retry for them. */
export function withRetry(rules: readonly HttpRule[], retry: Retry | undefined): readonly HttpRule[] {
  if (retry === undefined) return rules;
  return rules.map(rule => ({ ...rule, retry: retry.terms, origins: [...rule.origins, retry.ref] }));
}

/** What a Retry depends on. */
export interface RetryFacts {
  /** `featureFlags.enableRetryPolicy`. */
  readonly enabled: boolean;
  /** Live pods that run as its source. */
  readonly pods: number;
  /** Retries of the same source, itself included, as given by `oldestFirst`. */
  readonly rivals: readonly Retry[];
  /** How a Service is carried; undefined: it is not of the mesh. */
  readonly carried: (service: string) => "http" | "bytes" | undefined;
}

/** What the owner of a Retry should know. */
export function retryFindings(retry: Retry, facts: RetryFacts): readonly Diagnostic[] {
  const tell = (
    severity: Diagnostic["severity"],
    code: string,
    field: string,
    message: string,
  ): Diagnostic => ({
    severity,
    code,
    subject: retry.ref,
    field,
    message,
  });
  if (!facts.enabled) {
    const message = "featureFlags.enableRetryPolicy of MeshConfig is off, so nothing is sent again";
    return [tell("warning", "NoEffect", "spec", message)];
  }
  const found: Diagnostic[] = [];
  if (facts.pods === 0)
    found.push(tell("warning", "NoEffect", "spec.source", "no pod of the mesh is this source"));
  const older = facts.rivals.slice(
    0,
    facts.rivals.findIndex(({ ref }) => ref.namespace === retry.ref.namespace && ref.name === retry.ref.name),
  );
  const lost = retry.destinations.filter(service =>
    older.some(other => other.destinations.includes(service)),
  );
  if (lost.length > 0) {
    const winner = older.find(other => other.destinations.includes(lost[0] ?? ""))?.ref.name ?? "";
    const all = lost.length === retry.destinations.length;
    const end = all ? "this one has no effect" : "it decides about those";
    const message = `Retry ${winner} is older and speaks of calls to ${lost.join(", ")}; ${end}`;
    found.push(tell(all ? "error" : "warning", "Conflicted", "spec.destinations", message));
  }
  for (const service of retry.destinations) {
    const carried = facts.carried(service);
    if (carried === undefined)
      found.push(
        tell("error", "UnresolvedReference", "spec.destinations", `Service ${service} is not of the mesh`),
      );
    else if (carried === "bytes")
      found.push(
        tell(
          "warning",
          "NoEffect",
          "spec.destinations",
          `Service ${service} has no HTTP port; bytes are never sent again`,
        ),
      );
  }
  return found;
}
