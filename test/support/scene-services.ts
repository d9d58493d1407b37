/** Services of a scene as a node carries them, for what goes past the mesh, and the ports that its pods serve. */
import { isIP } from "node:net";
import type { TestObject } from "./objects";
import { podAddresses } from "./scene";
import type { ResolvedCall } from "./scene-calls";

/** Address families, as iptables tells them apart. */
export type Family = "ipv4" | "ipv6";

/** Both of them. */
export const FAMILIES: readonly Family[] = ["ipv4", "ipv6"];

interface Service {
  readonly clusterIPs?: readonly string[];
  readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
}

interface Slice extends TestObject {
  readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions?: { readonly ready?: boolean };
    readonly targetRef?: { readonly namespace?: string; readonly name: string };
  }[];
}

const CHAIN = "SCENE_SERVICES";
const SERVICE_LABEL = "kubernetes.io/service-name";

function slicesOf(objects: readonly TestObject[], service?: TestObject): readonly Slice[] {
  const slices = objects.filter((object): object is Slice => object.kind === "EndpointSlice");
  if (service === undefined) return slices;
  const { namespace, name } = service.metadata;
  return slices.filter(
    ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[SERVICE_LABEL] === name,
  );
}

function version(family: Family): number {
  return family === "ipv4" ? 4 : 6;
}

/**
 * A chain of the nat table that leads from Services to their first ready endpoints, in the form of `iptables-restore`;
 * `hooked`: also makes locally sent packets go through it, after all rules that are there.
 */
export function serviceRules(objects: readonly TestObject[], family: Family, hooked: boolean): string {
  const services = objects.filter(object => object.kind === "Service");
  return [
    "*nat",
    `:${CHAIN} - [0:0]`,
    ...services.flatMap(service => rulesOf(objects, service, family)),
    ...(hooked ? [`-A OUTPUT -p tcp -j ${CHAIN}`] : []),
    "COMMIT",
    "",
  ].join("\n");
}

function rulesOf(objects: readonly TestObject[], service: TestObject, family: Family): readonly string[] {
  const { clusterIPs = [], ports = [] } = service["spec"] as Service;
  const address = clusterIPs.find(candidate => isIP(candidate) === version(family));
  if (address === undefined) return [];
  return ports
    .filter(({ protocol = "TCP" }) => protocol === "TCP")
    .flatMap(({ name, port }) => {
      const target = firstReady(slicesOf(objects, service), name, family);
      if (target === undefined) return [];
      const host = family === "ipv6" ? `[${target.address}]` : target.address;
      return [
        `-A ${CHAIN} -d ${address} -p tcp --dport ${port} -j DNAT --to-destination ${host}:${target.port}`,
      ];
    });
}

/** An address and port. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

function firstReady(slices: readonly Slice[], name: string | undefined, family: Family): Target | undefined {
  for (const { ports = [], endpoints = [] } of slices) {
    const port = ports.find(candidate => candidate.name === name)?.port;
    const address = endpoints
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses }) => addresses)
      .find(candidate => isIP(candidate) === version(family));
    if (port !== undefined && address !== undefined) return { address, port };
  }
  return undefined;
}

/** The Service that has an address. */
function serviceAt(objects: readonly TestObject[], address: string): TestObject | undefined {
  return objects.find(
    object => object.kind === "Service" && (object["spec"] as Service).clusterIPs?.includes(address) === true,
  );
}

/** Where a node carries a connection: to an endpoint of the Service that has the address, else where it was dialled to. */
export function carriedTo(objects: readonly TestObject[], dialled: Target): Target {
  const service = serviceAt(objects, dialled.address);
  if (service === undefined) return dialled;
  const port = (service["spec"] as Service).ports?.find(candidate => candidate.port === dialled.port);
  const family = isIP(dialled.address) === 6 ? "ipv6" : "ipv4";
  return (port && firstReady(slicesOf(objects, service), port.name, family)) ?? dialled;
}

interface InitContainers {
  readonly initContainers?: readonly {
    readonly name: string;
    readonly env?: readonly { readonly name: string; readonly value?: string }[];
  }[];
}

/** Ports at which a pod's sidecar is passed by, as its init container was told. */
export function excludedPorts(pod: TestObject): readonly number[] {
  const { initContainers = [] } = pod["spec"] as InitContainers;
  const init = initContainers.find(({ name }) => name === "osm-init");
  const written = init?.env?.find(({ name }) => name === "INBOUND_EXCLUDED_PORTS")?.value;
  return written?.split(",").map(Number) ?? [];
}

const EXCLUSIONS = "SCENE_EXCLUSIONS";

/** A chain that lets calls of these ports in past the sidecar; `hooked`: also makes all that arrives go through it first. */
export function exclusionRules(ports: readonly number[], hooked: boolean): string {
  return [
    "*nat",
    `:${EXCLUSIONS} - [0:0]`,
    ...ports.map(port => `-A ${EXCLUSIONS} -p tcp --dport ${port} -j ACCEPT`),
    ...(hooked ? [`-I PREROUTING -p tcp -j ${EXCLUSIONS}`] : []),
    "COMMIT",
    "",
  ].join("\n");
}

/** Hosts that a pod outside of the mesh stands for: `name` or `name:port`, separated by commas. */
const STANDS_FOR = "scene/answers-to";

/** Hosts of that annotation; ports are those that are to be served besides what calls dial. */
function hostsOf(pod: TestObject): readonly { readonly name: string; readonly port: number | undefined }[] {
  const { annotations } = pod.metadata as { readonly annotations?: Readonly<Record<string, string>> };
  return (annotations?.[STANDS_FOR]?.split(",") ?? []).map(host => {
    const [name = "", port] = host.trim().split(":");
    return { name, port: port === undefined ? undefined : Number(port) };
  });
}

/** Every name that can be resolved, with its addresses: Services by their full names, and hosts that pods stand for. */
export function hostNames(objects: readonly TestObject[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, readonly string[]>();
  for (const object of objects) {
    const { namespace = "", name } = object.metadata;
    if (object.kind === "Service") {
      const { clusterIPs = [] } = object["spec"] as Service;
      const addresses = clusterIPs.filter(address => isIP(address) !== 0);
      names.set(`${name}.${namespace}.svc.cluster.local`, addresses);
    }
    if (object.kind !== "Pod") continue;
    for (const host of hostsOf(object)) names.set(host.name, podAddresses(object));
  }
  return names;
}

/** TCP ports that a pod serves: of its EndpointSlices, of hosts it stands for, and at which a call dials the pod itself. */
export function servedPorts(
  objects: readonly TestObject[],
  pod: TestObject,
  calls: readonly ResolvedCall[],
): readonly { readonly port: number; readonly greets: boolean }[] {
  const greeting = new Set(
    calls.filter(({ scheme }) => scheme === "server-first").flatMap(call => targetPorts(objects, call)),
  );
  const dialled = calls.filter(({ address }) => podAddresses(pod).includes(address)).map(({ port }) => port);
  const ports = new Set([
    ...slicePorts(objects, pod),
    ...hostsOf(pod).flatMap(({ port }) => port ?? []),
    ...dialled,
  ]);
  return [...ports].map(port => ({ port, greets: greeting.has(port) }));
}

function slicePorts(objects: readonly TestObject[], pod: TestObject): readonly number[] {
  return slicesOf(objects)
    .filter(({ endpoints = [] }) =>
      endpoints.some(({ addresses }) => addresses.some(address => podAddresses(pod).includes(address))),
    )
    .flatMap(({ ports = [] }) => ports.filter(({ protocol = "TCP" }) => protocol === "TCP"))
    .map(({ port }) => port);
}

/** Container ports that a call may arrive at. */
function targetPorts(objects: readonly TestObject[], { address, port }: ResolvedCall): readonly number[] {
  const service = serviceAt(objects, address);
  if (service === undefined) return [port];
  const name = (service["spec"] as Service).ports?.find(candidate => candidate.port === port)?.name;
  return slicesOf(objects, service).flatMap(({ ports = [] }) =>
    ports.filter(candidate => candidate.name === name).map(candidate => candidate.port),
  );
}
