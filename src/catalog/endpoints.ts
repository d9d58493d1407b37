import { sameElements, structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { Party } from "../model/owner";
import type { MeshEndpointSlice, MeshPod, SliceEndpoint } from "../model/workload";
import type { ObjectRef } from "../model/object-ref";
import type { Inputs } from "./inputs";
import { selects, targetOf, tcpPortsOf } from "./node-groups";

/** An address of a Service behind which our sidecar stands. */
export interface MeshEndpoint {
  readonly address: string;
  readonly ready: boolean;
  readonly zone: string | undefined;
  readonly identity: ServiceIdentity;
  /** The pod and what runs it. */
  readonly party: Party;
  /** TCP ports by Service port name, as resolved for this endpoint; without those that its sidecar is passed by at. */
  readonly ports: Readonly<Record<string, number>>;
  /** Names of Service ports at which its sidecar is passed by; absent: none. */
  readonly excluded?: readonly string[];
  /** The object that says so, where it is not the Service's slices. */
  readonly origin?: ObjectRef;
}

/** Who stands behind a Service. */
export interface Backing {
  readonly endpoints: readonly MeshEndpoint[];
  /** Some ready endpoint is a pod without our sidecar. */
  readonly readyOutsideMesh: boolean;
}

/** What a Service is to the mesh, without the addresses behind it. */
export interface Standing {
  /**
   * Calls to the Service's address go through the mesh. Not so while only pods without sidecar are ready: the Service
   * is then left alone, so that a namespace that joins keeps working during the restart of its pods.
   */
  readonly served: boolean;
  /**
   * Names of its ports that are left alone all the same, sorted: some pod's sidecar is passed by there, and no ready pod's
   * is not (of a headless Service, whose clients choose the pod: no pod's is not). Absent: none.
   */
  readonly excluded?: readonly string[];
  /** Identities of the pods with sidecar behind it, ready or not, sorted; so a rollout does not change them. */
  readonly identities: readonly ServiceIdentity[];
}

/** Whether calls of a port of the Service's address go through the mesh. */
export function isServed(standing: Standing, port: { readonly name: string }): boolean {
  return standing.served && standing.excluded?.includes(port.name) !== true;
}

/** Backing and standing of Services, by Service key. */
export interface EndpointCatalog {
  readonly backing: Family<string, Backing>;
  readonly standing: Family<string, Standing>;
  /** All addresses behind a Service, with or without a sidecar, ready or not, sorted. */
  readonly addresses: Family<string, readonly string[]>;
}

/** The pod an endpoint names, if it is the one whose address the endpoint gives. */
function podOf(
  read: Read,
  { pods }: Inputs,
  slice: MeshEndpointSlice,
  endpoint: SliceEndpoint,
): MeshPod | undefined {
  if (endpoint.podUid === undefined) return undefined;
  const candidates = read(pods.by("uid", endpoint.podUid)).map(key => read(pods.row(key)));
  return candidates.find(pod => pod?.namespace === slice.namespace && pod.ips.includes(endpoint.address));
}

function tcpPorts(slice: MeshEndpointSlice): Readonly<Record<string, number>> {
  const tcp = slice.ports.filter(port => port.transport === "TCP");
  return Object.fromEntries(tcp.map(port => [port.name, port.port] as const));
}

/** An endpoint's ports, those apart at which the pod's sidecar is passed by. */
function portsAt(
  all: Readonly<Record<string, number>>,
  { excludedPorts }: MeshPod,
): Pick<MeshEndpoint, "ports" | "excluded"> {
  if (excludedPorts === undefined) return { ports: all };
  const entries = Object.entries(all);
  const excluded = entries.filter(([, port]) => excludedPorts.includes(port)).map(([name]) => name);
  if (excluded.length === 0) return { ports: all };
  const ports = Object.fromEntries(entries.filter(([name]) => !excluded.includes(name)));
  return { ports, excluded: excluded.sort() };
}

/** A pod as its callers count it. */
export function partyOf({ namespace, name, workload }: MeshPod): Party {
  return { namespace, ...workload, pod: name };
}

function byAddress(a: MeshEndpoint, b: MeshEndpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** What runs outside of the cluster and is selected by a Service: no controller writes slices for it. */
function externalsOf(read: Read, { pods, services }: Inputs, key: string): readonly MeshPod[] {
  const service = read(services.row(key));
  if (service?.selector === undefined || service.kind === "externalName") return [];
  const all = read(pods.by("externalIn", service.namespace)).flatMap(each => read(pods.row(each)) ?? []);
  return all.filter(pod => selects(service, pod));
}

function externalEndpoints(read: Read, inputs: Inputs, key: string): readonly MeshEndpoint[] {
  const service = read(inputs.services.row(key));
  const tcp = service === undefined ? [] : tcpPortsOf(service);
  return externalsOf(read, inputs, key).flatMap(pod => {
    const { identity, terminating, namespace, name } = pod;
    const ports = Object.fromEntries(
      tcp.flatMap(port => {
        const number = targetOf(port, pod);
        return number === undefined ? [] : [[port.name, number] as const];
      }),
    );
    const origin = { group: "config.openservicemesh.io", kind: "ExternalWorkload", namespace, name };
    const rest = { ready: !terminating, zone: undefined, identity, party: partyOf(pod), ports, origin };
    return pod.ips.map(address => ({ address, ...rest }));
  });
}

function backingOf(read: Read, inputs: Inputs, service: string): Backing {
  const endpoints: MeshEndpoint[] = [];
  let readyOutsideMesh = false;
  for (const key of read(inputs.slices.by("service", service))) {
    const slice = read(inputs.slices.row(key));
    if (slice === undefined || slice.addressType === "FQDN") continue;
    const ports = tcpPorts(slice);
    for (const endpoint of slice.endpoints) {
      const pod = podOf(read, inputs, slice, endpoint);
      if (pod === undefined || pod.terminated) continue;
      const { address, zone } = endpoint;
      const ready = endpoint.ready && !pod.terminating;
      if (pod.meshed) {
        const { identity } = pod;
        endpoints.push({ address, ready, zone, identity, party: partyOf(pod), ...portsAt(ports, pod) });
      } else readyOutsideMesh ||= ready;
    }
  }
  endpoints.push(...externalEndpoints(read, inputs, service));
  return { endpoints: endpoints.sort(byAddress), readyOutsideMesh };
}

function standingOf({ endpoints, readyOutsideMesh }: Backing, headless: boolean): Standing {
  const identities = new Map(endpoints.map(({ identity }) => [identityKey(identity), identity] as const));
  const excluded = excludedOf(endpoints, headless);
  return {
    served: !readyOutsideMesh || endpoints.some(endpoint => endpoint.ready),
    ...(excluded.length === 0 ? {} : { excluded }),
    identities: [...identities.keys()].sort().flatMap(key => identities.get(key) ?? []),
  };
}

/** Ready pods whose sidecar takes a port win over those whose does not, as they do over pods without a sidecar. */
function excludedOf(endpoints: readonly MeshEndpoint[], headless: boolean): readonly string[] {
  const names = new Set(endpoints.flatMap(({ excluded }) => excluded ?? []));
  const taken = (name: string): boolean =>
    endpoints.some(({ ready, ports }) => (ready || headless) && Object.hasOwn(ports, name));
  return [...names].filter(name => !taken(name)).sort();
}

function addressesOf(read: Read, inputs: Inputs, service: string): readonly string[] {
  const { slices } = inputs;
  const outside = externalsOf(read, inputs, service).flatMap(({ ips }) => ips);
  const found = read(slices.by("service", service)).flatMap(key => {
    const slice = read(slices.row(key));
    if (slice === undefined || slice.addressType === "FQDN") return [];
    return slice.endpoints.map(({ address }) => address);
  });
  return [...new Set([...found, ...outside])].sort();
}

/** Endpoints as cells. Slices of Services that nobody asks about are never looked at. */
export function createEndpointCatalog(inputs: Inputs): EndpointCatalog {
  const { graph } = inputs;
  const byKey = (key: string): string => key;
  const backing = graph.family<string, Backing>({
    label: "backing",
    keyOf: byKey,
    compute: (read, service) => backingOf(read, inputs, service),
    equals: structurallyEqual,
  });
  const standing: (service: string) => Cell<Standing> = graph.family({
    label: "standing",
    keyOf: byKey,
    compute: (read, service) =>
      standingOf(read(backing(service)), read(inputs.services.row(service))?.kind === "headless"),
    equals: structurallyEqual,
  });
  const addresses = graph.family<string, readonly string[]>({
    label: "addresses",
    keyOf: byKey,
    compute: (read, service) => addressesOf(read, inputs, service),
    equals: sameElements,
  });
  return { backing, standing, addresses };
}
