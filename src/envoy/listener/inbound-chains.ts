import { callerGateName } from "../../model/caller-gate";
import { MESH_ALPN } from "../../model/mesh-words";
import type { InboundListenerLeaf, InboundPort, IngressChain, Permission } from "../../policy/types";
import { ANY_SOURCE, cidrRange } from "../address";
import type {
  Filter,
  FilterChain,
  FilterChainMatch,
} from "../api/generated/envoy/config/listener/v3/listener_components";
import { httpConnectionManager } from "../http-connection-manager";
import { connectionLimits } from "../limits";
import { tcpProxy } from "../tcp-filters";
import { inboundTls, ingressTls } from "../tls";
import { callerGateFormat, chooseCallerGate } from "./caller-gate";

type Http = Extract<InboundPort["handling"], { kind: "http" }>;
type Tcp = Extract<InboundPort["handling"], { kind: "tcp" }>;

/** Whose chain it is: callers with an identity of the mesh, or others whom a policy lets in. */
interface ChainKind {
  readonly routeTable: string;
  readonly perCaller: boolean;
  /** Its callers are none of the mesh, so nobody has counted their requests before they came here. */
  readonly strangers: boolean;
}

function http(leaf: InboundListenerLeaf, inbound: InboundPort, handling: Http, kind: ChainKind): Filter {
  return httpConnectionManager({
    direction: "inbound",
    routeTable: kind.routeTable,
    tracing: handling.tracing,
    escapedSlashes: handling.escapedSlashes,
    externalAuthorization: inbound.externalAuthorization,
    globalLimit: inbound.globalHttpLimit,
    accessLog: leaf.accessLog,
    ...(kind.perCaller ? { callerGate: callerGateFormat(inbound.port) } : {}),
    ...(kind.strangers
      ? { counting: { source: "unknown", destination: "self", grpc: handling.grpc === true } }
      : {}),
  });
}

function tcp(
  leaf: InboundListenerLeaf,
  port: number,
  handling: Pick<Tcp, "backends">,
  direction: "inbound" | "plain",
): Filter {
  const { backends } = handling;
  return tcpProxy({ direction, statPrefix: `inbound|${port}`, backends, accessLog: leaf.accessLog });
}

/** What mesh callers meet after the handshake. */
function meshFilters(leaf: InboundListenerLeaf, inbound: InboundPort): Filter[] {
  const { handling, port } = inbound;
  const perCaller = inbound.perCaller === true;
  if (handling.kind === "http")
    return [http(leaf, inbound, handling, { routeTable: handling.routeTable, perCaller, strangers: false })];
  if (!perCaller) return [tcp(leaf, port, handling, "inbound")];
  // The gate is chosen by the certificate. Should that ever not happen, the way leads to nobody's gate, which is not there.
  const nobody = { backends: [{ cluster: callerGateName(port, "nobody"), weight: 1 }] };
  return [chooseCallerGate(port), tcp(leaf, port, nobody, "inbound")];
}

/**
 * Who completes the TLS handshake. For HTTP any workload: its rules answer 403 with their own permission, and live in the
 * route table where a change is immediate. For TCP the handshake is the decision, since a server may speak first; where
 * callers have gates, the gates are.
 */
function handshakePermission(inbound: InboundPort): Permission {
  const decidedLater = inbound.handling.kind === "http" || inbound.perCaller === true;
  return decidedLater ? { kind: "any-mesh-identity" } : inbound.permission;
}

/**
 * The chains of mesh callers. Envoy looks at the server name before it looks at the protocol inside, and does not look
 * back: a name that an ingress chain takes needs a mesh chain of its own, or nobody of the mesh could use that name.
 * Chains of HTTP name every source, so that they are chosen before one of bytes, which names none and may be there as well:
 * a chain goes on with its connections only as long as it is there, the same to the byte.
 */
function meshChains(leaf: InboundListenerLeaf, inbound: InboundPort): FilterChain[] {
  const bytes = inbound.handling.kind === "tcp";
  const name = bytes ? `${inbound.port}|bytes` : String(inbound.port);
  const match: FilterChainMatch = {
    destinationPort: inbound.port,
    transportProtocol: "tls",
    applicationProtocols: [MESH_ALPN],
    ...(bytes ? {} : { directSourcePrefixRanges: ANY_SOURCE }),
  };
  const rest = {
    transportSocket: inboundTls(leaf.trustDomain, leaf.tls, handshakePermission(inbound)),
    filters: [...connectionLimits(inbound), ...meshFilters(leaf, inbound)],
  };
  const taken = usable(inbound.ingress).flatMap(({ tls }) => tls?.serverNames ?? []);
  const chain: FilterChain = { name, filterChainMatch: match, ...rest };
  if (taken.length === 0) return [chain];
  const serverNames = [...new Set(taken)].sort();
  return [chain, { name: `${name}|ingress-names`, filterChainMatch: { ...match, serverNames }, ...rest }];
}

/** A chain for nobody's address is no chain. */
function usable(chains: readonly IngressChain[] | undefined): readonly IngressChain[] {
  return (chains ?? []).filter(({ cidrs }) => cidrs.length > 0);
}

function ingressChain(leaf: InboundListenerLeaf, inbound: InboundPort, handling: Http): FilterChain[] {
  return usable(inbound.ingress).map((ingress): FilterChain => {
    const { tls, routeTable } = ingress;
    const filterChainMatch: FilterChainMatch = {
      destinationPort: inbound.port,
      sourcePrefixRanges: ingress.cidrs.map(cidrRange),
      transportProtocol: tls === undefined ? "raw_buffer" : "tls",
      ...(tls === undefined ? {} : { serverNames: [...tls.serverNames] }),
    };
    return {
      name: `${inbound.port}|ingress|${ingress.name}`,
      filterChainMatch,
      ...(tls === undefined ? {} : { transportSocket: ingressTls(leaf.tls, tls.verifyClient) }),
      filters: [
        ...connectionLimits(inbound),
        http(leaf, inbound, handling, { routeTable, perCaller: false, strangers: true }),
      ],
    };
  });
}

/** Callers without mutual TLS, while a namespace migrates. */
function plaintextChain(leaf: InboundListenerLeaf, inbound: InboundPort): FilterChain[] {
  const { plaintext, handling, port } = inbound;
  if (plaintext === undefined) return [];
  const filter =
    handling.kind === "tcp"
      ? tcp(leaf, port, handling, "plain")
      : http(leaf, inbound, handling, {
          routeTable: plaintext.routeTable ?? handling.routeTable,
          perCaller: false,
          strangers: true,
        });
  return [
    {
      name: `${port}|plaintext`,
      filterChainMatch: { destinationPort: port, transportProtocol: "raw_buffer" },
      filters: [...connectionLimits(inbound), filter],
    },
  ];
}

/** Every way into one served port: of the mesh, of ingress, and plaintext where that is allowed. */
export function inboundChains(leaf: InboundListenerLeaf, inbound: InboundPort): FilterChain[] {
  const { handling, formerly } = inbound;
  return [
    ...meshChains(leaf, inbound),
    ...(formerly === undefined ? [] : meshChains(leaf, formerly)),
    ...(handling.kind === "http" ? ingressChain(leaf, inbound, handling) : []),
    ...plaintextChain(leaf, inbound),
  ];
}
