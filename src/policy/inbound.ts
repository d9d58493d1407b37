/** What a pod of a node group is told: its inbound side, and what leads out of the mesh. */
import type { NodeGroup, ServedPort } from "../catalog/node-groups";
import { tcpPortsOf } from "../catalog/node-groups";
import { callerGateName } from "../model/caller-gate";
import type { Diagnostic } from "../model/diagnostic";
import { spiffeId } from "../model/identity";
import { RESERVED_PORTS } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import { objectRefKey } from "../model/object-ref";
import type { MeshService } from "../model/workload";
import type { PortAccess, TargetGrants } from "./access";
import { grantOrigins, portAccess } from "./access";
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
import { mergeProtocols, selectProtocol } from "./protocol";
import type { AuthorizationMode } from "./settings";
import type {
  AppProtocol,
  ExternalClusterLeaf,
  Grant,
  InboundPort,
  Leaf,
  Permission,
  RouteTableLeaf,
  Tracing,
} from "./types";

/** Settings of the mesh that a group's own side needs. */
export interface GroupContext {
  readonly meshConfig: ObjectRef;
  readonly transport: Transport;
  readonly egress: boolean;
  readonly tracing: Tracing | undefined;
  readonly authorization: AuthorizationMode;
  /** What the TrafficTargets of the group let through, in their order. */
  readonly targets: readonly TargetGrants[];
  /** Service by key. */
  readonly service: (key: string) => MeshService | undefined;
}

/** One served port with what its Services say about it, and who may call. */
interface Port extends ServedPort {
  readonly protocol: AppProtocol;
  /** Its Services. */
  readonly services: readonly ObjectRef[];
  readonly access: PortAccess;
}

/** Leaves of a group's own. */
export function groupLeaves(group: NodeGroup, context: GroupContext): readonly Leaf[] {
  const ports = group.served
    .filter(served => !RESERVED_PORTS.includes(served.port))
    .map((served): Port => {
      const claims = claimsOf(served.frontends, context.service);
      const protocol = mergeProtocols(claims.map(claim => claim.protocol));
      const access = accessOf(served, protocol, { group, context });
      return { ...served, protocol, access, services: unique(claims.map(claim => claim.subject)) };
    });
  return [...outboundEdge(group, context), ...inboundSide(group, ports, context), ...externals(context)];
}

const EVERYBODY: PortAccess = { permission: { kind: "any-mesh-identity" }, grants: [] };
const NOBODY: Permission = { kind: "allow", identities: [] };

/** Who may call a port: everybody of the mesh in permissive mode, else whom the group's TrafficTargets name. */
function accessOf(
  served: ServedPort,
  protocol: AppProtocol,
  { group, context }: { readonly group: NodeGroup; readonly context: GroupContext },
): PortAccess {
  return group.permissive ? EVERYBODY : portAccess(served, protocol, context.targets);
}

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
  const origins = ports.flatMap(({ protocol, services, access }) =>
    protocol === "tcp" ? [...services, ...grantOrigins(access.grants)] : services,
  );
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
    ...ports.flatMap(port => callerGates(port, trustDomain)),
    {
      kind: "inbound-listener",
      name: INBOUND_LISTENER,
      origins: unique(origins),
      identity: group.identity,
      trustDomain,
      tls,
      ports: ports.map(port => inboundPort(port, group, context)),
      ipv6: group.ipv6,
    },
  ];
}

/** Callers known one by one have a way of their own, which ends with their permission. */
function perCaller({ access }: Port): { readonly perCaller?: true } {
  return access.permission.kind === "any-mesh-identity" ? {} : { perCaller: true };
}

/** The ways of all callers that anything at the port is granted to. */
function callerGates({ port, protocol, access }: Port, trustDomain: string): readonly Leaf[] {
  const grants = new Map<string, Grant[]>();
  for (const grant of access.grants) {
    for (const identity of grant.identities) {
      const caller = spiffeId(trustDomain, identity);
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
  const { port, protocol, access } = served;
  const { authorization } = context;
  if (protocol === "tcp") {
    const open = group.plaintext && group.permissive;
    return {
      port,
      handling: { kind: "tcp", backends: [{ cluster: localClusterName(port), weight: 1 }] },
      permission: access.permission,
      ...(access.grants.length === 0 ? {} : { grants: access.grants }),
      externalAuthorization: undefined,
      ...perCaller(served),
      ...(open ? { plaintext: { routeTable: undefined } } : {}),
    };
  }
  return {
    port,
    handling: { kind: "http", routeTable: inboundRouteTableName(port), tracing: context.tracing },
    // Its rules decide; so a change of access never touches the listener, whose connections would end.
    permission: EVERYBODY.permission,
    externalAuthorization: authorization.kind === "ask" ? authorization.server : undefined,
    ...perCaller(served),
    ...(group.plaintext ? { plaintext: { routeTable: plaintextRouteTableName(port) } } : {}),
  };
}

/** The rules of an HTTP port: of mesh identities and, where plaintext is taken, of callers that have none. */
function inboundTables(port: Port, group: NodeGroup, context: GroupContext): readonly RouteTableLeaf[] {
  const ofMesh = {
    ...inboundTable(inboundRouteTableName(port.port), port, { access: port.access, context }),
    ...perCaller(port),
  };
  if (!group.plaintext) return [ofMesh];
  const access: PortAccess = { permission: group.permissive ? { kind: "anyone" } : NOBODY, grants: [] };
  return [ofMesh, inboundTable(plaintextRouteTableName(port.port), port, { access, context })];
}

function inboundTable(
  name: string,
  { port, services }: Port,
  { access, context }: { readonly access: PortAccess; readonly context: GroupContext },
): RouteTableLeaf {
  const denied = context.authorization.kind === "deny";
  const origins = unique([...services, ...grantOrigins(access.grants)]);
  return {
    kind: "route-table",
    name,
    direction: "inbound",
    origins,
    trustDomain: context.transport.trustDomain,
    rules: [
      {
        name: "any",
        matches: [ANY_REQUEST],
        permission: denied ? NOBODY : access.permission,
        backends: [{ cluster: localClusterName(port), weight: 1 }],
        origins: denied ? [...origins, context.meshConfig] : origins,
      },
    ],
  };
}

/** The listener that takes what is dialled, and where unknown destinations go. */
function outboundEdge(group: NodeGroup, { meshConfig, egress }: GroupContext): readonly Leaf[] {
  const origins = [meshConfig];
  const listener: Leaf = {
    kind: "outbound-catch-all",
    name: OUTBOUND_LISTENER,
    origins,
    passthroughCluster: egress ? PASSTHROUGH_CLUSTER : undefined,
    ipv6: group.ipv6,
  };
  return egress
    ? [{ kind: "passthrough-cluster", name: PASSTHROUGH_CLUSTER, origins }, listener]
    : [listener];
}

/** Servers that the proxies themselves call. */
function externals({ meshConfig, tracing, authorization }: GroupContext): readonly Leaf[] {
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
  return [
    ...(tracing === undefined ? [] : [external(TRACING_CLUSTER, false, tracing)]),
    ...(authorization.kind === "ask" ? [external(AUTHORIZATION_CLUSTER, true, authorization.server)] : []),
  ];
}
