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
  const { ref: subject, destinations } = retry;
  const idle = (field: string, message: string): Diagnostic => ({
    severity: "warning",
    code: "NoEffect",
    subject,
    field,
    message,
  });
  if (!facts.enabled)
    return [idle("spec", "featureFlags.enableRetryPolicy of MeshConfig is off, so nothing is sent again")];
  return [
    ...(facts.pods === 0 ? [idle("spec.source", "no pod of the mesh is this source")] : []),
    ...rivalFindings(retry, facts),
    ...destinations.flatMap((service): readonly Diagnostic[] => {
      const carried = facts.carried(service);
      const field = "spec.destinations";
      if (carried === "bytes")
        return [idle(field, `Service ${service} has no HTTP port; bytes are never sent again`)];
      if (carried === "http") return [];
      const message = `Service ${service} is not of the mesh`;
      return [{ severity: "error", code: "UnresolvedReference", subject, field, message }];
    }),
  ];
}

function rivalFindings({ ref, destinations }: Retry, { rivals }: RetryFacts): readonly Diagnostic[] {
  const own = rivals.findIndex(other => other.ref.namespace === ref.namespace && other.ref.name === ref.name);
  const older = rivals.slice(0, Math.max(0, own));
  const winnerOf = (service: string): Retry | undefined =>
    older.find(other => other.destinations.includes(service));
  const lost = destinations.filter(service => winnerOf(service) !== undefined);
  const winner = winnerOf(lost[0] ?? "");
  if (winner === undefined) return [];
  const all = lost.length === destinations.length;
  const end = all ? "this one has no effect" : "it decides about those";
  return [
    {
      severity: all ? "error" : "warning",
      code: "Conflicted",
      subject: ref,
      field: "spec.destinations",
      message: `Retry ${winner.ref.name} is older and speaks of calls to ${lost.join(", ")}; ${end}`,
    },
  ];
}
