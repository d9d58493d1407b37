/** What a pod of a node group is told: its inbound side, and what leads out of the mesh. */
import type { NodeGroup, ServedPort } from "../catalog/node-groups";
import { tcpPortsOf } from "../catalog/node-groups";
import type { Diagnostic } from "../model/diagnostic";
import { RESERVED_PORTS } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import type { MeshService } from "../model/workload";
import {
  AUTHORIZATION_CLUSTER,
  INBOUND_LISTENER,
  inboundRouteTableName,
  localClusterName,
  OUTBOUND_LISTENER,
  PASSTHROUGH_CLUSTER,
  TRACING_CLUSTER,
} from "./names";
import { serviceRef } from "./outbound";
import type { Transport } from "./outbound";
import { mergeProtocols, selectProtocol } from "./protocol";
import type { AuthorizationMode } from "./settings";
import type {
  AppProtocol,
  ExternalClusterLeaf,
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
  /** Service by key. */
  readonly service: (key: string) => MeshService | undefined;
}

/** One served port with what its Services say about it. */
interface Port {
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly origins: readonly ObjectRef[];
}

/** Leaves of a group's own. */
export function groupLeaves(group: NodeGroup, context: GroupContext): readonly Leaf[] {
  const ports = group.served
    .filter(served => !RESERVED_PORTS.includes(served.port))
    .map(({ port, frontends }): Port => {
      const claims = claimsOf(frontends, context.service);
      const protocol = mergeProtocols(claims.map(claim => claim.protocol));
      return { port, protocol, origins: unique(claims.map(claim => claim.subject)) };
    });
  return [...outboundEdge(group, context), ...inboundSide(group, ports, context), ...externals(context)];
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
  return refs.filter(
    (ref, i) => refs.findIndex(other => other.namespace === ref.namespace && other.name === ref.name) === i,
  );
}

/** Whom a group lets in. Without permissive mode nobody, until access policies say otherwise. */
function permissionOf(group: NodeGroup): Permission {
  switch (group.view.kind) {
    case "everything":
      return { kind: "any-mesh-identity" };
    case "nothing":
      return { kind: "allow", identities: [] };
  }
}

function inboundSide(group: NodeGroup, ports: readonly Port[], context: GroupContext): readonly Leaf[] {
  const { trustDomain, tls } = context.transport;
  return [
    ...ports.map(
      ({ port, protocol, origins }): Leaf => ({
        kind: "local-cluster",
        name: localClusterName(port),
        origins,
        port,
        protocol,
      }),
    ),
    ...ports.flatMap(port => (port.protocol === "tcp" ? [] : [inboundRoutes(port, group, context)])),
    {
      kind: "inbound-listener",
      name: INBOUND_LISTENER,
      origins: unique(ports.flatMap(port => port.origins)),
      identity: group.identity,
      trustDomain,
      tls,
      ports: ports.map(port => inboundPort(port, group, context)),
      ipv6: group.ipv6,
    },
  ];
}

function inboundPort({ port, protocol }: Port, group: NodeGroup, context: GroupContext): InboundPort {
  const permission = permissionOf(group);
  const { authorization } = context;
  if (protocol === "tcp") {
    const backends = [{ cluster: localClusterName(port), weight: 1 }];
    return { port, handling: { kind: "tcp", backends }, permission, externalAuthorization: undefined };
  }
  return {
    port,
    handling: { kind: "http", routeTable: inboundRouteTableName(port), tracing: context.tracing },
    permission,
    externalAuthorization: authorization.kind === "ask" ? authorization.server : undefined,
  };
}

function inboundRoutes({ port, origins }: Port, group: NodeGroup, context: GroupContext): RouteTableLeaf {
  const denied = context.authorization.kind === "deny";
  return {
    kind: "route-table",
    name: inboundRouteTableName(port),
    direction: "inbound",
    origins,
    trustDomain: context.transport.trustDomain,
    rules: [
      {
        name: "any",
        matches: [{ path: { kind: "any" }, methods: [], headers: [] }],
        permission: denied ? { kind: "allow", identities: [] } : permissionOf(group),
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
