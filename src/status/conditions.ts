import type { Diagnostic } from "../model/diagnostic";

/** A condition of an object, as Kubernetes writes it (`metav1.Condition`). */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly observedGeneration: number;
  /** RFC 3339, seconds. */
  readonly lastTransitionTime: string;
  readonly reason: string;
  readonly message: string;
}

/** How far the proxies are, summed over all replicas. */
export interface ProxyProgress {
  /** Live meshed pods: the denominator, whether they are connected or not. */
  readonly live: number;
  /** Those that acknowledged the newest configuration. */
  readonly programmed: number;
  /** Those that refused something that comes from the object. */
  readonly refused: number;
  /** What the first of them said. */
  readonly refusal?: string;
  /** False when a replica could not be asked: the sum is not known, never "done". */
  readonly complete: boolean;
}

/** Everything that conditions follow from. */
export interface StatusFacts {
  /** `metadata.generation` of the object that was judged. */
  readonly generation: number;
  /** Epoch milliseconds; used for transitions only. */
  readonly now: number;
  /** What stands in the object; conditions of other owners are kept. */
  readonly existing: readonly Condition[];
  readonly diagnostics: readonly Diagnostic[];
  /** undefined: nobody knows yet. */
  readonly progress: ProxyProgress | undefined;
}

/** Longest message; status is for reading, and all objects of a mesh share one store. */
const MAX_MESSAGE = 4_096;
/** Findings spelled out in one message. */
const MAX_FINDINGS = 20;

type Verdict = Pick<Condition, "type" | "status" | "reason" | "message">;

/** The conditions an object should have: `Accepted` and `Programmed`, then those of other owners as they are. */
export function conditionsOf(facts: StatusFacts): readonly Condition[] {
  const ours = [accepted(facts.diagnostics), programmed(facts)].map(verdict => dated(verdict, facts));
  const types = new Set(ours.map(condition => condition.type));
  return [...ours, ...facts.existing.filter(condition => !types.has(condition.type))];
}

/** Whether two lists say the same: then nothing is written, however often the question comes. */
export function sameConditions(a: readonly Condition[], b: readonly Condition[]): boolean {
  return a.length === b.length && a.every((condition, index) => sameCondition(condition, b[index]));
}

function sameCondition(a: Condition, b: Condition | undefined): boolean {
  if (b === undefined) return false;
  const keys = ["type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"] as const;
  return keys.every(key => a[key] === b[key]);
}

/** The time of transition is kept as long as the status is the same, whatever the reason. */
function dated(verdict: Verdict, facts: StatusFacts): Condition {
  const before = facts.existing.find(condition => condition.type === verdict.type);
  const kept = before?.status === verdict.status ? before.lastTransitionTime : undefined;
  return {
    type: verdict.type,
    status: verdict.status,
    observedGeneration: facts.generation,
    lastTransitionTime: kept ?? `${new Date(facts.now).toISOString().slice(0, 19)}Z`,
    reason: verdict.reason,
    message: plain(verdict.message),
  };
}

function accepted(diagnostics: readonly Diagnostic[]): Verdict {
  const errors = diagnostics.filter(finding => finding.severity === "error");
  const warnings = diagnostics.filter(finding => finding.severity === "warning");
  const type = "Accepted";
  if (errors.length > 0) {
    return { type, status: "False", reason: reasonOf(errors), message: sentences([...errors, ...warnings]) };
  }
  if (warnings.length > 0) {
    return { type, status: "True", reason: "AcceptedWithWarnings", message: sentences(warnings) };
  }
  return { type, status: "True", reason: "Accepted", message: "All fields are understood and in effect." };
}

/** The one code all errors share, or a word for several. */
function reasonOf(errors: readonly Diagnostic[]): string {
  const codes = new Set(errors.map(finding => finding.code));
  const [only] = codes;
  return codes.size === 1 && only !== undefined ? only : "SeveralFindings";
}

function sentences(findings: readonly Diagnostic[]): string {
  // Findings come from several steps in no fixed order; the message must not change when nothing else does.
  const all = [...new Set(findings.map(finding => finding.message))].sort();
  const more = all.length > MAX_FINDINGS ? [`and ${all.length - MAX_FINDINGS} more`] : [];
  return [...all.slice(0, MAX_FINDINGS), ...more].join("; ");
}

function programmed({ diagnostics, progress }: StatusFacts): Verdict {
  const type = "Programmed";
  if (diagnostics.some(finding => finding.severity === "error")) {
    return { type, status: "False", reason: "NotAccepted", message: "The object is not accepted in full." };
  }
  if (progress === undefined) {
    return { type, status: "Unknown", reason: "Pending", message: "The proxies have not been counted." };
  }
  const { live, programmed: done, refused, complete } = progress;
  const counted = `${done} of ${live} proxies`;
  if (refused > 0) {
    const message = `${refused} of ${live} proxies refused it: ${progress.refusal ?? "no reason given"}`;
    return { type, status: "False", reason: "Refused", message };
  }
  if (!complete)
    return { type, status: "Unknown", reason: "ReplicaUnreachable", message: `at least ${counted}` };
  if (done < live) return { type, status: "False", reason: "Progressing", message: counted };
  return { type, status: "True", reason: "Programmed", message: counted };
}

/** One line of bounded length without control characters, whatever an owner or a proxy wrote. */
function plain(message: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is replaced
  const clean = message.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
  return clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE - 1)}…` : clean;
}
