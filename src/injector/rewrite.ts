import { RESERVED_PORTS } from "../model/mesh-words";
import type { HandlerKind, LocatedHandler } from "./handlers";
import { everyHandler, handlerPath, handlerPort, isReservedPort, resolvePort, withHandler } from "./handlers";
import { FIRST_GRPC_PROBE_PORT, LAST_GRPC_PROBE_PORT } from "./names";
import type { Container, ContainerList, Handler, HttpGetAction, JsonObject, PodJson } from "./pod";
import { CONTAINER_LISTS, containersOf, everyContainer, without } from "./pod";

/** A call of the kubelet that a static listener of the sidecar passes to the application on loopback. */
export type KubeletRoute =
  | {
      readonly protocol: "http" | "https";
      readonly listenPort: number;
      readonly path: string;
      readonly targetPort: number;
      /** Request target at the application: path with query, always starting with `/`. */
      readonly target: string;
      readonly timeoutSeconds: number;
    }
  | {
      /** Succeeds when a TCP connection to the port can be made. */
      readonly protocol: "tcp";
      readonly listenPort: number;
      readonly path: string;
      readonly targetPort: number;
      readonly timeoutSeconds: number;
    }
  | {
      /** The gRPC health protocol's `Check`, passed through with the service name in its body. */
      readonly protocol: "grpc";
      readonly listenPort: number;
      readonly targetPort: number;
      readonly timeoutSeconds: number;
    };

/** A handler as it was before injection. */
export interface OriginalHandler {
  readonly list: ContainerList;
  readonly container: string;
  readonly kind: HandlerKind;
  /** Only what rewriting changes: path, port and scheme. */
  readonly handler: Handler;
}

/** A pod whose network handlers point at the sidecar, and what the sidecar must serve for them. */
export interface Rewritten {
  readonly pod: PodJson;
  readonly routes: readonly KubeletRoute[];
  readonly originals: readonly OriginalHandler[];
}

/** Why handlers cannot be rewritten. */
export interface RewriteFault {
  readonly field: string;
  readonly message: string;
}

interface Replacement {
  readonly handler: Handler;
  readonly route: KubeletRoute;
}

/**
 * Points every network handler of a pod at the sidecar. Left alone: `exec`, handlers with `host` (they call somewhere
 * else), ports whose name is not declared, and `tcpSocket` hooks (deprecated; the kubelet itself refuses to run them).
 */
export function rewriteHandlers(pod: PodJson, proxyUuid: string): Rewritten | RewriteFault {
  const grpcPorts = new GrpcPorts(pod);
  const changed = new Map<Container, Container>();
  const routes = new Map<string, KubeletRoute>();
  const originals: OriginalHandler[] = [];
  for (const located of everyHandler(pod)) {
    const target = targetPort(located);
    if (target === undefined) continue;
    if (isReservedPort(target)) {
      return {
        field: located.field,
        message: `port ${target} belongs to the sidecar (reserved: ${RESERVED_PORTS.join(", ")})`,
      };
    }
    const replacement = replace(located, target, { proxyUuid, grpcPorts });
    if (replacement === undefined) {
      return { field: located.field, message: "no port is left for a listener of this gRPC probe" };
    }
    const current = changed.get(located.container) ?? located.container;
    changed.set(located.container, withHandler(current, located.kind, replacement.handler));
    mergeRoute(routes, replacement.route);
    originals.push({
      list: located.list,
      container: located.container.name,
      kind: located.kind,
      handler: networkPart(located.handler),
    });
  }
  return { pod: replaceContainers(pod, changed), routes: [...routes.values()], originals };
}

/** The number of the port that a handler calls; undefined when the handler is to be left alone. */
function targetPort(located: LocatedHandler): number | undefined {
  const { httpGet, tcpSocket, grpc } = located.handler;
  const hook = located.kind === "postStart" || located.kind === "preStop";
  if (httpGet !== undefined && !hasHost(httpGet)) return resolvePort(located.container, httpGet.port);
  if (hook) return undefined;
  if (tcpSocket !== undefined && !hasHost(tcpSocket)) return resolvePort(located.container, tcpSocket.port);
  return grpc?.port;
}

function hasHost(action: { readonly host?: string }): boolean {
  return action.host !== undefined && action.host !== "";
}

function replace(
  located: LocatedHandler,
  target: number,
  means: { readonly proxyUuid: string; readonly grpcPorts: GrpcPorts },
): Replacement | undefined {
  const { handler, kind, container, timeoutSeconds } = located;
  const listenPort = handlerPort(kind);
  const path = handlerPath(kind, container.name, means.proxyUuid);
  const rest = without(handler, "httpGet", "tcpSocket", "grpc");
  if (handler.httpGet !== undefined) {
    const protocol = handler.httpGet.scheme?.toUpperCase() === "HTTPS" ? "https" : "http";
    const original = requestTarget(handler.httpGet.path ?? "/");
    return {
      handler: { ...rest, httpGet: { ...handler.httpGet, path, port: listenPort, scheme: "HTTP" } },
      route: { protocol, listenPort, path, targetPort: target, target: original, timeoutSeconds },
    };
  }
  if (handler.tcpSocket !== undefined) {
    const httpGet: HttpGetAction = { path, port: listenPort, scheme: "HTTP" };
    return {
      handler: { ...rest, httpGet },
      route: { protocol: "tcp", listenPort, path, targetPort: target, timeoutSeconds },
    };
  }
  const port = means.grpcPorts.listenerFor(target);
  if (port === undefined || handler.grpc === undefined) return undefined;
  return {
    handler: { ...rest, grpc: { ...handler.grpc, port } },
    route: { protocol: "grpc", listenPort: port, targetPort: target, timeoutSeconds },
  };
}

/** gRPC probes of the same application port share a listener, which then waits for the longest of them. */
function mergeRoute(routes: Map<string, KubeletRoute>, route: KubeletRoute): void {
  const key = route.protocol === "grpc" ? String(route.listenPort) : `${route.listenPort}${route.path}`;
  const present = routes.get(key);
  const timeoutSeconds = Math.max(present?.timeoutSeconds ?? 0, route.timeoutSeconds);
  routes.set(key, { ...route, timeoutSeconds });
}

/** Gives each application port that a gRPC probe calls a listener port that no container of the pod declares. */
class GrpcPorts {
  private readonly given = new Map<number, number>();
  private readonly declared: ReadonlySet<number>;
  private next = FIRST_GRPC_PROBE_PORT;

  constructor(pod: PodJson) {
    const ports = [...everyContainer(pod)].flatMap(({ container }) => container.ports ?? []);
    this.declared = new Set(ports.map(port => port.containerPort));
  }

  listenerFor(target: number): number | undefined {
    const known = this.given.get(target);
    if (known !== undefined) return known;
    while (this.declared.has(this.next)) this.next += 1;
    if (this.next > LAST_GRPC_PROBE_PORT) return undefined;
    const port = this.next;
    this.given.set(target, port);
    this.next += 1;
    return port;
  }
}

/** The fields of a handler that rewriting changes; the others (headers, service name) are found where they were. */
function networkPart({ httpGet, tcpSocket, grpc }: Handler): Handler {
  if (httpGet !== undefined) return { httpGet: pick(httpGet, "path", "port", "scheme") };
  if (tcpSocket !== undefined) return { tcpSocket: pick(tcpSocket, "port", "host") };
  return grpc === undefined ? {} : { grpc: pick(grpc, "port") };
}

/** The handler with its network part exchanged for a recorded one. */
export function restoreNetworkPart(handler: Handler, original: Handler): Handler {
  const rest = without(handler, "httpGet", "tcpSocket", "grpc");
  const { httpGet, tcpSocket, grpc } = original;
  if (httpGet !== undefined) {
    const kept = without(handler.httpGet ?? {}, "path", "port", "scheme");
    return { ...rest, httpGet: { ...kept, ...httpGet } };
  }
  if (grpc !== undefined) return { ...rest, grpc: { ...handler.grpc, ...grpc } };
  return { ...rest, ...(tcpSocket === undefined ? {} : { tcpSocket }) };
}

function pick<T extends JsonObject>(object: T, ...fields: readonly string[]): T {
  return Object.fromEntries(Object.entries(object).filter(([key]) => fields.includes(key))) as T;
}

/** The pod with some of its containers exchanged, by identity. */
export function replaceContainers(pod: PodJson, changed: ReadonlyMap<Container, Container>): PodJson {
  if (changed.size === 0) return pod;
  const spec: Record<string, unknown> = { ...pod.spec };
  for (const list of CONTAINER_LISTS) {
    if (pod.spec?.[list] === undefined) continue;
    spec[list] = containersOf(pod, list).map(container => changed.get(container) ?? container);
  }
  return { ...pod, spec };
}

/**
 * What the kubelet would put on the request line for a probe's `path` (it parses the path as part of a URL): leading
 * slash added, fragment dropped, characters that cannot stand in a request percent-encoded.
 */
export function requestTarget(path: string): string {
  const [withoutFragment = ""] = path.replace(/[\ud800-\udfff]/gu, "\ufffd").split("#", 1);
  const rooted = withoutFragment.startsWith("/") ? withoutFragment : `/${withoutFragment}`;
  return rooted.replace(/[^\x21-\x7e]+|["<>\\^`{|}]/gu, part => encodeURIComponent(part));
}
