/**
 * TrafficSplits: calls of a root Service are shared among backends. Splits that name requests (`matches`) come before the
 * one that does not; of several about the same requests the oldest counts. A split grants nothing.
 */
import type { Standing } from "../catalog/endpoints";
import { isServed } from "../catalog/endpoints";
import { carriedPorts } from "../catalog/node-groups";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import type { TrafficSplit } from "../model/traffic";
import type { MeshService, ServicePort } from "../model/workload";
import { frontendName, unresolvedClusterName } from "./names";
import { selectProtocol } from "./protocol";
import type { RouteGroup } from "./route-group";
import type { Backend, HttpMatch } from "./types";

/** A split as far as it has effect. */
export interface ActiveSplit {
  readonly ref: ObjectRef;
  /** undefined: all requests (and connections). */
  readonly matches: readonly HttpMatch[] | undefined;
  readonly backends: readonly SplitBackend[];
  /** The split and the groups it refers to. */
  readonly origins: readonly ObjectRef[];
}

/** One share. */
export interface SplitBackend {
  /** Key of the Service. */
  readonly service: string;
  readonly weight: number;
  /** Numbers of its TCP ports; undefined: calls cannot be sent there, their share is answered 500. */
  readonly ports: readonly number[] | undefined;
}

/** What splits refer to. */
export interface SplitFacts {
  readonly service: (key: string) => MeshService | undefined;
  /** undefined: the Service is not of the mesh. */
  readonly standing: (key: string) => Standing | undefined;
  /** HTTPRouteGroup by key. */
  readonly group: (key: string) => RouteGroup | undefined;
}

const NONE: readonly ActiveSplit[] = [];

/** The splits of one root, as given by `oldestFirst`. */
export function readSplits(
  root: string,
  splits: readonly TrafficSplit[],
  facts: SplitFacts,
): Compiled<readonly ActiveSplit[]> {
  if (splits.length === 0) return { value: NONE, diagnostics: [] };
  const wrong = rootFinding(root, facts);
  if (wrong !== undefined) {
    return { value: NONE, diagnostics: splits.map(({ ref }) => ({ ...wrong, subject: ref })) };
  }
  const found: Diagnostic[] = [];
  const active = withoutRivals(splits, found).flatMap(split => readSplit(split, facts, found) ?? []);
  const ordered = [
    ...active.filter(split => split.matches !== undefined),
    ...active.filter(split => split.matches === undefined),
  ];
  found.push(...active.flatMap(split => portFindings(root, split, facts)));
  return { value: ordered, diagnostics: found };
}

function rootFinding(
  root: string,
  { service, standing }: SplitFacts,
): Omit<Diagnostic, "subject"> | undefined {
  const found = service(root);
  const field = "spec.service";
  const severity = "error";
  if (found === undefined) {
    return { severity, code: "UnresolvedReference", field, message: `there is no Service ${root}` };
  }
  if (found.kind === "headless") {
    const message = `Service ${root} has no address of its own (headless): its clients choose a pod, so nothing can be split`;
    return { severity, code: "NoEffect", field, message };
  }
  if (standing(root)?.served === true) return undefined;
  const message = `calls of Service ${root} do not go through the mesh, so nothing is split`;
  return { severity, code: "NoEffect", field, message };
}

/** What is left of each split when older ones have taken their requests. */
function withoutRivals(splits: readonly TrafficSplit[], found: Diagnostic[]): readonly TrafficSplit[] {
  const taken = new Map<string, TrafficSplit>();
  return splits.flatMap((split): TrafficSplit[] => {
    const claims = claimsOf(split);
    const lost = claims.filter(claim => taken.has(claim));
    const winner = taken.get(lost[0] ?? "");
    for (const claim of claims) if (!taken.has(claim)) taken.set(claim, split);
    if (lost.length === 0 || winner === undefined) return [split];
    found.push(conflict(split, winner, lost));
    const left = claims.filter(claim => !lost.includes(claim));
    return left.length === 0 ? [] : [{ ...split, matches: left }];
  });
}

/** What a split speaks of: its groups; the empty word stands for all requests. */
function claimsOf({ matches }: TrafficSplit): readonly string[] {
  return matches.length === 0 ? [""] : matches;
}

function conflict(split: TrafficSplit, winner: TrafficSplit, lost: readonly string[]): Diagnostic {
  const all = lost.length === claimsOf(split).length;
  const what = lost.includes("") ? "Service" : `requests (${lost.join(", ")})`;
  const end = all ? "this one has no effect" : "it decides about those";
  return {
    severity: all ? "error" : "warning",
    code: "Conflicted",
    subject: split.ref,
    field: lost.includes("") ? "spec.service" : "spec.matches",
    message: `TrafficSplit ${winner.ref.name} is older and splits the same ${what}; ${end}`,
  };
}

function readSplit(split: TrafficSplit, facts: SplitFacts, found: Diagnostic[]): ActiveSplit | undefined {
  const groups = split.matches.flatMap(key => {
    const group = facts.group(key);
    if (group === undefined) {
      found.push({
        severity: "error",
        code: "UnresolvedReference",
        subject: split.ref,
        field: "spec.matches",
        message: `there is no HTTPRouteGroup ${key}; no request is taken for it`,
      });
    }
    return group ?? [];
  });
  // Without the groups it names, it must not become a split of all requests.
  if (split.matches.length > 0 && groups.length === 0) return undefined;
  return {
    ref: split.ref,
    matches:
      split.matches.length === 0
        ? undefined
        : groups.flatMap(group => group.matches.map(({ match }) => match)),
    backends: split.backends.map((backend, i) => readBackend(backend, i, { split, facts, found })),
    origins: [split.ref, ...groups.map(group => group.ref)],
  };
}

function readBackend(
  { service: key, weight }: TrafficSplit["backends"][number],
  index: number,
  { split, facts, found }: { split: TrafficSplit; facts: SplitFacts; found: Diagnostic[] },
): SplitBackend {
  const service = facts.service(key);
  const problem = backendProblem(key, service, facts);
  if (problem === undefined && service !== undefined) {
    return { service: key, weight, ports: portsInMesh(key, facts).map(({ port }) => port) };
  }
  found.push({
    severity: "error",
    code: "UnresolvedReference",
    subject: split.ref,
    field: `spec.backends[${index}].service`,
    message: `${problem ?? ""}; its share of the requests is answered 500`,
  });
  return { service: key, weight, ports: undefined };
}

/** Ports of a Service of the mesh at which its calls go through the mesh. */
function portsInMesh(key: string, { service, standing }: SplitFacts): readonly ServicePort[] {
  const found = service(key);
  const known = standing(key);
  if (found === undefined || known === undefined) return [];
  return carriedPorts(found).filter(port => isServed(known, port));
}

function backendProblem(
  key: string,
  service: MeshService | undefined,
  { standing }: SplitFacts,
): string | undefined {
  if (service === undefined) return `there is no Service ${key}`;
  if (service.kind !== "clusterIP") return `Service ${key} has no cluster address`;
  return standing(key)?.served === true ? undefined : `Service ${key} is not served by pods of the mesh`;
}

/** Backends without a port that others have, and what a split of bytes cannot do. */
function portFindings(root: string, split: ActiveSplit, facts: SplitFacts): readonly Diagnostic[] {
  const ports = portsInMesh(root, facts);
  const findings = split.backends.flatMap((backend, i): Diagnostic[] => {
    const has = (port: number): boolean => backend.ports?.includes(port) ?? true;
    const missing = ports.map(({ port }) => port).filter(port => !has(port));
    const all = missing.length === ports.length;
    const told = missing.filter(port => all || sharesOf(split, port) !== undefined);
    if (told.length === 0) return [];
    return [
      {
        severity: all ? "error" : "warning",
        code: "UnresolvedReference",
        subject: split.ref,
        field: `spec.backends[${i}].service`,
        message: `Service ${backend.service} has no port ${told.join(", ")} as Service ${root} has; it gets nothing of what is sent there`,
      },
    ];
  });
  const http = ports.some(port => selectProtocol(port).protocol !== "tcp");
  if (split.matches === undefined || http) return findings;
  return [
    ...findings,
    {
      severity: "warning",
      code: "NoEffect",
      subject: split.ref,
      field: "spec.matches",
      message: `Service ${root} has no HTTP port; bytes cannot be told apart by matches`,
    },
  ];
}

/**
 * Weighted backends at a port of the root. A backend without such a port gets nothing; undefined: none has it, so the
 * split does not speak of that port.
 */
export function sharesOf({ backends }: ActiveSplit, port: number): readonly Backend[] | undefined {
  const speaking = backends.filter(backend => backend.ports?.includes(port) ?? true);
  if (!speaking.some(backend => backend.ports !== undefined)) {
    if (backends.some(backend => backend.ports !== undefined)) return undefined;
  }
  return speaking.map(({ service, weight, ports }): Backend => {
    if (ports !== undefined) return { cluster: frontendName({ service, port }), weight };
    return { cluster: unresolvedClusterName({ service, port }), weight, unresolved: true };
  });
}
