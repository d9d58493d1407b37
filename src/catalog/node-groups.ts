import { structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { RESERVED_PORTS } from "../model/mesh-words";
import type { MeshPod, MeshService, ServicePort } from "../model/workload";
import type { Access } from "./access";
import type { Inputs } from "./inputs";
import { labelKey } from "./inputs";
import type { Membership } from "./mesh";
import type { TelemetryKeys } from "./telemetry";

/** A port of a Service. */
export interface Frontend {
  /** Key of the Service. */
  readonly service: string;
  readonly port: number;
  /** The port as it was when it led to the pod last; absent: it leads there. */
  readonly was?: ServicePort;
}

/** A port on which a pod serves through its sidecar. */
export interface ServedPort {
  /** Container port. */
  readonly port: number;
  /** Service ports that lead to it, sorted by Service key and port; at least one. */
  readonly frontends: readonly Frontend[];
}

/**
 * What a client is told of the Services of the mesh, as far as clients differ; shared by all groups that are told the same.
 * Every client is told of every Service, unless scopes are on; servers decide who may call either way.
 */
export interface View {
  readonly kind: "mesh";
  /** The identity that is told only of what it may call; absent: all is told. */
  readonly scope?: ServiceIdentity;
  /** Every pod can be called by its own address; absent: only those that a headless Service picks, at the ports it names. */
  readonly direct?: true;
  /** Keys of the Retries of the client's identity, sorted; absent: it has none. */
  readonly retries?: readonly string[];
  /** Which Telemetries say how calls are logged and traced; absent: the default. */
  readonly telemetry?: TelemetryKeys;
}

/** Map key of a view. */
export function viewKey(view: View): string {
  return JSON.stringify(view);
}

/** All that the configuration of a proxy depends on; pods with equal groups get the same configuration. */
export interface NodeGroup {
  readonly identity: ServiceIdentity;
  /** Sorted by port. */
  readonly served: readonly ServedPort[];
  /** Ports that are not served any more and still answered, see {@link Inputs.lingering}; sorted by port. Absent: none. */
  readonly lingering?: readonly ServedPort[];
  /** The pod has an IPv6 address. */
  readonly ipv6: boolean;
  readonly view: View;
  /** Every identity of the mesh may call. */
  readonly permissive: boolean;
  /** Callers without a sidecar may call as well, as far as `permissive` goes. */
  readonly plaintext: boolean;
  /** Keys of the TrafficTargets whose destination the pod is, sorted; where `permissive` they grant nothing. */
  readonly targets: readonly string[];
  /** The pod's own word on external authorization, see {@link MeshPod.externalAuthorization}. */
  readonly externalAuthorization?: string;
}

/** Groups of pods, by pod key. */
export interface NodeGroups {
  readonly served: Family<string, readonly ServedPort[]>;
  /** What a pod serves, each frontend with what its port is ({@link Frontend.was}); by pod uid. */
  readonly remembered: Family<string, readonly ServedPort[]>;
  /** undefined: there is no such pod, it has no sidecar, or its namespace does not belong to the mesh. */
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

/**
 * Ports of a Service that the mesh carries. Ports of the sidecar itself are not: what the sidecar serves there (metrics)
 * is not behind the inbound listener.
 */
export function carriedPorts(service: MeshService): readonly ServicePort[] {
  return tcpPortsOf(service).filter(
    port => typeof port.targetPort === "string" || !RESERVED_PORTS.includes(port.targetPort),
  );
}

/** Whether a pod has what a Service's selector asks for, whatever their namespaces. */
export function selects(service: MeshService, pod: MeshPod): boolean {
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

/** The number at which a pod takes a Service's port; undefined: the pod has no port of that name. */
export function targetOf(port: ServicePort, pod: MeshPod): number | undefined {
  return typeof port.targetPort === "number" ? port.targetPort : pod.namedPorts[port.targetPort];
}

function servedPorts(read: Read, inputs: Inputs, pod: MeshPod): readonly ServedPort[] {
  const frontends = new Map<number, Frontend[]>();
  for (const [key, service] of servicesOf(read, inputs, pod)) {
    for (const port of [...tcpPortsOf(service)].sort((a, b) => a.port - b.port)) {
      const target = targetOf(port, pod);
      if (target === undefined || pod.excludedPorts?.includes(target) === true) continue;
      frontends.set(target, [...(frontends.get(target) ?? []), { service: key, port: port.port }]);
    }
  }
  return [...frontends]
    .sort(([a], [b]) => a - b)
    .map(([port, leading]): ServedPort => ({ port, frontends: leading }));
}

/** What groups are made of besides the pod itself. */
export interface GroupSources {
  readonly membership: Membership;
  readonly access: Access;
  /** What a pod is told, by its key. */
  readonly viewOf: (pod: string) => Cell<View>;
}

/** Node groups as cells. */
export function createNodeGroups(inputs: Inputs, { membership, access, viewOf }: GroupSources): NodeGroups {
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
  const lingeringPorts = (
    read: Read,
    uid: string,
    now: readonly ServedPort[],
  ): Pick<NodeGroup, "lingering"> => {
    const before = read(inputs.lingering.row(uid)) ?? [];
    const lingering = before.filter(({ port }) => !now.some(ported => ported.port === port));
    return lingering.length === 0 ? {} : { lingering };
  };
  const group = graph.family<string, NodeGroup | undefined>({
    label: "nodeGroup",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(pods.row(key));
      // Labels and containers are anybody's to write; the namespace is what lets a pod in.
      if (pod?.meshed !== true || !read(membership.isMeshed(pod.namespace))) return undefined;
      const { identity, ips, namespace, externalAuthorization } = pod;
      const ports = read(served(key));
      return {
        identity,
        served: ports,
        ...lingeringPorts(read, pod.uid, ports),
        ipv6: ips.some(ip => ip.includes(":")),
        view: read(viewOf(key)),
        permissive: read(access.permissive(namespace)),
        plaintext: read(access.plaintext(namespace)),
        targets: read(access.targets(key)),
        ...(externalAuthorization === undefined ? {} : { externalAuthorization }),
      };
    },
    equals: structurallyEqual,
  });
  const remembered = graph.family<string, readonly ServedPort[]>({
    label: "remembered",
    keyOf: uid => uid,
    compute: (read, uid) => {
      const [key] = read(pods.by("uid", uid));
      return key === undefined ? [] : read(served(key)).map(port => rememberedPort(read, inputs, port));
    },
    equals: structurallyEqual,
  });
  return { served, remembered, group };
}

function rememberedPort(read: Read, { services }: Inputs, { port, frontends }: ServedPort): ServedPort {
  return {
    port,
    frontends: frontends.flatMap((frontend): Frontend[] => {
      const service = read(services.row(frontend.service));
      const was = service && tcpPortsOf(service).find(candidate => candidate.port === frontend.port);
      return was === undefined ? [] : [{ ...frontend, was }];
    }),
  };
}
