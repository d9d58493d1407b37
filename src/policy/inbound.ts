/** What a pod of a node group is told: its inbound side, and what leads out of the mesh. */
import type { NodeGroup, ServedPort } from "../catalog/node-groups";
import { tcpPortsOf } from "../catalog/node-groups";
import { callerGateName } from "../model/caller-gate";
import { oldestFirst } from "../model/age";
import type { Diagnostic } from "../model/diagnostic";
import { spiffeIds, type TrustDomain } from "../model/identity";
import { RESERVED_PORTS } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import { objectRefKey } from "../model/object-ref";
import type { UpstreamTrafficSetting } from "../model/traffic";
import type { MeshService } from "../model/workload";
import type { PortAccess, TargetGrants } from "./access";
import { grantOrigins, portAccess } from "./access";
import { carriedBytes, type CarriedBytes, grantsNoMore } from "./carried-bytes";
import type { EgressParts } from "./egress";
import type { IngressParts } from "./ingress";
import { ANY_REQUEST } from "./matching";
import {
  AUTHORIZATION_CLUSTER,
  INBOUND_LISTENER,
  inboundRouteTableName,
  localClusterName,
  OUTBOUND_LISTENER,
  PASSTHROUGH_CLUSTER,
  plaintextRouteTableName,
  TRACING_CLUSTER,
} from "./names";
import { serviceRef } from "./outbound";
import type { Transport } from "./outbound";
import type { PathReading } from "./path-pattern";
import { mergeProtocols, selectProtocol } from "./protocol";
import type { Logging } from "./telemetry";
import type {
  AccessLog,
  AppProtocol,
  EscapedSlashes,
  ExternalClusterLeaf,
  Grant,
  InboundPort,
  Leaf,
  Permission,
  RouteTableLeaf,
  Tracing,
} from "./types";
import { portTerms, rateLimitClusters, servingSetting, withServerLimits } from "./upstream";

/** What is let out to where the mesh is not: everything, or what Egresses open. */
export type EgressMode = { readonly kind: "all" } | ({ readonly kind: "some" } & EgressParts);

/** Settings of the mesh that a group's own side needs. */
export interface GroupContext extends CarriedBytes {
  readonly meshConfig: ObjectRef;
  readonly transport: Transport;
  /** By whose names callers are known. */
  readonly callerDomain: TrustDomain;
  readonly egress: EgressMode;
  readonly tracing: Tracing | undefined;
  /** Absent: paths with an escaped slash are refused. */
  readonly escapedSlashes?: EscapedSlashes | undefined;
  /** What the TrafficTargets of the group let through, in their order. */
  readonly targets: readonly TargetGrants[];
  /** Service by key. */
  readonly service: (key: string) => MeshService | undefined;
  /** How the group's proxies log; undefined: the default. */
  readonly logging: Logging | undefined;
  /** The UpstreamTrafficSetting of a Service. */
  readonly setting: (service: string) => UpstreamTrafficSetting | undefined;
  /** How the paths of settings are read. */
  readonly reading: PathReading;
  /** What IngressBackends open of a port that Services lead to. */
  readonly ingress: (port: number, services: readonly string[]) => IngressParts;
}

/** One served port with what its Services say about it, and who may call. */
interface Port extends ServedPort {
  readonly protocol: AppProtocol;
  /** Its Services. */
  readonly services: readonly ObjectRef[];
  /** Who may call: everybody of the mesh in permissive mode, else whom the group's TrafficTargets name. */
  readonly access: PortAccess;
  /**
   * Whose callers have gates. In permissive mode nothing goes through these; they are there so that a switch of the mode
   * neither ends what goes through them nor sends anybody to one that is not there yet.
   */
  readonly gates: readonly Grant[];
  /** Whose limits callers are held to. */
  readonly setting: UpstreamTrafficSetting | undefined;
  readonly ingress: IngressParts;
  /** The port as it was when it carried bytes. */
  readonly formerly?: Port;
}

/** Leaves of a group's own. */
export function groupLeaves(group: NodeGroup, context: GroupContext): readonly Leaf[] {
  const ports = answered(group)
    .filter(served => !RESERVED_PORTS.includes(served.port))
    .map((served): Port => {
      const claims = claimsOf(served.frontends, context.service);
      const protocol = mergeProtocols(claims.map(claim => claim.protocol));
      const services = unique(claims.map(claim => claim.subject));
      const carriedAs = (protocol: AppProtocol): Port => {
        const granted = portAccess(served, protocol, context.targets);
        const access = group.permissive ? EVERYBODY : granted;
        const { grants: gates } = granted;
        return { ...served, protocol, access, gates, services, ...termsOf(served, protocol, context) };
      };
      const port = carriedAs(protocol);
      if (!carriedBytes(port, context)) return port;
      const formerly = carriedAs("tcp");
      return group.permissive || grantsNoMore(port.gates, formerly.gates) ? { ...port, formerly } : port;
    });
  return [
    ...outboundEdge(group, context),
    ...inboundSide(group, ports, context),
    ...externals(ports, context),
  ];
}

/** Ports of the listener: those that are served, and those that clients may still call because they were. */
function answered({ served, lingering }: NodeGroup): readonly ServedPort[] {
  return lingering === undefined ? served : [...served, ...lingering].sort((a, b) => a.port - b.port);
}

/** What UpstreamTrafficSettings and IngressBackends of a port's Services say. */
function termsOf(
  { port, frontends }: ServedPort,
  protocol: AppProtocol,
  context: GroupContext,
): Pick<Port, "setting" | "ingress"> {
  const keys = [...new Set(frontends.map(({ service }) => service))];
  return {
    setting: servingSetting(oldestFirst(keys.flatMap(key => context.setting(key) ?? []))),
    ingress: protocol === "tcp" ? NO_INGRESS : context.ingress(port, keys),
  };
}

const EVERYBODY: PortAccess = { permission: { kind: "any-mesh-identity" }, grants: [] };
const NOBODY: Permission = { kind: "allow", identities: [] };
const NO_INGRESS: IngressParts = { chains: [], tables: [], diagnostics: [] };

/** How a served port is carried in the end, all its Services considered, and whether one of them says something else. */
export function servedAs(
  served: ServedPort,
  service: GroupContext["service"],
): { readonly protocol: AppProtocol; readonly conflict: boolean } {
  const protocols = claimsOf(served.frontends, service).map(claim => claim.protocol);
  const protocol = mergeProtocols(protocols);
  return { protocol, conflict: protocol === "tcp" && protocols.some(said => said !== "tcp") };
}

/** What the owners of a group's Services should know about ports that they share. */
export function portConflicts(group: NodeGroup, service: GroupContext["service"]): readonly Diagnostic[] {
  return group.served.flatMap(({ port, frontends }) => {
    const claims = claimsOf(frontends, service);
    if (!claims.some(claim => claim.protocol === "tcp")) return [];
    return claims
      .filter(claim => claim.protocol !== "tcp")
      .map(
        (claim): Diagnostic => ({
          severity: "warning",
          code: "ProtocolConflict",
          subject: claim.subject,
          field: "spec.ports",
          message: `port ${claim.number} (${claim.protocol}) leads to container port ${port}, which another Service port declares as tcp; it is carried as tcp into those pods`,
        }),
      );
  });
}

/** What one Service port says about the container port it leads to. */
interface Claim {
  readonly subject: ObjectRef;
  readonly number: number;
  readonly protocol: AppProtocol;
}

function claimsOf(frontends: ServedPort["frontends"], serviceOf: GroupContext["service"]): readonly Claim[] {
  return frontends.flatMap((frontend): Claim[] => {
    if (frontend.was !== undefined) {
      const [namespace = "", name = ""] = frontend.service.split("/");
      const { protocol } = selectProtocol(frontend.was);
      return [{ subject: serviceRef({ namespace, name }), number: frontend.port, protocol }];
    }
    const service = serviceOf(frontend.service);
    const servicePort = service && tcpPortsOf(service).find(candidate => candidate.port === frontend.port);
    if (service === undefined || servicePort === undefined) return [];
    const { protocol } = selectProtocol(servicePort);
    return [{ subject: serviceRef(service), number: frontend.port, protocol }];
  });
}

function unique(refs: readonly ObjectRef[]): readonly ObjectRef[] {
  return [...new Map(refs.map(ref => [objectRefKey(ref), ref] as const)).values()];
}

function inboundSide(group: NodeGroup, ports: readonly Port[], context: GroupContext): readonly Leaf[] {
  const { trustDomain, tls } = context.transport;
  const origins = [
    ...ports.flatMap(portOrigins),
    ...context.authorization.origins,
    ...(context.logging?.origins ?? []),
  ];
  return [
    ...ports.map(
      ({ port, protocol, services }): Leaf => ({
        kind: "local-cluster",
        name: localClusterName(port),
        origins: services,
        port,
        protocol,
      }),
    ),
    ...ports.flatMap(port => (port.protocol === "tcp" ? [] : inboundTables(port, group, context))),
    ...ports.flatMap(port => callerGates(port, context.callerDomain)),
    {
      kind: "inbound-listener",
      name: INBOUND_LISTENER,
      origins: unique(origins),
      identity: group.identity,
      trustDomain,
      tls,
      ports: ports.map(port => inboundPort(port, group, context)),
      ...(group.plaintext ? { plaintext: true as const } : {}),
      ipv6: group.ipv6,
      ...logged(context),
    },
  ];
}

function logged({ logging }: GroupContext): { readonly accessLog?: AccessLog } {
  return logging?.accessLog === undefined ? {} : { accessLog: logging.accessLog };
}

/** Objects that a port of the listener is made of; those of its rules are of its route tables. */
function portOrigins({ protocol, services, access, setting }: Port): readonly ObjectRef[] {
  const limits = portTerms(setting, { http: protocol !== "tcp" });
  const limited = setting !== undefined && Object.keys(limits).length > 0 ? [setting.ref] : [];
  return [...services, ...(protocol === "tcp" ? grantOrigins(access.grants) : []), ...limited];
}

/** Callers known one by one have a way of their own, which ends with their permission. */
function perCaller({ access }: Port): { readonly perCaller?: true } {
  return access.permission.kind === "any-mesh-identity" ? {} : { perCaller: true };
}

/** The ways of all callers that anything at the port is granted to. */
function callerGates({ port, protocol, gates }: Port, trustDomain: TrustDomain): readonly Leaf[] {
  const grants = new Map<string, Grant[]>();
  for (const grant of gates) {
    for (const identity of grant.identities) {
      for (const caller of spiffeIds(trustDomain, identity))
        grants.set(caller, [...(grants.get(caller) ?? []), grant]);
    }
  }
  return [...grants.keys()].sort().flatMap((caller): Leaf[] => {
    const name = callerGateName(port, caller);
    const origins = grantOrigins(grants.get(caller) ?? []);
    return [
      { kind: "caller-cluster", name, origins, protocol },
      { kind: "caller-gate", name, origins, cluster: localClusterName(port) },
    ];
  });
}

function inboundPort(served: Port, group: NodeGroup, context: GroupContext): InboundPort {
  const { port, protocol, access, setting, ingress } = served;
  const { mode } = context.authorization;
  const limits = portTerms(setting, { http: protocol !== "tcp" });
  if (protocol === "tcp") {
    const open = group.plaintext && group.permissive;
    return {
      port,
      handling: { kind: "tcp", backends: [{ cluster: localClusterName(port), weight: 1 }] },
      permission: access.permission,
      ...(access.grants.length === 0 ? {} : { grants: access.grants }),
      externalAuthorization: undefined,
      ...limits,
      ...perCaller(served),
      ...(open ? { plaintext: { routeTable: undefined } } : {}),
    };
  }
  return {
    port,
    handling: {
      kind: "http",
      routeTable: inboundRouteTableName(port),
      tracing: context.tracing,
      ...(context.escapedSlashes === undefined ? {} : { escapedSlashes: context.escapedSlashes }),
      ...(protocol === "grpc" ? { grpc: true } : {}),
    },
    // Its rules decide; so a change of access never touches the listener, whose connections would end.
    permission: EVERYBODY.permission,
    externalAuthorization: mode.kind === "ask" ? mode.server : undefined,
    ...limits,
    ...perCaller(served),
    ...(ingress.chains.length === 0 ? {} : { ingress: ingress.chains }),
    ...(group.plaintext ? { plaintext: { routeTable: plaintextRouteTableName(port) } } : {}),
    ...formerlyOf(served, group, context),
  };
}

type Formerly = Pick<InboundPort, "formerly">;

function formerlyOf({ formerly }: Port, group: NodeGroup, context: GroupContext): Formerly {
  return formerly === undefined ? {} : { formerly: inboundPort(formerly, group, context) };
}

/** The rules of an HTTP port: of mesh identities and, where others are let in, of callers that have none. */
function inboundTables(port: Port, group: NodeGroup, context: GroupContext): readonly RouteTableLeaf[] {
  const { callerDomain: trustDomain } = context;
  const table = (name: string, access: PortAccess): RouteTableLeaf => {
    const origins = unique([...port.services, ...grantOrigins(access.grants)]);
    const backends = [{ cluster: localClusterName(port.port), weight: 1 }];
    const { permission } = access;
    const rules = [{ name: "any", matches: [ANY_REQUEST], permission, backends, origins }];
    return { kind: "route-table", name, direction: "inbound", origins, trustDomain, rules };
  };
  const plain: PortAccess = { permission: group.permissive ? { kind: "anyone" } : NOBODY, grants: [] };
  return [
    { ...table(inboundRouteTableName(port.port), port.access), ...perCaller(port) },
    ...(group.plaintext ? [table(plaintextRouteTableName(port.port), plain)] : []),
    ...port.ingress.tables,
  ].map(own => authorized(withServerLimits(own, port.setting, context.reading), context));
}

/** A table of which no request may be let through where nobody can be asked for it. */
function authorized(table: RouteTableLeaf, { authorization, meshConfig }: GroupContext): RouteTableLeaf {
  if (authorization.mode.kind !== "deny") return table;
  return {
    ...table,
    rules: table.rules.map(rule => ({
      ...rule,
      permission: NOBODY,
      origins: [...rule.origins, meshConfig],
    })),
  };
}

/** The listener that takes what is dialled, and where unknown destinations go. */
function outboundEdge(group: NodeGroup, context: GroupContext): readonly Leaf[] {
  const { meshConfig, egress, logging } = context;
  const origins = [meshConfig];
  const listener: Leaf = {
    kind: "outbound-catch-all",
    name: OUTBOUND_LISTENER,
    origins: [...origins, ...(logging?.origins ?? [])],
    passthroughCluster: egress.kind === "all" ? PASSTHROUGH_CLUSTER : undefined,
    ipv6: group.ipv6,
    ...(egress.kind === "all" || egress.ports.length === 0 ? {} : { egress: egress.ports }),
    ...logged(context),
  };
  return egress.kind === "all"
    ? [{ kind: "passthrough-cluster", name: PASSTHROUGH_CLUSTER, origins }, listener]
    : [...egress.leaves, listener];
}

/** Servers that the proxies themselves call, each once. */
function externals(ports: readonly Port[], context: GroupContext): readonly Leaf[] {
  const { meshConfig, tracing, authorization, logging } = context;
  const external = (
    name: string,
    http2: boolean,
    at: { address: string; port: number },
  ): ExternalClusterLeaf => ({
    kind: "external-cluster",
    name,
    origins: [meshConfig],
    address: at.address,
    port: at.port,
    http2,
  });
  const { mode, cluster } = authorization;
  const all = [
    ...(tracing === undefined ? [] : [external(TRACING_CLUSTER, tracing.protocol === "otlp", tracing)]),
    ...(mode.kind === "ask" && cluster === undefined
      ? [external(AUTHORIZATION_CLUSTER, true, mode.server)]
      : []),
    ...(cluster === undefined ? [] : [cluster]),
    ...(logging?.cluster === undefined ? [] : [logging.cluster]),
    ...rateLimitClusters(ports.flatMap(({ setting }) => setting ?? [])),
  ];
  return all.filter(({ name }, i) => all.findIndex(other => other.name === name) === i);
}
