/** The cluster of the benchmark: namespaces, Services, pods and endpoints in a real API server; nothing runs the pods. */
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { isConflict, isNotFound } from "../../src/runtime/kube/errors";
import { PodTokens, type ApiPod } from "../support/pod-tokens";
import { pod, slice } from "../support/objects";
import { waitFor } from "../support/wait";

/** Pods behind each Service. */
export const PODS_PER_SERVICE = 5;
/** Namespaces of Services: the Service with number n stands in `ns<n modulo this>`. */
export const NAMESPACES = 10;
const PARALLEL = 16;
const OSM = "osm-system";
const MESH_CONFIGS = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshconfigs`;

async function each<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** Where a pod of the mesh stands. */
function place(index: number): { namespace: string; service: string; name: string; ip: string } {
  const service = Math.floor(index / PODS_PER_SERVICE);
  const ip = `10.100.${Math.floor(index / 250)}.${(index % 250) + 1}`;
  return {
    namespace: `ns${service % NAMESPACES}`,
    service: `s${service}`,
    name: `s${service}-${index % PODS_PER_SERVICE}`,
    ip,
  };
}

/** The benchmark's cluster, which only grows. */
export class BenchMesh {
  readonly pods: ApiPod[] = [];
  private egress = true;
  private extra = 0;

  private constructor(readonly api: PodTokens) {}

  static async start(): Promise<BenchMesh> {
    const mesh = new BenchMesh(await PodTokens.start());
    const { kube } = mesh.api;
    for (const crd of EMBEDDED_CRDS)
      await kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    const names = [OSM, ...Array.from({ length: NAMESPACES }, (_, i) => `ns${i}`)];
    for (const name of names) {
      const labels = name === OSM ? {} : { "openservicemesh.io/monitored-by": "osm" };
      await kube.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name, labels },
      });
    }
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

  /** Adds pods and their Services until there are `count` pods. */
  async growTo(count: number): Promise<void> {
    const indexes = Array.from({ length: count - this.pods.length }, (_, i) => this.pods.length + i);
    await each(indexes, async index => {
      this.pods[index] = await this.addPod(index);
    });
    const services = [...new Set(indexes.map(index => Math.floor(index / PODS_PER_SERVICE)))];
    await each(services, async service => {
      const { namespace, service: name } = place(service * PODS_PER_SERVICE);
      await this.addService(namespace, name, 80);
      await this.api.kube.create(this.slices(namespace), this.sliceOf(service, 80, name));
    });
  }

  /** Tokens of the first `count` pods. */
  tokens(from: number, to: number): string[] {
    return this.pods.slice(from, to).map(p => this.api.forge(this.api.claims(p)));
  }

  /** One endpoint of one Service becomes not ready, or ready again. */
  async changeEndpoint(round: number): Promise<void> {
    const { namespace, service } = place(0);
    const body = this.sliceOf(0, 80, service) as unknown as {
      endpoints: { conditions: { ready: boolean } }[];
    };
    const [first] = body.endpoints;
    if (first !== undefined) first.conditions.ready = round % 2 === 1;
    await this.api.kube.mergePatch(`${this.slices(namespace)}/${service}-1`, { endpoints: body.endpoints });
  }

  /** A Service that serves the pods of the first one on another port appears, complete with its endpoints. */
  async newService(): Promise<void> {
    const { namespace } = place(0);
    const name = `extra${this.extra++}`;
    await this.api.kube.create(this.slices(namespace), this.sliceOf(0, 9000 + this.extra, name));
    await this.addService(namespace, name, 9000 + this.extra);
  }

  /** `traffic.enableEgress` changes: the catch-all listener of every proxy. */
  async changeMeshConfig(): Promise<void> {
    this.egress = !this.egress;
    await this.configure({ traffic: { enableEgress: this.egress } });
  }

  /** Changes fields of the MeshConfig. */
  async configure(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.api.kube.mergePatch(`${MESH_CONFIGS}/${MESH_CONFIG_NAME}`, { spec });
  }

  private slices(namespace: string): string {
    return `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
  }

  private async addPod(index: number): Promise<ApiPod> {
    const { namespace, service, name, ip } = place(index);
    const object = pod({ namespace, name, ips: [ip], labels: { app: service }, serviceAccount: service });
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
    const created = await this.api.kube.create<{ metadata: { uid?: string; name: string } }>(
      path,
      body as never,
    );
    await this.api.kube.mergePatch(`${path}/${name}/status`, { status });
    return { identity: { namespace, serviceAccount: service }, name, uid: created.metadata.uid ?? "" };
  }

  private async addService(namespace: string, name: string, port: number): Promise<void> {
    await this.api.kube.create(`/api/v1/namespaces/${namespace}/services`, {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ name: "http", port, targetPort: port }] },
    });
  }

  private sliceOf(service: number, port: number, name: string): object {
    const endpoints = Array.from({ length: PODS_PER_SERVICE }, (_, i) => {
      const index = service * PODS_PER_SERVICE + i;
      const uid = this.pods[index]?.uid ?? "";
      return { address: place(index).ip, pod: place(index).name, uid };
    });
    return slice({
      namespace: place(service * PODS_PER_SERVICE).namespace,
      service: name,
      ports: [{ name: "http", port }],
      endpoints,
    });
  }
}
