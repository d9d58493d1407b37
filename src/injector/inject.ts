import type { MeshConfigSpec } from "../api/mesh-config";
import { ANNOTATION_METRICS, LABEL_PROXY_UUID, PORT_METRICS } from "../model/mesh-words";
import { controllerOf, type Owner } from "../model/owner";
import type { PodTrafficLists, Read } from "./annotations";
import { readSwitch, readTrafficLists } from "./annotations";
import { bootstrap, sdsDocuments } from "./bootstrap";
import type { NamespaceFacts, SkipEvent, SkipReason } from "./decide";
import { decide } from "./decide";
import { ANNOTATION_ROOT_SDS, ANNOTATION_TOKEN_SDS } from "./names";
import type { Container, PodJson, PodMetadata, PodSpec, Volume } from "./pod";
import { containersOf } from "./pod";
import { planRedirect } from "./redirect";
import { findConflict } from "./reserved";
import { mergeResources } from "./resources";
import type { Rewritten } from "./rewrite";
import { rewriteHandlers } from "./rewrite";
import type { SidecarInput } from "./sidecar";
import { initContainer, sidecarContainer, sidecarVolumes } from "./sidecar";
import type { Earlier } from "./undo";
import { uninject } from "./undo";

/** What the injector is started with; the same for every pod. */
export interface InjectorSettings {
  readonly meshName: string;
  readonly osmNamespace: string;
  readonly trustDomain: string;
  /** Images of this release, used where MeshConfig names none. */
  readonly images: { readonly envoy: string; readonly init: string };
  /** `host:port` of ADS. A literal address is used as it is, so that pods need no DNS for it. */
  readonly adsAddress: string;
  /** The cluster knows restartable init containers (Kubernetes 1.29 and later). */
  readonly nativeSidecar: boolean;
  /** The cluster gives pods IPv6 addresses: the kubelet's listeners listen on `::` too. */
  readonly ipv6: boolean;
}

/** One pod to be created. */
export interface InjectionRequest {
  readonly pod: PodJson;
  /** Random identifier of the admission request: label `osm-proxy-uuid` of a pod that has none of ours yet. */
  readonly uid: string;
  readonly namespace: NamespaceFacts;
  readonly meshConfig: MeshConfigSpec;
  readonly settings: InjectorSettings;
}

/** What becomes of the pod. */
export type InjectionResult =
  | { readonly kind: "inject"; readonly pod: PodJson }
  | { readonly kind: "skip"; readonly reason: SkipReason; readonly event?: SkipEvent }
  | { readonly kind: "refuse"; readonly field: string; readonly message: string };

/**
 * Pod and mesh configuration to injected pod. Pure; the argument is not changed. Injecting an injected pod gives the
 * same pod again. A refusal's message names the annotation or field that its owner has to change.
 */
export function inject(request: InjectionRequest): InjectionResult {
  const { pod, namespace, settings } = request;
  const decision = decide(pod, namespace, settings);
  if (decision.kind !== "inject") return decision;
  const { pod: original, earlier } = uninject(pod);
  const conflict = findConflict(original);
  if (conflict !== undefined) return refuse(conflict);
  const wishes = readWishes(original, namespace);
  if (!wishes.ok) return refuse(wishes);
  const proxyUuid = earlier?.proxyUuid ?? request.uid;
  const rewritten = rewriteHandlers(original, proxyUuid);
  if ("field" in rewritten) return refuse(rewritten);
  return { kind: "inject", pod: assemble(rewritten, { request, earlier, ...wishes.value, proxyUuid }) };
}

interface Wishes {
  readonly lists: PodTrafficLists;
  readonly metrics: boolean;
}

function readWishes(pod: PodJson, namespace: NamespaceFacts): Read<Wishes> {
  const lists = readTrafficLists(pod.metadata?.annotations ?? {});
  if (!lists.ok) return lists;
  const metrics = readSwitch(namespace.annotations, ANNOTATION_METRICS, `namespace ${namespace.name}`);
  if (!metrics.ok) return metrics;
  return { ok: true, value: { lists: lists.value, metrics: metrics.value === true } };
}

function refuse(fault: { readonly field: string; readonly message: string }): InjectionResult {
  const message = `${fault.field}: ${fault.message}`;
  return { kind: "refuse", field: fault.field, message };
}

interface Parts extends Wishes {
  readonly request: InjectionRequest;
  readonly earlier: Earlier | undefined;
  readonly proxyUuid: string;
}

function assemble(rewritten: Rewritten, parts: Parts): PodJson {
  const { request, earlier, metrics } = parts;
  const { meshConfig, settings } = request;
  const { routes } = rewritten;
  const input: SidecarInput = {
    meshConfig,
    images: settings.images,
    native: settings.nativeSidecar,
    bootstrap: bootstrap({ adsAddress: settings.adsAddress, routes, metrics, ipv6: settings.ipv6 }),
    routes,
    originals: rewritten.originals,
    metrics,
    serviceCluster: serviceCluster(request),
    self: { namespace: request.namespace.name, owner: controllingOwner(rewritten.pod.metadata ?? {}) },
  };
  const plan = planRedirect(meshConfig, parts.lists, [...new Set(routes.map(route => route.listenPort))]);
  const sidecar = keepDefaults(sidecarContainer(input), earlier?.sidecar);
  const init = keepDefaults(initContainer(input, plan), earlier?.init);
  const volumes = placeVolumes(rewritten.pod, earlier?.volumeOrder ?? []);
  const spec = place(rewritten.pod, { sidecar, init, volumes, native: input.native });
  return { ...rewritten.pod, metadata: metadata(rewritten.pod, parts), spec };
}

function controllingOwner({ labels = {}, ownerReferences = [] }: PodMetadata): Owner | undefined {
  return controllerOf({ labels, controller: ownerReferences.find(({ controller }) => controller === true) });
}

function serviceCluster(request: InjectionRequest): string {
  return `${request.pod.spec?.serviceAccountName ?? "default"}.${request.namespace.name}`;
}

/** What the API server or a LimitRange filled in for a container that we left open. */
function keepDefaults(container: Container, earlier: Container | undefined): Container {
  if (earlier?.resources === undefined) return container;
  return { ...container, resources: mergeResources(container.resources ?? {}, earlier.resources) };
}

/** Ours come last, or where they were: the API server may have added one of its own behind them. */
function placeVolumes(pod: PodJson, order: readonly string[]): readonly Volume[] {
  const volumes = [...(pod.spec?.volumes ?? []), ...sidecarVolumes()];
  const rank = (volume: Volume): number => {
    const index = order.indexOf(volume.name);
    return index < 0 ? order.length : index;
  };
  return volumes.sort((a, b) => rank(a) - rank(b));
}

interface Placement {
  readonly sidecar: Container;
  readonly init: Container;
  readonly volumes: readonly Volume[];
  readonly native: boolean;
}

/**
 * Native: redirect rules and sidecar come first, so that the owner's init containers already speak through the mesh.
 * Classic: as in OSM, the owner's init containers run before the rules, because no sidecar would serve them yet.
 */
function place(pod: PodJson, parts: Placement): PodSpec {
  const own = containersOf(pod, "initContainers");
  const { volumes } = parts;
  if (parts.native) {
    return { ...pod.spec, volumes, initContainers: [parts.init, parts.sidecar, ...own] };
  }
  const containers = [...containersOf(pod, "containers"), parts.sidecar];
  return { ...pod.spec, volumes, initContainers: [...own, parts.init], containers };
}

function metadata(pod: PodJson, parts: Parts): PodMetadata {
  const documents = sdsDocuments();
  const scrape = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": String(PORT_METRICS),
    "prometheus.io/path": "/stats/prometheus",
  };
  return {
    ...pod.metadata,
    labels: { ...pod.metadata?.labels, [LABEL_PROXY_UUID]: parts.proxyUuid },
    annotations: {
      ...pod.metadata?.annotations,
      ...(parts.metrics ? scrape : {}),
      [ANNOTATION_TOKEN_SDS]: documents.token,
      [ANNOTATION_ROOT_SDS]: documents.root,
    },
  };
}
