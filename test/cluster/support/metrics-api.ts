/** Stands for metrics-server: says of every pod that it uses so much CPU, as the API metrics.k8s.io has it. */
import { once } from "node:events";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { createRoot } from "../../../src/runtime/secrets/authority";
import type { KubeObject } from "../../../src/runtime/kube";
import type { Mesh } from "./mesh";
import type { TestNamespace } from "./namespace";

const GROUP = "metrics.k8s.io/v1beta1";
const SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices";
const NAME = "v1beta1.metrics.k8s.io";
const SERVICE = "metrics";

const discovery = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: GROUP,
  resources: [{ name: "pods", namespaced: true, kind: "PodMetrics", verbs: ["get", "list"] }],
};

/** The API of usage, served by this process and registered at the API server. */
export class MetricsApi {
  /** CPU that each container uses, millicores. */
  public usage = 0;

  private constructor(
    private readonly mesh: Mesh,
    private readonly server: https.Server,
  ) {}

  /** Serves it at this machine's end of the link to the cluster; its Service is in the namespace given. */
  public static async register(mesh: Mesh, namespace: TestNamespace): Promise<MetricsApi> {
    const { certPem: cert, keyPem: key } = createRoot(Date.now());
    const server = https.createServer({ cert, key });
    const made = new MetricsApi(mesh, server);
    server.on("request", (request, response) => {
      void made.answer(request.url ?? "").then(body => {
        response.setHeader("content-type", "application/json").end(JSON.stringify(body));
      });
    });
    const { hostAddress } = mesh.cluster.settings;
    server.listen(0, hostAddress);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await namespace.apply(
      { apiVersion: "v1", kind: "Service", metadata: { name: SERVICE }, spec: { ports: [{ port: 443 }] } },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: SERVICE, labels: { "kubernetes.io/service-name": SERVICE } },
        addressType: "IPv4",
        ports: [{ name: "", port, protocol: "TCP" }],
        endpoints: [{ addresses: [hostAddress], conditions: { ready: true } }],
      },
    );
    await mesh.api.create(SERVICES, {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name: NAME },
      spec: {
        group: "metrics.k8s.io",
        version: "v1beta1",
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { name: SERVICE, namespace: namespace.name, port: 443 },
      },
    } as KubeObject);
    return made;
  }

  public async remove(): Promise<void> {
    await this.mesh.kubectl.attempt(["delete", "apiservice", NAME, "--ignore-not-found"]);
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(url: string): Promise<object> {
    const [, namespace] = /\/namespaces\/([^/]+)\/pods/.exec(url) ?? [];
    if (namespace === undefined) return discovery;
    const { search } = new URL(url, "https://metrics");
    const list = await this.mesh.api.get<{ readonly items: readonly PodOf[] }>(
      `/api/v1/namespaces/${namespace}/pods${search}`,
    );
    const items = list.items.map(({ metadata: { name, labels }, spec: { containers } }) => ({
      metadata: { name, namespace, labels },
      timestamp: new Date().toISOString(),
      window: "15s",
      containers: containers.map(container => ({
        name: container.name,
        usage: { cpu: `${this.usage}m`, memory: "64Mi" },
      })),
    }));
    return { kind: "PodMetricsList", apiVersion: GROUP, metadata: {}, items };
  }
}

interface PodOf {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly { readonly name: string }[] };
}
