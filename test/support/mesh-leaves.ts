import { callerGateName } from "../../src/model/caller-gate";
import { type ServiceIdentity, spiffeId } from "../../src/model/identity";
import type {
  AppProtocol,
  Backend,
  CallerClusterLeaf,
  CallerGateLeaf,
  EndpointSetLeaf,
  ExternalAuthorization,
  InboundListenerLeaf,
  InboundPort,
  Leaf,
  LocalClusterLeaf,
  OutboundListenerLeaf,
  Permission,
  RouteTableLeaf,
  TlsParameters,
  UpstreamClusterLeaf,
} from "../../src/policy/types";
import { TRUST_DOMAIN } from "./mesh";

/** TLS 1.3 at both ends, as MeshConfig's default. */
export const TLS_13: TlsParameters = {
  minVersion: "TLSv1_3",
  maxVersion: "TLSv1_3",
  cipherSuites: [],
  ecdhCurves: [],
};

/** Everybody with a certificate of the mesh. */
export const ANYBODY: Permission = { kind: "any-mesh-identity" };

/** A port of a Service as the tests' meshes have them. */
export interface TestPort {
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: AppProtocol;
}

/** A Service: its address, ports, the addresses of its pods and whom they run as. */
export interface TestService {
  readonly name: string;
  /** IPv4 and perhaps IPv6. */
  readonly addresses: readonly string[];
  readonly ports: readonly TestPort[];
  readonly endpoints: readonly string[];
  readonly identities: readonly ServiceIdentity[];
}

const origins: [] = [];

/** One rule for every request. */
export function everyRequest(
  backends: readonly Backend[],
  permission: Permission = ANYBODY,
): RouteTableLeaf["rules"] {
  const matches = [{ path: { kind: "any" as const }, methods: [], headers: [] }];
  return [{ name: "all", matches, permission, backends, origins }];
}

function upstream(
  name: string,
  service: TestService,
  port: TestPort,
  kind: "endpoints" | "original-destination",
): UpstreamClusterLeaf {
  return {
    kind: "upstream-cluster",
    name,
    origins,
    discovery: { kind },
    protocol: port.protocol,
    sni: `${service.name}.test.svc.cluster.local`,
    serverIdentities: service.identities,
    trustDomain: TRUST_DOMAIN,
    tls: TLS_13,
  };
}

const spoken = (protocol: AppProtocol): { grpc?: true } => (protocol === "grpc" ? { grpc: true } : {});

function frontend(
  cluster: string,
  addresses: readonly string[],
  port: number,
  protocol: AppProtocol,
): (OutboundListenerLeaf | RouteTableLeaf)[] {
  const backends = [{ cluster, weight: 1 }];
  const name = `${cluster}|${addresses.join(",")}`;
  const listener = { kind: "outbound-listener" as const, name, origins, addresses, port };
  if (protocol === "tcp") return [{ ...listener, handling: { kind: "tcp", backends } }];
  return [
    {
      ...listener,
      handling: { kind: "http", routeTable: name, tracing: undefined, ...spoken(protocol) },
    },
    {
      kind: "route-table",
      name,
      direction: "outbound",
      origins,
      trustDomain: TRUST_DOMAIN,
      rules: everyRequest(backends),
    },
  ];
}

/** Endpoints of a Service port. */
export function endpointsOf(service: TestService, port: TestPort): EndpointSetLeaf {
  return {
    kind: "endpoint-set",
    name: `${service.name}|${port.port}`,
    origins,
    endpoints: service.endpoints.map(address => ({ address, port: port.targetPort, zone: undefined })),
  };
}

/** What a client needs to reach a Service by its address. */
export function serviceLeaves(service: TestService): Leaf[] {
  return service.ports.flatMap((port): Leaf[] => {
    const cluster = `${service.name}|${port.port}`;
    return [
      upstream(cluster, service, port, "endpoints"),
      endpointsOf(service, port),
      ...frontend(cluster, service.addresses, port.port, port.protocol),
    ];
  });
}

/** What a client needs to reach the pods of a Service by their own addresses (headless, StatefulSet). */
export function podLeaves(service: TestService): Leaf[] {
  return service.ports.flatMap((port): Leaf[] => {
    const cluster = `${service.name}|${port.port}|pods`;
    return [
      upstream(cluster, service, port, "original-destination"),
      ...service.endpoints.flatMap(address => frontend(cluster, [address], port.targetPort, port.protocol)),
    ];
  });
}

/** The listener that takes all outbound connections; what is not of the mesh passes when `egress` is on. */
export function outboundLeaves(egress: boolean): Leaf[] {
  const passthroughCluster = egress ? "passthrough" : undefined;
  return [
    { kind: "passthrough-cluster", name: "passthrough", origins },
    { kind: "outbound-catch-all", name: "outbound", origins, passthroughCluster, ipv6: true },
  ];
}

/** A served port with everything behind it. */
export interface TestInbound {
  readonly port: number;
  readonly protocol: AppProtocol;
  readonly permission?: Permission;
  /** Instead of one rule for every request with {@link permission}. */
  readonly rules?: RouteTableLeaf["rules"];
  readonly externalAuthorization?: ExternalAuthorization;
  /** Everybody who gets a gate of its own; undefined: nobody has one, all reach the application directly. */
  readonly callers?: readonly ServiceIdentity[];
  /** Gates stand by and nobody goes through them, as on permissive ports (docs/decisions/0027-gates.md). */
  readonly standby?: boolean;
  /** Further terms of the port. */
  readonly terms?: Partial<InboundPort>;
  /** Further terms of its route table. */
  readonly table?: Partial<RouteTableLeaf>;
}

/** What says of a port or its route table that callers go through their gates. */
function perCaller({ callers, standby = false }: TestInbound): { readonly perCaller?: true } {
  return callers === undefined || standby ? {} : { perCaller: true };
}

/** The gates of the callers of a port, and the clusters that lead to them. */
function gates({ port, protocol, callers = [] }: TestInbound): (CallerGateLeaf | CallerClusterLeaf)[] {
  return callers.flatMap(caller => {
    const name = callerGateName(port, spiffeId(TRUST_DOMAIN, caller));
    return [
      { kind: "caller-cluster", name, origins, protocol },
      { kind: "caller-gate", name, origins, cluster: `local|${port}` },
    ];
  });
}

function inboundPort(given: TestInbound): InboundPort {
  const { port, protocol, permission = ANYBODY, externalAuthorization, terms } = given;
  const backends = [{ cluster: `local|${port}`, weight: 1 }];
  return {
    port,
    permission,
    externalAuthorization,
    ...perCaller(given),
    ...terms,
    handling:
      protocol === "tcp"
        ? { kind: "tcp", backends }
        : { kind: "http", routeTable: `inbound|${port}`, tracing: undefined, ...spoken(protocol) },
  };
}

/** The listener that takes all inbound connections, with its route tables and local clusters. */
export function inboundLeaves(identity: ServiceIdentity, ports: readonly TestInbound[]): Leaf[] {
  const listener: InboundListenerLeaf = {
    kind: "inbound-listener",
    name: "inbound",
    origins,
    identity,
    trustDomain: TRUST_DOMAIN,
    tls: TLS_13,
    ipv6: true,
    ports: ports.map(inboundPort),
    ...(ports.some(({ terms }) => terms?.plaintext !== undefined) ? { plaintext: true as const } : {}),
  };
  const clusters = ports.map(
    ({ port, protocol }): LocalClusterLeaf => ({
      kind: "local-cluster",
      name: `local|${port}`,
      origins,
      port,
      protocol,
    }),
  );
  const tables = ports
    .filter(({ protocol }) => protocol !== "tcp")
    .map(
      (given): RouteTableLeaf => ({
        kind: "route-table",
        name: `inbound|${given.port}`,
        direction: "inbound",
        origins,
        trustDomain: TRUST_DOMAIN,
        rules: given.rules ?? everyRequest([{ cluster: `local|${given.port}`, weight: 1 }], given.permission),
        ...perCaller(given),
        ...given.table,
      }),
    );
  return [listener, ...clusters, ...tables, ...ports.flatMap(gates)];
}
