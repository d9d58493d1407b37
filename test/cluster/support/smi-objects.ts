/** Objects of SMI as the tests that act it out apply them, in the versions that its conformance suite and Flagger use. */

const account = (name: string, namespace: string): object => ({ kind: "ServiceAccount", name, namespace });

/** An object's kind and name within its namespace, for a TrafficTarget's rules. */
export interface SmiRule {
  readonly kind: "HTTPRouteGroup" | "TCPRoute";
  readonly name: string;
  readonly matches?: readonly string[];
}

/** What a TrafficTarget says. */
interface TargetTerms {
  readonly destination: string;
  readonly sources: readonly string[];
  readonly rules?: readonly SmiRule[];
  readonly port?: number;
  /** Namespace of its accounts. */
  readonly namespace: string;
}

/** A TrafficTarget v1alpha3. */
export function trafficTarget(name: string, terms: TargetTerms): object {
  const { destination, sources, rules, port, namespace } = terms;
  const spec = {
    destination: { ...account(destination, namespace), ...(port === undefined ? {} : { port }) },
    sources: sources.map(each => account(each, namespace)),
    ...(rules === undefined ? {} : { rules }),
  };
  return { apiVersion: "access.smi-spec.io/v1alpha3", kind: "TrafficTarget", metadata: { name }, spec };
}

/** A TCPRoute v1alpha4; no ports are all ports. */
export function tcpRoute(name: string, ports: readonly number[]): object {
  const spec = { matches: { ports } };
  return { apiVersion: "specs.smi-spec.io/v1alpha4", kind: "TCPRoute", metadata: { name }, spec };
}

/** An HTTPRouteGroup v1alpha4. */
export function routeGroup(name: string, matches: readonly object[]): object {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "HTTPRouteGroup",
    metadata: { name },
    spec: { matches },
  };
}

/** A TrafficSplit; the version is Flagger's unless said. */
export function trafficSplit(
  name: string,
  service: string,
  weights: Readonly<Record<string, number>>,
  version = "v1alpha2",
): object {
  const backends = Object.entries(weights).map(([service, weight]) => ({ service, weight }));
  const apiVersion = `split.smi-spec.io/${version}`;
  return { apiVersion, kind: "TrafficSplit", metadata: { name }, spec: { service, backends } };
}
