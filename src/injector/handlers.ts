import {
  PORT_HEALTHCHECK,
  PORT_LIVENESS,
  PORT_READINESS,
  PORT_STARTUP,
  RESERVED_PORTS,
} from "../model/mesh-words";
import type { Container, ContainerList, Handler, Lifecycle, LocatedContainer, PodJson, Probe } from "./pod";
import { everyContainer } from "./pod";

/**
 * Where the kubelet calls into a container. The kubelet is outside the mesh, so what it calls by network would be
 * refused by the sidecar's inbound listener; each such call is redirected to a listener of its own with one exact path.
 */
export type HandlerKind = "livenessProbe" | "readinessProbe" | "startupProbe" | "postStart" | "preStop";

/** Kinds in the order in which they are treated. */
export const HANDLER_KINDS: readonly HandlerKind[] = [
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "postStart",
  "preStop",
];

const PORT_OF: Readonly<Record<HandlerKind, number>> = {
  livenessProbe: PORT_LIVENESS,
  readinessProbe: PORT_READINESS,
  startupProbe: PORT_STARTUP,
  postStart: PORT_HEALTHCHECK,
  preStop: PORT_HEALTHCHECK,
};

const WORD_OF: Readonly<Record<HandlerKind, string>> = {
  livenessProbe: "osm-liveness-probe",
  readinessProbe: "osm-readiness-probe",
  startupProbe: "osm-startup-probe",
  postStart: "osm-post-start-hook",
  preStop: "osm-pre-stop-hook",
};

/** The port that a kind's handlers are served on. */
export function handlerPort(kind: HandlerKind): number {
  return PORT_OF[kind];
}

/**
 * The path that a handler is served on. Hooks often do something (`/shutdown`), so their path also holds the pod's
 * random `osm-proxy-uuid`: only who may read the pod can call them. Probes keep OSM's well-known path.
 */
export function handlerPath(kind: HandlerKind, container: string, proxyUuid: string): string {
  const path = `/${WORD_OF[kind]}/${container}`;
  return isHook(kind) ? `${path}/${proxyUuid}` : path;
}

/** True for the lifecycle hooks. */
export function isHook(kind: HandlerKind): boolean {
  return kind === "postStart" || kind === "preStop";
}

/** One handler of one container. */
export interface LocatedHandler {
  readonly list: ContainerList;
  readonly container: Container;
  readonly kind: HandlerKind;
  readonly handler: Handler;
  readonly field: string;
  /** Seconds the kubelet waits; 0 is without limit (hooks). */
  readonly timeoutSeconds: number;
}

/** Every handler of every container in a fixed order. Plain init containers can have none. */
export function* everyHandler(pod: PodJson): Generator<LocatedHandler> {
  for (const place of everyContainer(pod)) {
    for (const kind of HANDLER_KINDS) {
      const handler = handlerOf(place.container, kind);
      if (handler !== undefined) yield located(place, kind, handler);
    }
  }
}

function located(place: LocatedContainer, kind: HandlerKind, handler: Handler): LocatedHandler {
  const field = `${place.field}.${isHook(kind) ? "lifecycle." : ""}${kind}`;
  const timeoutSeconds = isHook(kind) ? 0 : ((handler as Probe).timeoutSeconds ?? 1);
  return { list: place.list, container: place.container, kind, handler, field, timeoutSeconds };
}

/** The handler of a kind, if the container has one. */
export function handlerOf(container: Container, kind: HandlerKind): Handler | undefined {
  if (kind === "postStart" || kind === "preStop") return container.lifecycle?.[kind];
  return container[kind];
}

/** The container with one handler replaced. */
export function withHandler(container: Container, kind: HandlerKind, handler: Handler): Container {
  if (!isHook(kind)) return { ...container, [kind]: handler };
  const lifecycle: Lifecycle = { ...container.lifecycle, [kind]: handler };
  return { ...container, lifecycle };
}

/**
 * The number of a handler's port: a number, a decimal string, or the name of a TCP port of the same container, which
 * is how the kubelet resolves it. Undefined when the name is not declared (such a probe never succeeds anywhere).
 */
export function resolvePort(container: Container, port: number | string): number | undefined {
  if (typeof port === "number") return port;
  const named = container.ports?.find(declared => declared.name === port);
  if (named !== undefined) return named.containerPort;
  return /^\d{1,5}$/.test(port) ? Number(port) : undefined;
}

/** True for a port that the sidecar keeps for itself in every pod. */
export function isReservedPort(port: number): boolean {
  return RESERVED_PORTS.includes(port);
}
