/** What clients of a Service are told: pure functions from facts about one Service, or one pod, to leaves. */
import type { MeshEndpoint, Standing } from "../catalog/endpoints";
import { isServed } from "../catalog/endpoints";
import type { Frontend, ServedPort } from "../catalog/node-groups";
import { carriedPorts, tcpPortsOf } from "../catalog/node-groups";
import type { Diagnostic } from "../model/diagnostic";
import type { TrustDomain } from "../model/identity";
import { RESERVED_PORTS } from "../model/mesh-words";
import { objectRefKey, type ObjectRef } from "../model/object-ref";
import type { Party } from "../model/owner";
import type { Retry, UpstreamTrafficSetting } from "../model/traffic";
import type { MeshService, ServicePort } from "../model/workload";
import { ANY_REQUEST } from "./matching";
import { directClusterName, frontendName, podListenerName } from "./names";
import type { PathReading } from "./path-pattern";
import { selectProtocol } from "./protocol";
import { withRetry } from "./retry";
import type { ActiveSplit } from "./split";
import { sharesOf } from "./split";
import type { Logging } from "./telemetry";
import type {
  AppProtocol,
  Discovery,
  EscapedSlashes,
  EndpointSetLeaf,
  Handling,
  HttpRule,
  OutboundListenerLeaf,
  Permission,
  RouteTableLeaf,
  TlsParameters,
  Tracing,
  UpstreamClusterLeaf,
} from "./types";
import { clusterTerms, withClientTerms } from "./upstream";

/** Transport settings of the mesh that clusters need. */
export interface Transport {
  readonly trustDomain: TrustDomain;
  readonly tls: TlsParameters;
}

/** What clusters of a Service need besides the Service. */
export interface ClusterContext {
  readonly transport: Transport;
  readonly setting?: UpstreamTrafficSetting | undefined;
  /** Clients have listeners for its pods' own addresses, whether a headless Service picks them or not. */
  readonly direct: boolean;
}

/** The object of a Service. */
export function serviceRef(service: Pick<MeshService, "namespace" | "name">): ObjectRef {
  return { group: "", kind: "Service", namespace: service.namespace, name: service.name };
}

function frontendOf(service: MeshService, port: ServicePort): Frontend {
  return { service: `${service.namespace}/${service.name}`, port: port.port };
}

/** Whether anything about a Service is told to clients: its address is served, or pods behind it can be called. */
function isKnown(standing: Standing): boolean {
  return standing.served || standing.identities.length > 0;
}

/** Whether calls of a Service's port go through the mesh; of a headless one: those of any of its pods. */
function isCarried({ kind }: MeshService, standing: Standing, port: ServicePort): boolean {
  if (kind !== "headless") return isServed(standing, port);
  return isKnown(standing) && standing.excluded?.includes(port.name) !== true;
}

/** Clusters of a Service: one per port; where clients call every pod directly, of Services with an address one more for that. */
export function serviceClusters(
  service: MeshService,
  standing: Standing,
  { transport, setting, direct }: ClusterContext,
): readonly UpstreamClusterLeaf[] {
  if (!isKnown(standing)) return [];
  type Kind = Discovery["kind"];
  const cluster = (name: string, protocol: AppProtocol, discovery: Kind): UpstreamClusterLeaf => {
    const { by, ...terms } = clusterTerms(setting, { balanced: discovery === "endpoints" });
    return {
      kind: "upstream-cluster",
      name,
      origins: [serviceRef(service), ...by],
      discovery: { kind: discovery },
      protocol,
      sni: `${service.name}.${service.namespace}.svc.cluster.local`,
      serverIdentities: standing.identities,
      trustDomain: transport.trustDomain,
      tls: transport.tls,
      ...terms,
    };
  };
  return carriedPorts(service).flatMap(port => {
    const frontend = frontendOf(service, port);
    const { protocol } = selectProtocol(port);
    const carried = isCarried(service, standing, port);
    if (service.kind === "headless")
      return carried ? [cluster(frontendName(frontend), protocol, "original-destination")] : [];
    return [
      ...(carried ? [cluster(frontendName(frontend), protocol, "endpoints")] : []),
      ...(direct ? [cluster(directClusterName(frontend), "tcp", "original-destination")] : []),
    ];
  });
}

/** Endpoints of a Service's ports. Headless Services have none: the application chooses the pod. */
export function serviceEndpoints(
  service: MeshService,
  standing: Standing,
  endpoints: readonly MeshEndpoint[],
): readonly EndpointSetLeaf[] {
  if (service.kind === "headless") return [];
  const ports = carriedPorts(service).filter(port => isServed(standing, port));
  return ports.map(port => ({
    kind: "endpoint-set",
    name: frontendName(frontendOf(service, port)),
    origins: [serviceRef(service), ...externalOrigins(endpoints)],
    endpoints: readyEndpoints(endpoints, port),
  }));
}

/** The objects, besides slices, that say where a Service's endpoints are. */
function externalOrigins(endpoints: readonly MeshEndpoint[]): readonly ObjectRef[] {
  const origins = endpoints.flatMap(({ origin }) => origin ?? []);
  return [...new Map(origins.map(origin => [objectRefKey(origin), origin])).values()];
}

function readyEndpoints(endpoints: readonly MeshEndpoint[], port: ServicePort): EndpointSetLeaf["endpoints"] {
  const seen = new Set<string>();
  return endpoints.flatMap(({ address, ready, zone, ports, party }) => {
    const number = ports[port.name];
    if (!ready || number === undefined || seen.has(`${address}|${number}`)) return [];
    seen.add(`${address}|${number}`);
    return [{ address, port: number, zone, party }];
  });
}

/** What route tables of a Service need besides the Service. */
export interface RouteContext {
  readonly trustDomain: TrustDomain;
  readonly splits: readonly ActiveSplit[];
  readonly setting?: UpstreamTrafficSetting | undefined;
  readonly reading: PathReading;
  /** That of the clients which are told. */
  readonly retry?: Retry | undefined;
  /** Numbers of the ports at which clients have a listener that asks for a table. */
  readonly dialled: readonly number[];
}

/** Route tables of a Service's HTTP ports. Whatever the Host says: the address that was dialled decides. */
export function serviceRouteTables(
  service: MeshService,
  standing: Standing,
  { trustDomain, splits, setting, reading, retry, dialled }: RouteContext,
): readonly RouteTableLeaf[] {
  return carriedPorts(service).flatMap((port): RouteTableLeaf[] => {
    if (!dialled.includes(port.port) || !isCarried(service, standing, port)) return [];
    if (selectProtocol(port).protocol === "tcp") return [];
    const origins = [serviceRef(service)];
    return [
      {
        kind: "route-table",
        name: frontendName(frontendOf(service, port)),
        direction: "outbound",
        origins: [...origins, ...splits.flatMap(split => split.origins)],
        trustDomain,
        rules: withRetry(withClientTerms(splitRules(service, port, splits), setting, reading), retry),
      },
    ];
  });
}

/** Rules of a port: splits in their order, at the end whatever is left goes to the Service itself. */
function splitRules(
  service: MeshService,
  port: ServicePort,
  splits: readonly ActiveSplit[],
): readonly HttpRule[] {
  const rules = splits.flatMap((split): HttpRule[] => {
    const { ref, matches, origins } = split;
    const backends = sharesOf(split, port.port);
    if (backends === undefined) return [];
    return [
      {
        name: `${ref.namespace}/${ref.name}`,
        matches: matches ?? [ANY_REQUEST],
        permission: ANYBODY,
        backends,
        origins: [serviceRef(service), ...origins],
      },
    ];
  });
  const last = splits.at(-1);
  if (last !== undefined && last.matches === undefined && sharesOf(last, port.port) !== undefined)
    return rules;
  const backends = [{ cluster: frontendName(frontendOf(service, port)), weight: 1 }];
  const origins = [serviceRef(service)];
  return [...rules, { name: "any", matches: [ANY_REQUEST], permission: ANYBODY, backends, origins }];
}

/** Clients are told where things are; servers decide who may call. */
const ANYBODY: Permission = { kind: "any-mesh-identity" };

/** How HTTP is read. */
type Reading = Pick<ListenerContext, "tracing" | "escapedSlashes">;

function bytesTo(cluster: string): Bytes {
  return { kind: "tcp", backends: [{ cluster, weight: 1 }] };
}

function handlingOf(
  name: string,
  protocol: AppProtocol,
  { tracing, escapedSlashes }: Reading = { tracing: undefined },
): Handling {
  if (protocol === "tcp") return bytesTo(name);
  return {
    kind: "http",
    routeTable: name,
    tracing,
    ...(escapedSlashes === undefined ? {} : { escapedSlashes }),
    ...(protocol === "grpc" ? { grpc: true } : {}),
  };
}

/** What listeners of a Service need besides the Service. */
export interface ListenerContext {
  /** Addresses that are the Service's own. */
  readonly addresses: readonly string[];
  readonly tracing: Tracing | undefined;
  /** Absent: paths with an escaped slash are refused. */
  readonly escapedSlashes?: EscapedSlashes | undefined;
  readonly splits: readonly ActiveSplit[];
  readonly setting?: UpstreamTrafficSetting | undefined;
  /** That of the clients which are told; absent: the default. */
  readonly logging?: Logging | undefined;
  /** Ports that carried bytes a while ago. */
  readonly carriedBytes?: readonly number[] | undefined;
}

/** Listeners of a Service's addresses, of those given. Headless Services have none: see {@link podListeners}. */
export function serviceListeners(
  service: MeshService,
  standing: Standing,
  context: ListenerContext,
): readonly OutboundListenerLeaf[] {
  if (service.kind === "headless" || context.addresses.length === 0) return [];
  const ports = carriedPorts(service).filter(port => isServed(standing, port));
  return ports.map(port => {
    const { handling, origins, formerly } = frontendHandling(service, port, context);
    const name = frontendName(frontendOf(service, port));
    return {
      kind: "outbound-listener",
      name,
      ...logged(origins, context.logging),
      addresses: context.addresses,
      port: port.port,
      handling,
      ...(formerly === undefined ? {} : { formerly }),
    };
  });
}

/** A listener's access log, and the objects that it is made of with those that say how it logs. */
function logged(
  origins: readonly ObjectRef[],
  logging: Logging | undefined,
): Pick<OutboundListenerLeaf, "origins" | "accessLog"> {
  if (logging === undefined) return { origins };
  const { accessLog } = logging;
  return {
    origins: [...origins, ...logging.origins],
    ...(accessLog === undefined ? {} : { accessLog }),
  };
}

/** Bytes are shared by the split of all requests; HTTP is left to the route table. */
function frontendHandling(
  service: MeshService,
  port: ServicePort,
  context: ListenerContext,
): Pick<OutboundListenerLeaf, "handling" | "origins" | "formerly"> {
  const { protocol } = selectProtocol(port);
  if (protocol === "tcp") return bytesHandling(service, port, context);
  const name = frontendName(frontendOf(service, port));
  const origins = [serviceRef(service)];
  const handling = handlingOf(name, protocol, context);
  if (context.carriedBytes?.includes(port.port) !== true) return { handling, origins };
  return { handling, origins, formerly: bytesHandling(service, port, context).handling };
}

type Bytes = Extract<Handling, { readonly kind: "tcp" }>;

function bytesHandling(
  service: MeshService,
  port: ServicePort,
  { splits, setting }: ListenerContext,
): { readonly handling: Bytes; readonly origins: readonly ObjectRef[] } {
  const name = frontendName(frontendOf(service, port));
  const origins = [serviceRef(service)];
  const split = splits.find(candidate => candidate.matches === undefined);
  const backends = split && sharesOf(split, port.port);
  const shared = split === undefined || backends === undefined ? [] : split.origins;
  const bySource = setting?.loadBalancing?.kind === "source-address" ? [setting.ref] : [];
  return {
    handling: {
      kind: "tcp",
      backends: backends ?? [{ cluster: name, weight: 1 }],
      ...(bySource.length === 0 ? {} : { hashSource: true }),
    },
    origins: [...origins, ...shared, ...bySource],
  };
}

/** A Service port that leads to a pod's port, with the facts that decide how the pod's address is called. */
export interface PodFrontend {
  readonly frontend: Frontend;
  readonly service: MeshService;
  readonly standing: Standing;
  /** Ports of the Service that carried bytes a while ago. */
  readonly carriedBytes?: readonly number[] | undefined;
}

/** What listeners of a pod's address need besides its ports. */
export interface PodListenerContext extends Reading, Pick<ListenerContext, "logging"> {
  readonly party?: Party;
}

/** A port of a pod, and as what it is called when the pod's own address is dialled. */
export interface DirectPort extends PodFrontend {
  /** Container port. */
  readonly port: number;
}

/** Of several Services that lead to a port, the first by key counts, headless before others. */
export function directPorts(
  served: readonly (ServedPort & { readonly candidates: readonly PodFrontend[] })[],
): readonly DirectPort[] {
  return served.flatMap(({ port, candidates }): DirectPort[] => {
    if (RESERVED_PORTS.includes(port)) return [];
    const known = candidates.filter(isCallable);
    const chosen = known.find(candidate => candidate.service.kind === "headless") ?? known[0];
    return chosen === undefined ? [] : [{ port, ...chosen }];
  });
}

/**
 * Listeners of one pod address: a headless Service's port behaves as that Service; a port that only Services with an
 * address lead to is carried as bytes.
 */
export function podListeners(
  address: string,
  ports: readonly DirectPort[],
  { logging, party, ...reading }: PodListenerContext,
): readonly OutboundListenerLeaf[] {
  return ports.map((chosen): OutboundListenerLeaf => {
    const { port } = chosen;
    const handling = podHandling(chosen, reading);
    const carried = handling.kind === "http" && chosen.carriedBytes?.includes(chosen.frontend.port) === true;
    return {
      kind: "outbound-listener",
      name: podListenerName(address, port),
      ...logged([serviceRef(chosen.service)], logging),
      addresses: [address],
      port,
      handling,
      ...(party === undefined || handling.kind === "tcp" ? {} : { party }),
      ...(carried ? { formerly: bytesTo(frontendName(chosen.frontend)) } : {}),
    };
  });
}

/** Calls of a headless Service go where all of it goes; those of a pod behind an address need no more than its identity. */
function isCallable({ frontend, service, standing }: PodFrontend): boolean {
  const port = tcpPortsOf(service).find(candidate => candidate.port === frontend.port);
  if (service.kind !== "headless" || port === undefined) return isKnown(standing);
  return isCarried(service, standing, port);
}

function podHandling({ frontend, service }: PodFrontend, reading: Reading): Handling {
  if (service.kind !== "headless") return handlingOf(directClusterName(frontend), "tcp");
  const port = tcpPortsOf(service).find(candidate => candidate.port === frontend.port);
  const protocol = port === undefined ? "tcp" : selectProtocol(port).protocol;
  return handlingOf(frontendName(frontend), protocol, reading);
}

/** What the owner of a Service should know about its ports. */
export function serviceDiagnostics(service: MeshService): readonly Diagnostic[] {
  return service.ports.flatMap((port, i): Diagnostic[] => {
    if (port.transport !== "TCP" || !selectProtocol(port).unknown) return [];
    const field = `spec.ports[${i}].appProtocol`;
    return [
      {
        severity: "warning",
        code: "UnknownAppProtocol",
        subject: serviceRef(service),
        field,
        message: `${field} (${port.appProtocol ?? ""}) is not a protocol the mesh knows; port ${port.port} is carried as tcp`,
      },
    ];
  });
}
