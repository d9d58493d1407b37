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
  /** Live proxies whose configuration the object shapes, whether they are connected or not: the others do not count. */
  readonly affected: number;
  /** Those that acknowledged exactly what the object, in its present generation, makes of it. */
  readonly programmed: number;
  /** Those that refused something that comes from the object. */
  readonly refused: number;
  /** Which of them, what, and its words. */
  readonly refusal?: string;
  /** Some of those that are waited for, by name. */
  readonly behind: readonly string[];
  /** False while a replica has not read the present generation: its proxies have acknowledged something older. */
  readonly compiled: boolean;
  /** False when a replica cannot be asked: the sum is not known, never "done". */
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
  /** Fields of the status besides conditions; they are written as they are. */
  readonly fields?: object;
  /** `Programmed` stays as it is written, whatever the counts say now. Default false. */
  readonly keepProgrammed?: boolean;
}

/** Longest message; status is for reading, and all objects of a mesh share one store. */
const MAX_MESSAGE = 4_096;
/** Findings spelled out in one message. */
const MAX_FINDINGS = 20;

type Verdict = Pick<Condition, "type" | "status" | "reason" | "message">;

/**
 * The conditions an object should have: `Accepted`, `ResolvedRefs`, `Conflicted` and `Programmed`, then those of other
 * owners as they are. What a finding is about follows from its code.
 */
export function conditionsOf(facts: StatusFacts): readonly Condition[] {
  const { diagnostics } = facts;
  const verdicts = [
    accepted(diagnostics),
    resolvedRefs(diagnostics),
    conflicted(diagnostics),
    programmed(facts),
  ];
  const ours = verdicts.map(verdict => keptFrom(facts, verdict) ?? dated(verdict, facts));
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

function keptFrom({ keepProgrammed, existing }: StatusFacts, { type }: Verdict): Condition | undefined {
  return keepProgrammed === true && type === "Programmed"
    ? existing.find(own => own.type === type)
    : undefined;
}

/**
 * Whether `Programmed` would fall back, for the same generation, only because proxies or replicas come and go. Such a
 * relapse is worth writing when it lasts.
 */
export function isRelapse(facts: StatusFacts): boolean {
  const before = facts.existing.find(({ type }) => type === "Programmed");
  if (before?.status !== "True" || before.observedGeneration !== facts.generation) return false;
  const { status, reason } = programmed(facts);
  return (
    status !== "True" && (reason === "Progressing" || reason === "ReplicaUnreachable" || reason === "Pending")
  );
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

/** The condition that a finding belongs to. */
function topicOf({ code }: Diagnostic): "references" | "conflicts" | "fields" {
  if (code.startsWith("UnresolvedReference")) return "references";
  return code.startsWith("Conflict") ? "conflicts" : "fields";
}

function accepted(diagnostics: readonly Diagnostic[]): Verdict {
  const about = diagnostics.filter(finding => topicOf(finding) === "fields");
  const errors = about.filter(finding => finding.severity === "error");
  const warnings = about.filter(finding => finding.severity === "warning");
  const type = "Accepted";
  if (errors.length > 0) {
    return { type, status: "False", reason: reasonOf(errors), message: sentences([...errors, ...warnings]) };
  }
  if (warnings.length > 0) {
    return { type, status: "True", reason: "AcceptedWithWarnings", message: sentences(warnings) };
  }
  return { type, status: "True", reason: "Accepted", message: "All fields are understood." };
}

function resolvedRefs(diagnostics: readonly Diagnostic[]): Verdict {
  const found = diagnostics.filter(finding => topicOf(finding) === "references");
  const type = "ResolvedRefs";
  if (found.length === 0)
    return { type, status: "True", reason: "ResolvedRefs", message: "All references lead somewhere." };
  return { type, status: "False", reason: reasonOf(found), message: sentences(found) };
}

function conflicted(diagnostics: readonly Diagnostic[]): Verdict {
  const found = diagnostics.filter(finding => topicOf(finding) === "conflicts");
  const type = "Conflicted";
  if (found.length === 0) {
    return { type, status: "False", reason: "NoConflicts", message: "No other object contradicts it." };
  }
  return { type, status: "True", reason: reasonOf(found), message: sentences(found) };
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
  const counted = progress === undefined ? undefined : counts(progress);
  if (counted?.reason === "RefusedByProxy") return { type, ...counted };
  const errors = diagnostics.filter(finding => finding.severity === "error");
  if (errors.length > 0) return { type, ...inPart(errors, progress) };
  if (counted === undefined) {
    return { type, status: "Unknown", reason: "Pending", message: "The proxies have not been counted." };
  }
  return { type, ...counted };
}

/** An object with errors is never in force as written, wherever the rest of it is. */
function inPart(errors: readonly Diagnostic[], progress: ProxyProgress | undefined): Omit<Verdict, "type"> {
  const topics = new Set(errors.map(topicOf));
  const reason = topics.has("fields")
    ? "NotAccepted"
    : topics.has("conflicts")
      ? "Conflicted"
      : "UnresolvedRefs";
  const affected = progress?.affected ?? 0;
  const rest = affected === 0 ? "" : `; the rest of it is on ${ratio(progress)}`;
  return { status: "False", reason, message: `Not in force as written${rest}.` };
}

const ratio = (progress: ProxyProgress | undefined): string =>
  `${progress?.programmed ?? 0} of ${progress?.affected ?? 0} affected proxies`;

/** What the counts alone say. */
function counts(progress: ProxyProgress): Omit<Verdict, "type"> {
  const { affected, programmed: done, refused, complete, compiled } = progress;
  if (refused > 0) {
    const message = `${refused} of ${affected} affected proxies refused it: ${progress.refusal ?? "no reason given"}`;
    return { status: "False", reason: "RefusedByProxy", message };
  }
  if (!complete) {
    const message = `at least ${ratio(progress)}; a replica of the control plane cannot be asked`;
    return { status: "Unknown", reason: "ReplicaUnreachable", message };
  }
  if (!compiled) {
    return {
      status: "False",
      reason: "Progressing",
      message: "not yet read by every replica of the control plane",
    };
  }
  if (done < affected) {
    return { status: "False", reason: "Progressing", message: `${ratio(progress)}${waitingFor(progress)}` };
  }
  if (affected === 0) return { status: "True", reason: "AffectsNoProxy", message: "It affects no proxy." };
  return { status: "True", reason: "Programmed", message: ratio(progress) };
}

function waitingFor({ affected, programmed: done, behind }: ProxyProgress): string {
  if (behind.length === 0) return "";
  const more = affected - done - behind.length;
  return `; waiting for ${behind.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** One line of bounded length without control characters, whatever an owner or a proxy wrote. */
function plain(message: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is replaced
  const clean = message.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
  return clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE - 1)}…` : clean;
}
