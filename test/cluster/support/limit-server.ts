import { readFileSync } from "node:fs";
import path from "node:path";
import { IMAGES } from "../../../hack/images/names";
import { ANNOTATION_INJECTION } from "../../../src/model/mesh-words";
import { fetchText } from "./client-pod";
import { CONTROL_PORT } from "./manifests";
import type { TestNamespace } from "./namespace";

const NAME = "limits";
const PORT = 8081;

/** A rate limit server in a pod without sidecar: sidecars ask it themselves, as they are told where it is. */
export class LimitServer {
  private constructor(
    private readonly address: string,
    /** Where the mesh finds it. */
    public readonly service: { readonly host: string; readonly port: number },
  ) {}

  /** What it consists of. */
  public static manifests(): readonly object[] {
    const labels = { app: NAME };
    const container = {
      name: "app",
      image: IMAGES.demo,
      imagePullPolicy: "IfNotPresent",
      command: ["/usr/local/bin/node", "-e", readFileSync(path.join(__dirname, "limits-app.cjs"), "utf8")],
      env: [
        { name: "LIMITS_PORT", value: String(PORT) },
        { name: "CONTROL_PORT", value: String(CONTROL_PORT) },
      ],
      readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1, timeoutSeconds: 5 },
      resources: { requests: { cpu: "5m", memory: "32Mi" } },
    };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: NAME, labels, annotations: { [ANNOTATION_INJECTION]: "disabled" } },
      spec: { terminationGracePeriodSeconds: 1, containers: [container] },
    };
    const spec = { selector: labels, ports: [{ name: "grpc", port: PORT }] };
    return [pod, { apiVersion: "v1", kind: "Service", metadata: { name: NAME }, spec }];
  }

  /** The one of a namespace, once it is ready. */
  public static async of(namespace: TestNamespace): Promise<LimitServer> {
    const { status } = await namespace.readyPod(NAME);
    const host = `${NAME}.${namespace.name}.svc.cluster.local`;
    return new LimitServer(status.podIP, { host, port: PORT });
  }

  /** Lets so many requests of a descriptor pass from now on, and forgets what it was asked. */
  public async allow(limits: Readonly<Record<string, number>>): Promise<void> {
    await fetchText(this.page("limits"), "POST", JSON.stringify(limits));
  }

  /** What it was asked since, as `domain: descriptor descriptor`. */
  public async asked(): Promise<readonly string[]> {
    return JSON.parse(await fetchText(this.page("asked"))) as string[];
  }

  private page(name: string): string {
    return `http://${this.address}:${CONTROL_PORT}/${name}`;
  }
}
