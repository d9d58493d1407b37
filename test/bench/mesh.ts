/** The cluster of the benchmark: namespaces, Services, pods and endpoints in a real API server; nothing runs the pods. */
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import type { KubeObject } from "../../src/runtime/kube";
import { isConflict, isNotFound } from "../../src/runtime/kube/errors";
import { PodTokens, type ApiPod } from "../support/pod-tokens";
import { pod, slice } from "../support/objects";
import { waitFor } from "../support/wait";

/** Pods behind each Service. */
export const PODS_PER_SERVICE = 5;
/** Services of a namespace. */
export const SERVICES_PER_NAMESPACE = 10;
/** Port of every Service and of its pods. */
export const PORT = 80;
const PARALLEL = 16;
const OSM = "osm-system";
const MESH_CONFIGS = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshconfigs`;

/** Does something to all, some at a time. */
export async function each<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** Namespace of the Service with that number; it and its account are called `s<number>`. */
export function namespaceOf(service: number): string {
  return `ns${Math.floor(service / SERVICES_PER_NAMESPACE)}`;
}

/** Address of the pod with that number. */
export function addressOf(index: number): string {
  return `10.${100 + Math.floor(index / 62_500)}.${Math.floor(index / 250) % 250}.${(index % 250) + 1}`;
}

/** Numbers of a Service's pods, which are those of their proxies. */
export function podsOf(service: number): number[] {
  return Array.from({ length: PODS_PER_SERVICE }, (_, i) => service * PODS_PER_SERVICE + i);
}

/** Numbers of the first addresses that pods of changes get. */
const EXTRA_ADDRESSES = 62_500;

/** A pod that stands in a slice. */
export interface Endpoint {
  readonly pod: ApiPod;
  readonly ip: string;
  readonly ready?: boolean;
}

function slicesOf(namespace: string): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
}

/** The benchmark's cluster. */
export class BenchMesh {
  /** By number, as they are now. */
  readonly pods: ApiPod[] = [];
  private readonly ips: string[] = [];
  private extra = 0;
  private readonly namespaces = new Set<string>();

  private constructor(readonly api: PodTokens) {}

  static async start(): Promise<BenchMesh> {
    const mesh = new BenchMesh(await PodTokens.start());
    const { kube } = mesh.api;
    for (const crd of EMBEDDED_CRDS)
      await kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    await mesh.addNamespace(OSM, {});
    const config = {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshConfig",
      metadata: { name: MESH_CONFIG_NAME, namespace: OSM },
      spec: {},
    };
    await waitFor(
      "the MeshConfig kind",
      () =>
        kube.create(MESH_CONFIGS, config).then(
          () => true,
          (error: unknown) =>
            isConflict(error) || (isNotFound(error) ? undefined : Promise.reject(error as Error)),
        ),
      20_000,
    );
    return mesh;
  }

  /** How many Services there are, those that changes have added left out. */
  get services(): number {
    return this.pods.length / PODS_PER_SERVICE;
  }

  /** Adds Services with their pods until there are that many. */
  async growTo(services: number): Promise<void> {
    const added = Array.from({ length: Math.max(0, services - this.services) }, (_, i) => this.services + i);
    for (const namespace of new Set(added.map(namespaceOf)))
      await this.addNamespace(namespace, { "openservicemesh.io/monitored-by": "osm" });
    const indexes = added.flatMap(podsOf);
    await each(indexes, async index => {
      const service = Math.floor(index / PODS_PER_SERVICE);
      const ip = addressOf(index);
      this.ips[index] = ip;
      this.pods[index] = await this.addPod(service, `s${service}-${index % PODS_PER_SERVICE}`, ip);
    });
    await each(added, async service => {
      await this.addService(namespaceOf(service), `s${service}`);
      await this.putSlice(namespaceOf(service), `s${service}`, this.endpointsOf(service));
    });
  }

  /** Tokens of pods by number. */
  tokens(indexes: readonly number[]): string[] {
    return indexes.map(index => {
      const of = this.pods[index];
      if (of === undefined) throw new Error(`there is no pod ${index}`);
      return this.api.forge(this.api.claims(of));
    });
  }

  /** Endpoints of a Service; one of its pods may be said not to be ready. */
  endpointsOf(service: number, unready = -1): Endpoint[] {
    return podsOf(service).flatMap((index, i) => {
      const [of, ip] = [this.pods[index], this.ips[index]];
      return of === undefined || ip === undefined ? [] : [{ pod: of, ip, ready: i !== unready }];
    });
  }

  /** Writes endpoints of a Service that has its first slice already. */
  async patchSlice(service: number, endpoints: readonly Endpoint[]): Promise<void> {
    const namespace = namespaceOf(service);
    const body = this.sliceBody(namespace, `s${service}`, endpoints);
    await this.api.kube.mergePatch(`${slicesOf(namespace)}/s${service}-1`, { endpoints: body["endpoints"] });
  }

  /** Creates a slice of a Service. */
  async putSlice(
    namespace: string,
    service: string,
    endpoints: readonly Endpoint[],
    number = 1,
  ): Promise<void> {
    const body = this.sliceBody(namespace, service, endpoints, `${service}-${number}`);
    await this.api.kube.create(slicesOf(namespace), body);
  }

  async deleteSlice(namespace: string, name: string): Promise<void> {
    await this.api.kube.delete(`${slicesOf(namespace)}/${name}`);
  }

  /** A Service of the pods of that application; default: its own. */
  async addService(namespace: string, name: string, app = name): Promise<void> {
    await this.api.kube.create(`/api/v1/namespaces/${namespace}/services`, {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace },
      spec: { selector: { app }, ports: [{ name: "http", port: PORT, targetPort: PORT }] },
    });
  }

  /** New pods with addresses of their own, of a Service and its account; in no slice yet, and with no proxy connected. */
  async addPods(service: number, count: number): Promise<Endpoint[]> {
    const added: Endpoint[] = [];
    await each(
      Array.from({ length: count }, () => this.extra++),
      async number => {
        const ip = addressOf(EXTRA_ADDRESSES + number);
        added.push({ pod: await this.addPod(service, `extra-${number}`, ip), ip });
      },
    );
    return added;
  }

  /** The address that the pod added after `ahead` others will get. */
  nextAddress(ahead: number): string {
    return addressOf(EXTRA_ADDRESSES + this.extra + ahead);
  }

  async deletePod({ pod: { identity, name } }: Endpoint): Promise<void> {
    await this.api.kube.delete(`/api/v1/namespaces/${identity.namespace}/pods/${name}?gracePeriodSeconds=0`);
  }

  /** From now on this is the pod with that number; returns the one before. */
  swap(index: number, next: Endpoint): Endpoint | undefined {
    const [before, ip] = [this.pods[index], this.ips[index]];
    this.pods[index] = next.pod;
    this.ips[index] = next.ip;
    return before === undefined || ip === undefined ? undefined : { pod: before, ip };
  }

  /** Something about a pod changes that concerns nobody. */
  async annotate(index: number, value: string): Promise<void> {
    const of = this.pods[index];
    if (of === undefined) return;
    const path = `/api/v1/namespaces/${of.identity.namespace}/pods/${of.name}`;
    await this.api.kube.mergePatch(path, { metadata: { annotations: { "example.org/touched": value } } });
  }

  /** Changes fields of the MeshConfig. */
  async configure(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.api.kube.mergePatch(`${MESH_CONFIGS}/${MESH_CONFIG_NAME}`, { spec });
  }

  private async addNamespace(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
    if (this.namespaces.has(name)) return;
    this.namespaces.add(name);
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    await this.api.kube.create("/api/v1/namespaces", body);
  }

  private async addPod(service: number, name: string, ip: string): Promise<ApiPod> {
    const [namespace, serviceAccount] = [namespaceOf(service), `s${service}`];
    const object = pod({ namespace, name, ips: [ip], labels: { app: serviceAccount }, serviceAccount });
    const { metadata, status, spec } = object as unknown as {
      metadata: Record<string, unknown>;
      status: unknown;
      spec: { containers: { name: string }[] };
    };
    const containers = spec.containers.map(container => ({ image: "app", ...container }));
    const body = {
      ...object,
      metadata: { ...metadata, uid: undefined },
      spec: { ...spec, containers },
      status: undefined,
    };
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const created = await this.api.kube.create<KubeObject>(path, body as unknown as KubeObject);
    await this.api.kube.mergePatch(`${path}/${name}/status`, { status });
    return { identity: { namespace, serviceAccount }, name, uid: created.metadata.uid ?? "" };
  }

  private sliceBody(
    namespace: string,
    service: string,
    endpoints: readonly Endpoint[],
    name = `${service}-1`,
  ): Readonly<Record<string, unknown>> & { readonly metadata: { readonly name: string } } {
    return slice({
      namespace,
      service,
      name,
      ports: [{ name: "http", port: PORT }],
      endpoints: endpoints.map(({ pod: { name: of, uid }, ip, ready }) => ({
        address: ip,
        pod: of,
        uid,
        ready: ready !== false,
      })),
    });
  }
}
