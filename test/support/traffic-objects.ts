/** SMI objects as the API server would deliver them, short to write. */
import type { TestObject } from "./objects";

/** `namespace/account`, or whatever a subject may be. */
export type SubjectSpec = string | Readonly<Record<string, unknown>>;

function subject(spec: SubjectSpec): Readonly<Record<string, unknown>> {
  if (typeof spec !== "string") return spec;
  const [namespace, name] = spec.split("/");
  return { kind: "ServiceAccount", namespace, name };
}

/** A rule, `Kind/name` or with the names of matches. */
export type RuleSpec = string | { readonly group: string; readonly matches: readonly string[] };

function rule(spec: RuleSpec): Readonly<Record<string, unknown>> {
  if (typeof spec !== "string") return { kind: "HTTPRouteGroup", name: spec.group, matches: spec.matches };
  const [kind, name] = spec.split("/");
  return { kind, name };
}

/** A TrafficTarget of the destination's namespace. */
export function trafficTarget(spec: {
  readonly name: string;
  readonly to: SubjectSpec;
  readonly from: readonly SubjectSpec[];
  readonly rules: readonly RuleSpec[];
  readonly port?: number;
  /** Default: that of the destination. */
  readonly namespace?: string;
}): TestObject {
  const destination = subject(spec.to);
  return {
    apiVersion: "access.smi-spec.io/v1alpha3",
    kind: "TrafficTarget",
    metadata: { name: spec.name, namespace: spec.namespace ?? String(destination["namespace"]) },
    spec: {
      destination: spec.port === undefined ? destination : { ...destination, port: spec.port },
      sources: spec.from.map(subject),
      rules: spec.rules.map(rule),
    },
  };
}

/** An HTTPRouteGroup. */
export function routeGroup(
  namespace: string,
  name: string,
  matches: readonly Readonly<Record<string, unknown>>[],
): TestObject {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "HTTPRouteGroup",
    metadata: { name, namespace },
    spec: { matches },
  };
}

/** A TCPRoute; without ports it means all. */
export function tcpRoute(namespace: string, name: string, ...ports: readonly number[]): TestObject {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "TCPRoute",
    metadata: { name, namespace },
    spec: { matches: { name: "ports", ports } },
  };
}

/** An IdentityBinding of pods by label. */
export function identityBinding(
  namespace: string,
  name: string,
  matchLabels: Readonly<Record<string, string>>,
): TestObject {
  return {
    apiVersion: "access.smi-spec.io/v1alpha4",
    kind: "IdentityBinding",
    metadata: { name, namespace },
    spec: { schemes: { podLabelSelector: { matchLabels } } },
  };
}

/** A TrafficSplit. */
export function trafficSplit(spec: {
  readonly namespace: string;
  readonly name: string;
  readonly root: string;
  readonly shares: Readonly<Record<string, number>>;
  /** Names of HTTPRouteGroups. */
  readonly matches?: readonly string[];
  /** Default: never stored, which is the oldest there is. */
  readonly created?: string;
}): TestObject {
  return {
    apiVersion: "split.smi-spec.io/v1alpha4",
    kind: "TrafficSplit",
    metadata: {
      name: spec.name,
      namespace: spec.namespace,
      ...(spec.created === undefined ? {} : { creationTimestamp: spec.created }),
    },
    spec: {
      service: spec.root,
      backends: Object.entries(spec.shares).map(([service, weight]) => ({ service, weight })),
      ...(spec.matches === undefined
        ? {}
        : { matches: spec.matches.map(name => ({ kind: "HTTPRouteGroup", name })) }),
    },
  };
}

/** MeshConfig fields of a mesh in which nothing is allowed that no policy allows. */
export const DENY = { traffic: { enablePermissiveTrafficPolicyMode: false } };
