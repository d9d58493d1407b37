/**
 * Telemetries: how the proxies of a pod log and trace. For logs and for traces what is nearest to the pod counts, each for itself: one
 * that selects its labels, then one of its whole namespace, then one of the whole mesh; of several as near the oldest.
 */
import { saysSomething, speaksOfPart, TELEMETRY_PARTS, type TelemetryPart } from "../catalog/telemetry";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import type { ExtensionService, Telemetry } from "../model/traffic";
import { extensionClusterName } from "./names";
import type { AccessLog, ExternalClusterLeaf, Tracing } from "./types";

/** The cluster of an ExtensionService that is spoken to by gRPC. */
export function extensionCluster(
  { ref, host, port, connectTimeoutMs }: ExtensionService,
  by: readonly ObjectRef[],
): ExternalClusterLeaf {
  return {
    kind: "external-cluster",
    name: extensionClusterName(`${ref.namespace}/${ref.name}`),
    origins: [...by, ref],
    address: host,
    port,
    http2: true,
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
  };
}

/** How a Telemetry says that proxies log and trace. */
export interface Logging {
  /** Share of the traces that are begun, in percent; absent: as MeshConfig says. */
  readonly samplingPercentage?: number | undefined;
  /** Absent: the default. */
  readonly accessLog?: AccessLog;
  /** The collector that it names, if there is one. */
  readonly cluster: ExternalClusterLeaf | undefined;
  readonly origins: readonly ObjectRef[];
}

/** Tracing as MeshConfig has it, with the share that a Telemetry asks for. */
export function tracedAs(tracing: Tracing | undefined, logging: Logging | undefined): Tracing | undefined {
  const samplingPercentage = logging?.samplingPercentage;
  return tracing === undefined || samplingPercentage === undefined
    ? tracing
    : { ...tracing, samplingPercentage };
}

/** What one Telemetry says of logs and another, or the same, of traces; undefined: nobody says anything. */
export function joined(logs: Logging | undefined, traces: Logging | undefined): Logging | undefined {
  if (traces === undefined) return logs && { ...logs, samplingPercentage: undefined };
  const { samplingPercentage, origins } = traces;
  if (logs === undefined) return { samplingPercentage, cluster: undefined, origins: origins.slice(0, 1) };
  // Traces need no ExtensionService: of that Telemetry only itself.
  return { ...logs, samplingPercentage, origins: [...new Set([...logs.origins, ...origins.slice(0, 1)])] };
}

function given({
  samplingPercentage,
}: Pick<Telemetry, "samplingPercentage">): Pick<Logging, "samplingPercentage"> {
  return samplingPercentage === undefined ? {} : { samplingPercentage };
}

/** What is written, and of which requests. */
function linesOf(written: Telemetry["accessLog"]): AccessLog {
  const { format, onlyFailures = false } = written ?? {};
  return { ...(format === undefined ? {} : { format }), ...(onlyFailures ? { onlyFailures } : {}) };
}

/** Reads a Telemetry that says something. A collector that is not there costs only what would be sent to it. */
export function readTelemetry(
  { ref, accessLog, samplingPercentage }: Telemetry,
  service: (key: string) => ExtensionService | undefined,
): Compiled<Logging> {
  const { openTelemetry } = accessLog ?? {};
  const local = linesOf(accessLog);
  const share = given({ samplingPercentage });
  const alone: Logging = { ...share, accessLog: local, cluster: undefined, origins: [ref] };
  if (openTelemetry === undefined) return { value: alone, diagnostics: [] };
  const found = service(openTelemetry.service);
  const problem = problemOf(openTelemetry.service, found);
  if (found === undefined || problem !== undefined) {
    const field = "spec.accessLog.openTelemetry.extensionService";
    const message = `${problem?.message ?? ""}; logs are written to standard output only`;
    return {
      value: alone,
      diagnostics: [
        { severity: "error", code: problem?.code ?? "UnresolvedReference", subject: ref, field, message },
      ],
    };
  }
  const cluster = extensionCluster(found, [ref]);
  const { attributes } = openTelemetry;
  return {
    value: {
      ...share,
      accessLog: { ...local, openTelemetry: { cluster: cluster.name, attributes } },
      cluster,
      origins: [ref, found.ref],
    },
    diagnostics: [],
  };
}

function problemOf(
  key: string,
  service: ExtensionService | undefined,
): Pick<Diagnostic, "code" | "message"> | undefined {
  if (service === undefined)
    return { code: "UnresolvedReference", message: `there is no ExtensionService ${key}` };
  if (service.http2) return undefined;
  return {
    code: "InvalidField",
    message: `ExtensionService ${key} speaks http1, and log records are sent by gRPC`,
  };
}

/** What a Telemetry's pods are told in the end. */
export interface TelemetryFacts {
  /** Live pods that it speaks of, each with the Telemetry that counts for it, by part. */
  readonly pods: readonly Readonly<Partial<Record<TelemetryPart, Telemetry>>>[];
  /** Something nearer to a pod is no rival. */
  readonly isRival: (winner: Telemetry) => boolean;
}

const PART_WORDS: Readonly<Record<TelemetryPart, string>> = { logs: "access logs", traces: "traces" };

/** What becomes of one part of a Telemetry. */
interface Outcome {
  readonly part: TelemetryPart;
  /** It counts for pods. */
  readonly own: boolean;
  /** Rivals that count in its place, one for each pod. */
  readonly lost: readonly Telemetry[];
}

function outcomeOf(ref: ObjectRef, part: TelemetryPart, { pods, isRival }: TelemetryFacts): Outcome {
  const winners = pods.flatMap(pod => pod[part] ?? []);
  return {
    part,
    own: winners.some(winner => isSame(winner.ref, ref)),
    lost: winners.filter(winner => !isSame(winner.ref, ref) && isRival(winner)),
  };
}

function rivalryWords(winner: Telemetry, outcomes: readonly Outcome[]): string {
  const older = `Telemetry ${winner.ref.name} is older and speaks of the same pods`;
  if (!outcomes.some(({ own }) => own)) return `${older}; this one has no effect`;
  const lost = outcomes.flatMap(({ part, lost: rivals }) =>
    rivals.length === 0 ? [] : [`the ${PART_WORDS[part]} of ${rivals.length} of its pods`],
  );
  return `${older}; it counts for ${lost.join(" and ")}`;
}

/** What the owner of a Telemetry should know about its effect. */
export function telemetryFindings(telemetry: Telemetry, facts: TelemetryFacts): readonly Diagnostic[] {
  const { ref } = telemetry;
  const tell = (severity: Diagnostic["severity"], code: string, message: string): readonly Diagnostic[] => [
    { severity, code, subject: ref, field: "spec.selector", message },
  ];
  if (!saysSomething(telemetry)) {
    return [
      {
        severity: "warning",
        code: "NoEffect",
        subject: ref,
        field: "spec",
        message: "nothing is said of access logs or tracing, so it has no effect",
      },
    ];
  }
  if (facts.pods.length === 0) return tell("warning", "NoEffect", "no pod of the mesh is meant");
  const outcomes = TELEMETRY_PARTS.filter(part => speaksOfPart(telemetry, part)).map(part =>
    outcomeOf(ref, part, facts),
  );
  const own = outcomes.some(outcome => outcome.own);
  const winner = outcomes.flatMap(({ lost }) => lost)[0];
  if (winner !== undefined)
    return tell(own ? "warning" : "error", "Conflicted", rivalryWords(winner, outcomes));
  return own ? [] : tell("warning", "NoEffect", "other Telemetries are nearer to each of its pods");
}

function isSame(a: ObjectRef, b: ObjectRef): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}
