/** What a cluster adds to Services that are only written down: an address, and EndpointSlices. */
import { selects, targetOf, tcpPortsOf } from "../../catalog/node-groups";
import { asArray, asObject, asText, asTextMap, type Json } from "../../ingest/fields";
import { ingestPod } from "../../ingest/pod";
import { ingestService } from "../../ingest/service";
import type { MeshPod, MeshService } from "../../model/workload";
import type { Addresses } from "./addresses";
import type { KubeDocument } from "./documents";

/** Label by which an EndpointSlice belongs to its Service. */
export const LABEL_SERVICE_NAME = "kubernetes.io/service-name";

/** A Service with an address; as it is when it has one, or is to have none. */
export function withAddress(service: KubeDocument, addresses: Addresses): KubeDocument {
  const spec = asObject(service["spec"]);
  const { value } = ingestService(service);
  if (value.kind !== "clusterIP" || value.addresses.length > 0) return service;
  const { namespace = "", name } = service.metadata;
  const address = addresses.service(`${namespace}/${name}`);
  return { ...service, spec: { ...spec, clusterIP: address, clusterIPs: [address] } };
}

/** `namespace/name` of the Service that an EndpointSlice is of. */
export function serviceOfSlice({ metadata }: KubeDocument): string {
  const service = asTextMap(metadata["labels"])[LABEL_SERVICE_NAME] ?? "";
  return `${metadata.namespace ?? ""}/${service}`;
}

/** An EndpointSlice without the pods of these uids. */
export function withoutPods(slice: KubeDocument, gone: ReadonlySet<string>): KubeDocument {
  const endpoints = asArray(slice["endpoints"]).filter(endpoint => {
    const uid = asText(asObject(asObject(endpoint)["targetRef"])["uid"]);
    return uid === undefined || !gone.has(uid);
  });
  return { ...slice, endpoints };
}

/** Readiness by pod uid, as slices have it; a pod that is in none counts as ready. */
export function readinessIn(slices: readonly KubeDocument[]): ReadonlyMap<string, boolean> {
  const ready = new Map<string, boolean>();
  for (const slice of slices) {
    for (const endpoint of asArray(slice["endpoints"]).map(asObject)) {
      const uid = asText(asObject(endpoint["targetRef"])["uid"]);
      if (uid !== undefined) ready.set(uid, asObject(endpoint["conditions"])["ready"] !== false);
    }
  }
  return ready;
}

/**
 * The slices that the cluster would make of a Service with a selector for some pods: one for each way in which its ports
 * are resolved, and for each family.
 */
export function slicesFor(
  service: KubeDocument,
  pods: readonly KubeDocument[],
  ready: ReadonlyMap<string, boolean>,
): readonly KubeDocument[] {
  const mesh = ingestService(service).value;
  if (mesh.selector === undefined || mesh.kind === "externalName") return [];
  const slices = new Map<string, Slice>();
  const behind = pods
    .map(object => ingestPod(object).value)
    .filter(pod => pod.namespace === mesh.namespace && !pod.terminated && selects(mesh, pod));
  for (const pod of behind) {
    for (const address of pod.ips) {
      const addressType = address.includes(":") ? "IPv6" : "IPv4";
      const ports = resolvedPorts(mesh, pod);
      const key = JSON.stringify([addressType, ports]);
      const slice = slices.get(key) ?? { addressType, ports, endpoints: [] };
      slice.endpoints.push(endpointOf(mesh, pod, { address, ready: ready.get(pod.uid) ?? !pod.terminating }));
      slices.set(key, slice);
    }
  }
  return [...slices.values()].map((slice, index) => sliceOf(mesh, slice, index));
}

interface Slice {
  readonly addressType: string;
  readonly ports: readonly Json[];
  readonly endpoints: Json[];
}

function resolvedPorts(service: MeshService, pod: MeshPod): readonly Json[] {
  return tcpPortsOf(service).flatMap(port => {
    const number = targetOf(port, pod);
    return number === undefined ? [] : [{ name: port.name, port: number, protocol: "TCP" }];
  });
}

function endpointOf(
  { kind }: MeshService,
  { uid, name, namespace, workload }: MeshPod,
  { address, ready }: { readonly address: string; readonly ready: boolean },
): Json {
  return {
    addresses: [address],
    conditions: { ready },
    ...(kind === "headless" && workload.kind === "StatefulSet" ? { hostname: name } : {}),
    targetRef: { kind: "Pod", namespace, name, uid },
  };
}

function sliceOf({ namespace, name }: MeshService, slice: Slice, index: number): KubeDocument {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-planned-${index + 1}`, namespace, labels: { [LABEL_SERVICE_NAME]: name } },
    ...slice,
  };
}
