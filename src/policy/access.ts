/**
 * Who may call what: TrafficTargets as grants, and grants as the permission of a served port. Grants add up; where there is
 * none, nobody may call.
 */
import type { Subjects } from "../catalog/access";
import type { ServedPort } from "../catalog/node-groups";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import { identityKey } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import { objectRefKey } from "../model/object-ref";
import type { TargetRule, TcpRoute, TrafficTarget } from "../model/traffic";
import { ANY_REQUEST } from "./matching";
import type { RouteGroup } from "./route-group";
import type { AppProtocol, Grant, Permission } from "./types";

/** What one TrafficTarget grants, whatever the pod. */
export interface TargetGrants {
  readonly ref: ObjectRef;
  /** Only this port, see {@link TrafficTarget}. */
  readonly port: number | undefined;
  readonly grants: readonly PortGrant[];
}

/** A grant and where it counts. */
export interface PortGrant {
  /** `http`: ports that speak HTTP. `tcp`: every port, for all that is sent there. */
  readonly kind: "http" | "tcp";
  /** Container ports; empty: all. */
  readonly ports: readonly number[];
  readonly grant: Grant;
  /** Field of the rule. */
  readonly field: string;
}

/** What a TrafficTarget refers to. */
export interface TargetFacts {
  readonly sources: Subjects;
  /** HTTPRouteGroup by key. */
  readonly group: (key: string) => RouteGroup | undefined;
  /** TCPRoute by key. */
  readonly route: (key: string) => TcpRoute | undefined;
}

interface Context {
  readonly target: TrafficTarget;
  readonly facts: TargetFacts;
  readonly found: Diagnostic[];
}

/** Reads a TrafficTarget. What it refers to and is not there grants nothing, and its owner is told. */
export function readTarget(target: TrafficTarget, facts: TargetFacts): Compiled<TargetGrants> {
  const context: Context = { target, facts, found: [] };
  const granted = target.rules.flatMap(grantsOf(context));
  const grants = facts.sources.identities.length === 0 ? [] : granted;
  tellSubjects(context);
  if (target.rules.length === 0) {
    tell(context, {
      code: "NoEffect",
      field: "spec.rules",
      message: "it has no rules, so it lets nothing through",
    });
  }
  return { value: { ref: target.ref, port: target.port, grants }, diagnostics: context.found };
}

/** A warning unless it says otherwise. */
function tell(
  { target, found }: Context,
  finding: Omit<Diagnostic, "subject" | "severity"> & Partial<Pick<Diagnostic, "severity">>,
): void {
  found.push({ severity: "warning", ...finding, subject: target.ref });
}

function tellSubjects(context: Context): void {
  const { sources } = context.facts;
  for (const binding of sources.missing) {
    tell(context, {
      severity: "error",
      code: "UnresolvedReference",
      field: "spec.sources",
      message: `there is no IdentityBinding ${binding}; it stands for nobody`,
    });
  }
  if (sources.wider) {
    tell(context, {
      code: "WiderThanLabels",
      field: "spec.sources",
      message:
        "callers are known by their service account: other pods of the selected pods' accounts may call as well",
    });
  }
  if (sources.identities.length === 0 && sources.missing.length === 0) {
    tell(context, {
      code: "NoEffect",
      field: "spec.sources",
      message: "it names no caller, so it lets nobody in",
    });
  }
}

function grantsOf(context: Context): (rule: TargetRule, index: number) => readonly PortGrant[] {
  const { target, facts } = context;
  return (rule, index) => {
    const name = `${target.ref.namespace}/${target.ref.name}#${index}`;
    switch (rule.kind) {
      case "http":
        return httpGrants(context, rule, name);
      case "tcp": {
        const route = facts.route(rule.route);
        if (route === undefined) return unresolved(context, rule.field, `TCPRoute ${rule.route}`);
        const grant = grantOf(context, name, ANY_REQUEST, route.ref);
        return [{ kind: "tcp", ports: route.ports, grant, field: rule.field }];
      }
      case "udp":
        tell(context, {
          code: "NoEffect",
          field: rule.field,
          message: "the mesh carries no UDP; a UDPRoute grants nothing",
        });
        return [];
    }
  };
}

function unresolved(context: Context, field: string, what: string): readonly PortGrant[] {
  tell(context, {
    severity: "error",
    code: "UnresolvedReference",
    field,
    message: `there is no ${what}; the rule grants nothing`,
  });
  return [];
}

function grantOf(
  { target, facts }: Context,
  name: string,
  match: Grant["matches"][number],
  route: ObjectRef,
): Grant {
  return {
    name,
    identities: facts.sources.identities,
    matches: [match],
    origins: [target.ref, route],
  };
}

function httpGrants(
  context: Context,
  rule: Extract<TargetRule, { kind: "http" }>,
  name: string,
): readonly PortGrant[] {
  const group = context.facts.group(rule.group);
  if (group === undefined) return unresolved(context, rule.field, `HTTPRouteGroup ${rule.group}`);
  for (const wanted of rule.matches ?? []) {
    if (group.matches.some(match => match.name === wanted)) continue;
    unresolved(context, `${rule.field}.matches`, `match "${wanted}" in HTTPRouteGroup ${rule.group}`);
  }
  const wanted = group.matches.filter(match => rule.matches?.includes(match.name) ?? true);
  return wanted.map(({ name: matchName, match }, i): PortGrant => {
    // Names of matches need not be unique; those of grants must.
    const twin = wanted.slice(0, i).filter(other => other.name === matchName).length;
    const unique = `${name}/${matchName}${twin === 0 ? "" : `~${twin}`}`;
    return { kind: "http", ports: [], grant: grantOf(context, unique, match, group.ref), field: rule.field };
  });
}

/** What a port lets through. */
export interface PortAccess {
  readonly permission: Permission;
  /** Grants that count at the port, of every protocol. */
  readonly grants: readonly Grant[];
}

/** Whether a TrafficTarget speaks of a port: by its container port, or by a Service port that leads to it. */
export function speaksOf(target: Pick<TargetGrants, "port">, served: ServedPort): boolean {
  const { port } = target;
  return (
    port === undefined || port === served.port || served.frontends.some(frontend => frontend.port === port)
  );
}

/** Whether a grant counts at a port. HTTP requests cannot be told apart on a port that is carried as bytes. */
export function countsAt(grant: PortGrant, port: number, protocol: AppProtocol): boolean {
  if (grant.kind === "http") return protocol !== "tcp";
  return grant.ports.length === 0 || grant.ports.includes(port);
}

/** The permission of a served port that some TrafficTargets speak of. */
export function portAccess(
  served: ServedPort,
  protocol: AppProtocol,
  targets: readonly TargetGrants[],
): PortAccess {
  const grants = targets
    .filter(target => speaksOf(target, served))
    .flatMap(target => target.grants)
    .filter(grant => countsAt(grant, served.port, protocol))
    .map(({ grant }) => grant);
  if (protocol !== "tcp") return { permission: { kind: "grants", grants }, grants };
  const identities = new Map(
    grants.flatMap(grant => grant.identities.map(identity => [identityKey(identity), identity] as const)),
  );
  const sorted = [...identities.keys()].sort().flatMap(key => identities.get(key) ?? []);
  return { permission: { kind: "allow", identities: sorted }, grants };
}

/** The objects of some grants, each once. */
export function grantOrigins(grants: readonly Grant[]): readonly ObjectRef[] {
  const refs = new Map(grants.flatMap(grant => grant.origins.map(ref => [objectRefKey(ref), ref] as const)));
  return [...refs.keys()].sort().flatMap(key => refs.get(key) ?? []);
}
