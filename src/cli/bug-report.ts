import { API_KINDS } from "../api/kinds";
import { MODULE, WATCHER } from "../install/names";
import { LABEL_MONITORED_BY, PEPR_NAMESPACE, SIDECAR_CONTAINER } from "../model/mesh-words";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { labelSelector, selectorText, type LabelSelector } from "../runtime/kube/read";
import type { KubeCredentials } from "../runtime/kube/credentials";
import { readText } from "./api-text";
import { failureWords } from "./failure";
import { findMeshes, podPagePath, type ListOf } from "./mesh-found";
import { hasSidecar } from "./namespaces";
import { podsOf, type PodView } from "./pods";
import { askSidecar } from "./stream/sidecar-admin";
import { VERSION } from "./version";

/** What a report is made of. */
export interface ReportRequest {
  readonly kube: KubeClient;
  readonly credentials: KubeCredentials;
  /** Pods whose sidecars are asked, `namespace/name`; all of {@link ReportRequest.namespaces} besides. */
  readonly pods: readonly string[];
  readonly namespaces: readonly string[];
  /** Deployments whose pods are reported, `namespace/name`. */
  readonly deployments: readonly string[];
  /** Ingresses, and the pods of the Services that IngressBackends let in. */
  readonly ingress: boolean;
  /** Namespaces of the mesh, all of them. */
  readonly all: boolean;
  readonly say: (line: string) => void;
}

/** Most of a container's log, in lines and in bytes. */
const LINES = 2_000;
const LOG_BYTES = 8 * 1024 * 1024;
const CONTROL_PLANE = `app in (${MODULE},${WATCHER})`;
/** Pages of a sidecar. `config_dump` shows certificates, and private keys as "[redacted]". */
const PAGES = ["config_dump?include_eds", "clusters", "stats", "certs", "server_info"];

/** The environment of a pod may hold secrets, as may its commands, and kubectl keeps a copy of them in an annotation. */
function withoutEnvironment({ metadata, spec, status }: PodView): object {
  const containers = [...(spec.initContainers ?? []), ...spec.containers].map(({ name, image }) => ({
    name,
    image,
  }));
  return { metadata: { ...metadata, annotations: undefined }, containers, status };
}

/** Annotations of ingress controllers are configuration, credentials of applications among it. */
function withoutAnnotations<T extends KubeObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, annotations: undefined, managedFields: undefined } };
}

interface DeploymentView extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: LabelSelector;
  };
  readonly status?: object;
}

interface IngressBackendView extends KubeObject {
  readonly spec?: {
    readonly sources?: readonly {
      readonly kind?: string;
      readonly namespace?: string;
      readonly name?: string;
    }[];
  };
}

/** Files of the report; what could not be read has the reason as its content. */
class Report {
  readonly files = new Map<string, string>();
  constructor(private readonly request: ReportRequest) {}

  private async add(name: string, read: () => Promise<string>): Promise<void> {
    try {
      this.files.set(name, await read());
    } catch (error) {
      this.files.set(`${name}.failed`, `${failureWords(error, true)}\n`);
    }
  }

  private addJson(name: string, read: () => Promise<unknown>): Promise<void> {
    return this.add(name, async () => `${JSON.stringify(await read(), undefined, 2)}\n`);
  }

  private async addLog(folder: string, pod: PodView, container: string): Promise<void> {
    const { namespace = "", name } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?container=${container}&tailLines=${LINES}&limitBytes=${LOG_BYTES}`;
    await this.add(`${folder}/${name}/${container}.log`, () => readText(this.request.credentials, path));
  }

  /** Pods; none, and the reason in a file, for who may not list them. */
  private async pods(name: string, namespace: string, selector?: string): Promise<readonly PodView[]> {
    let found: readonly PodView[] = [];
    await this.add(name, async () => {
      found = await podsOf(this.request.kube, namespace, selector);
      return `${found.map(({ metadata }) => metadata.name).join("\n")}\n`;
    });
    return found;
  }

  async controlPlane(): Promise<void> {
    const { kube, credentials, say } = this.request;
    say("  control plane");
    await this.addJson("meshes.json", () => findMeshes(kube));
    await this.addJson("cluster-version.json", () => kube.get("/version"));
    const pods = await this.pods("control-plane/pods.txt", PEPR_NAMESPACE, CONTROL_PLANE);
    await this.addJson("control-plane/pods.json", () => Promise.resolve(pods.map(withoutEnvironment)));
    for (const pod of pods) {
      for (const { name } of pod.spec.containers) await this.addLog("control-plane", pod, name);
      const page = podPagePath(PEPR_NAMESPACE, pod.metadata.name, "/metrics");
      await this.add(`control-plane/${pod.metadata.name}/metrics.txt`, () => readText(credentials, page));
    }
  }

  async objects(): Promise<void> {
    const { kube, say } = this.request;
    say("  objects of the mesh");
    for (const { group, version, plural } of API_KINDS)
      await this.addJson(`objects/${plural}.json`, () => kube.get(`/apis/${group}/${version}/${plural}`));
    const label = encodeURIComponent(LABEL_MONITORED_BY);
    await this.addJson("objects/namespaces.json", () =>
      kube.get(`/api/v1/namespaces?labelSelector=${label}`),
    );
  }

  /** A Deployment and its pods. */
  async deployment(namespace: string, name: string): Promise<void> {
    const { kube } = this.request;
    let selected = "";
    await this.addJson(`namespaces/${namespace}/deployment-${name}.json`, async () => {
      const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
      const { metadata, spec, status } = await kube.get<DeploymentView>(path);
      selected = selectorText(spec.selector);
      // The template has the environment and commands of its pods.
      const { replicas, selector } = spec;
      return { metadata: { ...metadata, annotations: undefined }, spec: { replicas, selector }, status };
    });
    if (selected === "") return;
    const pods = await this.pods(`namespaces/${namespace}/deployment-${name}.pods.txt`, namespace, selected);
    await this.application(namespace, new Set(pods.map(({ metadata }) => metadata.name)));
  }

  /** What leads into the mesh: Ingress objects, and the pods that IngressBackends name as sources, with their logs. */
  async ingress(): Promise<void> {
    const { kube, say } = this.request;
    say("  ingress");
    for (const plural of ["ingresses", "ingressclasses"])
      await this.addJson(`ingress/${plural}.json`, async () => {
        const { items } = await kube.get<ListOf<KubeObject>>(`/apis/networking.k8s.io/v1/${plural}`);
        return items.map(withoutAnnotations);
      });
    const sources = new Set<string>();
    await this.addJson("ingress/ingressbackends.json", async () => {
      const path = "/apis/policy.openservicemesh.io/v1alpha1/ingressbackends";
      const list = await kube.get<ListOf<IngressBackendView>>(path);
      for (const { kind, namespace, name } of list.items.flatMap(({ spec }) => spec?.sources ?? []))
        if (kind === "Service" && namespace !== undefined && name !== undefined)
          sources.add(`${namespace}/${name}`);
      return list;
    });
    for (const source of sources) await this.ingressSource(source);
  }

  private async ingressSource(source: string): Promise<void> {
    const [namespace = "", name = ""] = source.split("/");
    const folder = `ingress/${source}`;
    let labels: Readonly<Record<string, string>> = {};
    await this.addJson(`${folder}/service.json`, async () => {
      const path = `/api/v1/namespaces/${namespace}/services/${name}`;
      const service = await this.request.kube.get<KubeObject & { spec: { selector?: typeof labels } }>(path);
      labels = service.spec.selector ?? {};
      return withoutAnnotations(service);
    });
    if (Object.keys(labels).length === 0) return;
    for (const pod of await this.pods(`${folder}/pods.txt`, namespace, labelSelector(labels))) {
      await this.addJson(`${folder}/${pod.metadata.name}/pod.json`, () =>
        Promise.resolve(withoutEnvironment(pod)),
      );
      for (const container of pod.spec.containers) await this.addLog(folder, pod, container.name);
    }
  }

  async application(namespace: string, only: ReadonlySet<string> | undefined): Promise<void> {
    const { kube, say } = this.request;
    say(`  namespace ${namespace}`);
    const folder = `namespaces/${namespace}`;
    for (const plural of ["services", "events"])
      await this.addJson(`${folder}/${plural}.json`, () =>
        kube.get(`/api/v1/namespaces/${namespace}/${plural}`),
      );
    const pods = await this.pods(`${folder}/pods.txt`, namespace);
    for (const pod of pods.filter(one => only?.has(one.metadata.name) ?? true)) {
      const { name } = pod.metadata;
      await this.addJson(`${folder}/${name}/pod.json`, () => Promise.resolve(withoutEnvironment(pod)));
      if (!hasSidecar(pod)) continue;
      await this.addLog(folder, pod, SIDECAR_CONTAINER);
      for (const page of PAGES)
        await this.add(`${folder}/${name}/${page.replace(/\W.*$/, "")}.txt`, () =>
          askSidecar(this.request.credentials, { namespace, pod: name }, { method: "GET", page }),
        );
    }
  }
}

async function namespacesOf({ kube, all, namespaces }: ReportRequest): Promise<readonly string[]> {
  if (!all) return namespaces;
  const path = `/api/v1/namespaces?labelSelector=${encodeURIComponent(LABEL_MONITORED_BY)}`;
  return (await kube.get<ListOf<KubeObject>>(path)).items.map(({ metadata }) => metadata.name);
}

/**
 * Gathers what somebody needs who is to find out what is wrong. No Secrets, and no environment, command or annotation of
 * pods, nor annotations of Deployments, Ingresses and the Services behind them; Services of applications, events, namespaces and the
 * mesh's objects are whole, and logs and messages of containers as they were written.
 */
export async function gatherReport(request: ReportRequest): Promise<ReadonlyMap<string, string>> {
  const report = new Report(request);
  report.files.set("version.txt", `${VERSION}\n`);
  await report.controlPlane();
  await report.objects();
  for (const namespace of await namespacesOf(request)) await report.application(namespace, undefined);
  for (const place of request.pods) {
    const [namespace = "", name = ""] = place.split("/");
    await report.application(namespace, new Set([name]));
  }
  for (const place of request.deployments) {
    const [namespace = "", name = ""] = place.split("/");
    await report.deployment(namespace, name);
  }
  if (request.ingress) await report.ingress();
  return report.files;
}
