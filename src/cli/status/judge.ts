/** What is wrong in a mesh, from what the control plane tells; pure. */
import type { ProxyLine, StatusPage } from "../../runtime/api/pages";
import type { PodFacts, PodsSeen } from "./pods";

/** A proxy with what is wrong with it, in words. */
export interface JudgedProxy extends ProxyLine {
  readonly node?: string;
  readonly problems: readonly string[];
}

/** A mesh with what is wrong in it. */
export interface JudgedStatus extends Omit<StatusPage, "proxies" | "uninjected"> {
  readonly proxies: readonly JudgedProxy[];
  /** Pods without a sidecar, and why; `meant`: that is as their owner says. */
  readonly uninjected: readonly (StatusPage["uninjected"][number] & {
    readonly why: string;
    readonly meant: boolean;
  })[];
  /** Everything that needs somebody's attention, one line each; empty: all is well. */
  readonly problems: readonly string[];
}

/** A change that is under way for so long is told as late; milliseconds. */
const LATE_MS = 10_000;
/** A renewal may be so late without being told: renewals are spread; milliseconds. */
const OVERDUE_MS = 120_000;

/** Time in one or two units: `45s`, `12m`, `3h20m`, `5d`. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d`;
}

/** The version in an image's tag, `1.40.0` of `envoy:v1.40.0`; undefined where the tag is none. */
export function imageVersion(image: string): string | undefined {
  return /:v?(\d+\.\d+\.\d+)(?:[-+@].*)?$/.exec(image)?.[1];
}

function isOutdated({ envoy }: ProxyLine, pod: PodFacts | undefined, wanted: string): boolean {
  if (pod?.image !== undefined) return pod.image !== wanted;
  const version = imageVersion(wanted);
  return envoy !== undefined && version !== undefined && envoy !== version;
}

/** How far a proxy is behind the control plane, in words. */
function lagging(
  { replica, lateSince, renewAt }: ProxyLine,
  { at, complete }: StatusPage,
): readonly string[] {
  if (replica === undefined) return complete ? ["not connected to the control plane"] : [];
  const late = at - (lateSince ?? at);
  const overdue = at - (renewAt ?? at);
  return [
    ...(late > LATE_MS ? [`without its newest configuration for ${spanText(late)}`] : []),
    ...(overdue > OVERDUE_MS ? [`its certificate should have been renewed ${spanText(overdue)} ago`] : []),
  ];
}

function proxyProblems(line: ProxyLine, pod: PodFacts | undefined, page: StatusPage): readonly string[] {
  const wanted = page.mesh.sidecarImage;
  const outdated = line.external !== true && isOutdated(line, pod, wanted);
  const present = pod?.image ?? `Envoy ${line.envoy ?? ""}`;
  return [
    ...lagging(line, page),
    ...(line.refused ?? []).map(text => `refused ${text}`),
    ...(outdated ? [`outdated: ${present}, new sidecars get ${wanted}`] : []),
    ...(pod?.ready === false ? ["its sidecar is not ready"] : []),
  ];
}

function uninjectedOf(page: StatusPage, pods: PodsSeen): JudgedStatus["uninjected"] {
  return page.uninjected.map(line => {
    const meant = pods.get(line.pod)?.outside;
    return {
      ...line,
      why: meant ?? "made before its namespace was injected, or without a label: restart it",
      meant: meant !== undefined,
    };
  });
}

function replicaProblems({ replicas, complete, mesh }: StatusPage): readonly string[] {
  const versions = new Set([mesh.version, ...replicas.flatMap(({ version }) => version ?? [])]);
  return [
    ...(replicas.length === 0 ? ["no pod of the control plane serves proxies"] : []),
    ...replicas.filter(({ ready }) => !ready).map(({ name }) => `control plane: ${name} is not ready`),
    ...replicas
      .filter(({ ready, known }) => ready && !known)
      .map(({ name }) => `control plane: ${name} cannot be asked for its proxies`),
    ...(complete || replicas.length === 0 ? [] : ["it is not known which proxies are away"]),
    ...(versions.size > 1 ? [`control plane: versions ${[...versions].sort().join(" and ")} at once`] : []),
  ];
}

function objectProblems({ objects }: StatusPage): readonly string[] {
  return objects.flatMap(({ kind, object, affected = 0, programmed = 0, behind = [], refusal, findings }) => {
    const subject = `${kind} ${object}`;
    const errors = findings.filter(({ severity }) => severity === "error");
    if (refusal !== undefined) return [`${subject}: ${refusal}`];
    if (errors.length > 0) return errors.map(({ message }) => `${subject}: ${message}`);
    if (programmed >= affected) return [];
    return [`${subject}: in force on ${programmed} of ${affected} proxies; waiting for ${behind.join(", ")}`];
  });
}

/** Names everything that is wrong, and why. */
export function judge(page: StatusPage, pods: PodsSeen): JudgedStatus {
  const proxies = page.proxies.map((line): JudgedProxy => {
    const pod = pods.get(line.pod);
    const node = pod?.node === undefined ? {} : { node: pod.node };
    return { ...line, ...node, problems: proxyProblems(line, pod, page) };
  });
  const uninjected = uninjectedOf(page, pods);
  return {
    ...page,
    proxies,
    uninjected,
    problems: [
      ...replicaProblems(page),
      ...proxies.flatMap(({ pod, problems }) => problems.map(problem => `${pod}: ${problem}`)),
      ...uninjected.filter(({ meant }) => !meant).map(({ pod, why }) => `${pod}: no sidecar (${why})`),
      ...objectProblems(page),
      ...Object.entries(page.roots?.errors ?? {}).map(
        ([name, error]) => `MeshRootCertificate ${name}: ${error}`,
      ),
    ],
  };
}
