import { structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import type { MeshPod, MeshService, ServicePort } from "../model/workload";
import type { Inputs } from "./inputs";
import { labelKey } from "./inputs";
import type { Membership } from "./mesh";

/** A port of a Service. */
export interface Frontend {
  /** Key of the Service. */
  readonly service: string;
  readonly port: number;
}

/** A port on which a pod serves. */
export interface ServedPort {
  /** Container port. */
  readonly port: number;
  /** Service ports that lead to it, sorted by Service key and port; at least one. */
  readonly frontends: readonly Frontend[];
}

/** What a client may see: an interned value, shared by all groups that see the same. */
export type View = { readonly kind: "everything" } | { readonly kind: "nothing" };

/** All that the configuration of a proxy depends on; pods with equal groups get the same configuration. */
export interface NodeGroup {
  readonly identity: ServiceIdentity;
  /** Sorted by port. */
  readonly served: readonly ServedPort[];
  /** The pod has an IPv6 address. */
  readonly ipv6: boolean;
  readonly view: View;
}

/** Groups of pods, by pod key. */
export interface NodeGroups {
  readonly served: Family<string, readonly ServedPort[]>;
  /** undefined: there is no such pod, or it has no sidecar. */
  readonly group: Family<string, NodeGroup | undefined>;
}

const keys = new WeakMap<NodeGroup, string>();

/**
 * Map key of a group. Its parts are built in one order, so equal groups print equally. Printed once per object: groups
 * are never changed, and every cell of a group asks for its key.
 */
export function nodeGroupKey(group: NodeGroup): string {
  const known = keys.get(group);
  if (known !== undefined) return known;
  const key = JSON.stringify(group);
  keys.set(group, key);
  return key;
}

/** TCP ports of a Service; where a number occurs twice the first counts. */
export function tcpPortsOf(service: MeshService): readonly ServicePort[] {
  const ports = service.ports.filter(port => port.transport === "TCP");
  return ports.filter((port, i) => ports.findIndex(other => other.port === port.port) === i);
}

function selects(service: MeshService, pod: MeshPod): boolean {
  return Object.entries(service.selector ?? {}).every(([label, value]) => pod.labels[label] === value);
}

/** Services of the pod's namespace that select it, in the order of their keys. */
function servicesOf(read: Read, { services }: Inputs, pod: MeshPod): readonly [string, MeshService][] {
  const found = new Set<string>();
  for (const [label, value] of Object.entries(pod.labels)) {
    for (const key of read(services.by("selector", labelKey(pod.namespace, label, value)))) found.add(key);
  }
  return [...found].sort().flatMap(key => {
    const service = read(services.row(key));
    return service !== undefined && selects(service, pod) ? [[key, service] as [string, MeshService]] : [];
  });
}

function targetOf(port: ServicePort, pod: MeshPod): number | undefined {
  return typeof port.targetPort === "number" ? port.targetPort : pod.namedPorts[port.targetPort];
}

function servedPorts(read: Read, inputs: Inputs, pod: MeshPod): readonly ServedPort[] {
  const frontends = new Map<number, Frontend[]>();
  for (const [key, service] of servicesOf(read, inputs, pod)) {
    for (const port of [...tcpPortsOf(service)].sort((a, b) => a.port - b.port)) {
      const target = targetOf(port, pod);
      if (target === undefined) continue;
      frontends.set(target, [...(frontends.get(target) ?? []), { service: key, port: port.port }]);
    }
  }
  return [...frontends]
    .sort(([a], [b]) => a - b)
    .map(([port, leading]): ServedPort => ({ port, frontends: leading }));
}

/** Node groups as cells; `viewOf` says what an identity may see. */
export function createNodeGroups(
  inputs: Inputs,
  membership: Membership,
  viewOf: (identity: ServiceIdentity) => Cell<View>,
): NodeGroups {
  const { graph, pods } = inputs;
  const served = graph.family<string, readonly ServedPort[]>({
    label: "served",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(pods.row(key));
      if (pod === undefined || !read(membership.isMeshed(pod.namespace))) return [];
      return servedPorts(read, inputs, pod);
    },
    equals: structurallyEqual,
  });
  const group = graph.family<string, NodeGroup | undefined>({
    label: "nodeGroup",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(pods.row(key));
      if (pod?.meshed !== true) return undefined;
      const { identity, ips } = pod;
      const ipv6 = ips.some(ip => ip.includes(":"));
      return { identity, served: read(served(key)), ipv6, view: read(viewOf(identity)) };
    },
    equals: structurallyEqual,
  });
  return { served, group };
}
