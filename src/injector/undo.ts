import { INIT_CONTAINER, LABEL_PROXY_UUID, SIDECAR_CONTAINER } from "../model/mesh-words";
import { HANDLER_KINDS, handlerOf, handlerPath, withHandler } from "./handlers";
import {
  ANNOTATION_ROOT_SDS,
  ANNOTATION_TOKEN_SDS,
  ENV_ORIGINALS,
  RESERVED_VOLUMES,
  unescapeExpansion,
} from "./names";
import type { Container, ContainerList, Handler, PodJson, PodMetadata, PodSpec } from "./pod";
import { CONTAINER_LISTS, containersOf, everyContainer, without } from "./pod";
import type { OriginalHandler } from "./rewrite";
import { replaceContainers, restoreNetworkPart } from "./rewrite";

/** A pod without injection, and what is kept of an earlier one. */
export interface Uninjected {
  readonly pod: PodJson;
  /** Undefined when the pod was not injected. */
  readonly earlier: Earlier | undefined;
}

/** What an earlier injection left that a new one must keep. */
export interface Earlier {
  readonly proxyUuid: string | undefined;
  readonly sidecar: Container;
  readonly init: Container | undefined;
  /** Names of all volumes in their order, which has no meaning and is kept. */
  readonly volumeOrder: readonly string[];
}

/**
 * Takes an injected pod back to what its owner wrote; any other pod is returned as it is. A pod counts as injected only
 * when its sidecar carries our record of originals, so a container that is merely called `envoy` never does.
 *
 * Injecting is always "undo, then do": a second call (reinvocation, `kubectl debug` copies) gives the same pod, and a
 * pod that somebody prepared to look injected ends with our real sidecar.
 */
export function uninject(pod: PodJson): Uninjected {
  const sidecar = findOurs(pod);
  if (sidecar === undefined) return { pod, earlier: undefined };
  const proxyUuid = pod.metadata?.labels?.[LABEL_PROXY_UUID];
  const init = containersOf(pod, "initContainers").find(container => container.name === INIT_CONTAINER);
  const stripped = stripMetadata(stripSpec(pod));
  const restored = restoreHandlers(stripped, readOriginals(sidecar), proxyUuid ?? "");
  const volumeOrder = (pod.spec?.volumes ?? []).map(({ name }) => name);
  return { pod: restored, earlier: { proxyUuid, sidecar, init, volumeOrder } };
}

function findOurs(pod: PodJson): Container | undefined {
  for (const { container } of everyContainer(pod)) {
    if (container.name !== SIDECAR_CONTAINER) continue;
    if (container.env?.some(variable => variable.name === ENV_ORIGINALS) === true) return container;
  }
  return undefined;
}

function stripSpec(pod: PodJson): PodJson {
  const kept = (list: ContainerList): readonly Container[] =>
    containersOf(pod, list).filter(({ name }) => name !== SIDECAR_CONTAINER && name !== INIT_CONTAINER);
  const initContainers = kept("initContainers");
  const volumes = (pod.spec?.volumes ?? []).filter(({ name }) => !RESERVED_VOLUMES.includes(name));
  const spec: PodSpec = {
    ...without(pod.spec ?? {}, "initContainers", "volumes"),
    containers: kept("containers"),
    ...(initContainers.length > 0 ? { initContainers } : {}),
    ...(volumes.length > 0 ? { volumes } : {}),
  };
  return { ...pod, spec };
}

function stripMetadata(pod: PodJson): PodJson {
  const labels = without(pod.metadata?.labels ?? {}, LABEL_PROXY_UUID);
  const annotations = without(pod.metadata?.annotations ?? {}, ANNOTATION_TOKEN_SDS, ANNOTATION_ROOT_SDS);
  const metadata: PodMetadata = {
    ...without(pod.metadata ?? {}, "labels", "annotations"),
    ...(Object.keys(labels).length > 0 ? { labels } : {}),
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  };
  return { ...pod, metadata };
}

/** Handlers that somebody changed or removed since then are left as they are now. */
function restoreHandlers(pod: PodJson, originals: readonly OriginalHandler[], proxyUuid: string): PodJson {
  const changed = new Map<Container, Container>();
  for (const original of originals) {
    const container = containersOf(pod, original.list).find(({ name }) => name === original.container);
    if (container === undefined) continue;
    const current = changed.get(container) ?? container;
    const handler = handlerOf(current, original.kind);
    if (handler === undefined || !isRewritten(handler, original, proxyUuid)) continue;
    const restored = restoreNetworkPart(handler, original.handler);
    changed.set(container, withHandler(current, original.kind, restored));
  }
  return replaceContainers(pod, changed);
}

function isRewritten(handler: Handler, original: OriginalHandler, proxyUuid: string): boolean {
  if (original.handler.grpc !== undefined) return handler.grpc !== undefined;
  const ours = handlerPath(original.kind, original.container, proxyUuid);
  const hookOfUnknownUuid = proxyUuid === "" && (handler.httpGet?.path ?? "").startsWith(ours);
  return handler.httpGet?.path === ours || hookOfUnknownUuid;
}

/** Reads the record; anything malformed in it counts as absent (it is the pod owner's word, and only about probes). */
function readOriginals(sidecar: Container): readonly OriginalHandler[] {
  const written = sidecar.env?.find(variable => variable.name === ENV_ORIGINALS)?.value ?? "[]";
  const parsed = parseJson(unescapeExpansion(written));
  return Array.isArray(parsed) ? parsed.filter(isOriginal) : [];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isOriginal(value: unknown): value is OriginalHandler {
  if (!isObject(value)) return false;
  const { list, container, kind, handler } = value;
  if (typeof container !== "string" || !isNetworkHandler(handler)) return false;
  return isOneOf<ContainerList>(CONTAINER_LISTS, list) && isOneOf(HANDLER_KINDS, kind);
}

function isNetworkHandler(handler: unknown): handler is Handler {
  if (!isObject(handler)) return false;
  const { httpGet, tcpSocket, grpc } = handler;
  const present = [httpGet, tcpSocket, grpc].filter(action => action !== undefined);
  return present.length === 1 && present.every(isAction);
}

function isAction(action: unknown): boolean {
  if (!isObject(action)) return false;
  const { port, path, host, scheme } = action;
  const texts = [path, host, scheme].every(text => text === undefined || typeof text === "string");
  return texts && (typeof port === "number" || typeof port === "string");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isOneOf<T>(words: readonly T[], word: unknown): word is T {
  return (words as readonly unknown[]).includes(word);
}
