/** Pods of the tests that act out SMI, and how they are steered. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { until } from "../../../hack/cluster/progress";
import { IMAGES } from "../../../hack/images/names";
import { ANNOTATION_INBOUND_PORT_EXCLUSION, PORT_METRICS } from "../../../src/model/mesh-words";
import { type Sample, samplesOf } from "../../support/prometheus";
import { fetchText } from "./client-pod";
import { CONTROL_PORT } from "./manifests";
import type { TestNamespace } from "./namespace";

/** Port of the application's pages. */
export const SMI_PORT = 9091;
/** Port of the application that answers lines over TCP. */
export const LINES_PORT = 9000;

const CONFIG_MAP = "smi-app";

/** Milliseconds for a policy to show; many times the second that is aimed at. */
const EFFECT_MS = 30_000;

/** Answers in a row that make an effect: one may be that of the first worker of a sidecar alone. */
const IN_A_ROW = 10;

/** What a pod is besides its name. */
interface PodOptions {
  /** Default `default`. */
  readonly account?: string;
  /** Label `app`; default the name. */
  readonly app?: string;
  /** Pods; default 1. */
  readonly replicas?: number;
}

/** A Deployment of the application. */
export function smiDeployment(name: string, { account, app, replicas }: PodOptions = {}): object {
  const labels = { app: app ?? name, version: name };
  const container = {
    name: "app",
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    command: ["/usr/local/bin/node", "/smi/app.cjs"],
    env: [
      { name: "SERVICE", value: name },
      { name: "PORTS", value: `${SMI_PORT},${CONTROL_PORT}` },
      { name: "LINES_PORT", value: String(LINES_PORT) },
    ],
    ports: [{ name: "http", containerPort: SMI_PORT }],
    readinessProbe: {
      httpGet: { path: "/metrics", port: CONTROL_PORT },
      periodSeconds: 1,
      timeoutSeconds: 5,
    },
    volumeMounts: [{ name: "smi", mountPath: "/smi" }],
    resources: { requests: { cpu: "5m", memory: "32Mi" } },
  };
  const template = {
    metadata: { labels, annotations: { [ANNOTATION_INBOUND_PORT_EXCLUSION]: String(CONTROL_PORT) } },
    spec: {
      serviceAccountName: account ?? "default",
      terminationGracePeriodSeconds: 1,
      containers: [container],
      volumes: [{ name: "smi", configMap: { name: CONFIG_MAP } }],
    },
  };
  const spec = { replicas: replicas ?? 1, selector: { matchLabels: labels }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name, labels }, spec };
}

/** The application itself, to be there before its pods. */
export function smiApplication(): object {
  const program = readFileSync(path.join(__dirname, "smi-app.cjs"), "utf8");
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: CONFIG_MAP },
    data: { "app.cjs": program },
  };
}

/** A Service of the application's two ports. */
export function smiService(
  name: string,
  selector: Readonly<Record<string, string>> = { app: name },
  type = "ClusterIP",
): object {
  const ports = [
    { name: "http", port: SMI_PORT, targetPort: SMI_PORT },
    { name: "tcp-lines", port: LINES_PORT, targetPort: LINES_PORT },
  ];
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { type, selector, ports } };
}

/** What a pod has counted. */
export interface SmiMetrics {
  /** Requests by the caller's name. */
  readonly received: Readonly<Record<string, number>>;
  readonly succeeded: number;
  readonly failed: number;
  readonly connections: number;
}

/** A call that a pod is told to make. */
interface SmiCall {
  readonly method?: string;
  /** Default 1. */
  readonly times?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A pod of the application, steered from this machine past the mesh. */
export class SmiPod {
  private constructor(private readonly address: string) {}

  /** The pods of a Deployment that are ready. */
  public static async all(namespace: TestNamespace, name: string, count = 1): Promise<readonly SmiPod[]> {
    await namespace.rolledOut(name);
    return until(`${count} pods of ${name}`, 60_000, async () => {
      const pods = (await namespace.pods()).filter(({ metadata, status }) => {
        const own = metadata.labels?.["version"] === name && metadata.deletionTimestamp === undefined;
        return own && status.phase === "Running";
      });
      const found = pods.flatMap(({ status }) => status.podIP ?? []);
      return found.length === count ? found.map(address => new SmiPod(address)) : undefined;
    });
  }

  /** The only pod of a Deployment. */
  public static async one(namespace: TestNamespace, name: string): Promise<SmiPod> {
    const [pod] = await SmiPod.all(namespace, name);
    if (pod === undefined) throw new Error(`no pod of ${name}`);
    return pod;
  }

  /** Calls from the pod, through its sidecar; statuses, 0 where there was no answer. */
  public async call(url: string, how: SmiCall = {}): Promise<readonly number[]> {
    return (await this.ask(url, how)).statuses;
  }

  /** The body of the answer to one call. */
  public async read(url: string, how: SmiCall = {}): Promise<string> {
    return (await this.ask(url, how)).last;
  }

  /** The line that a server answers over TCP; empty when it refuses or cuts the connection. */
  public async line(host: string): Promise<string> {
    const text = await fetchText(this.page(`/line?host=${host}&port=${LINES_PORT}`));
    return (JSON.parse(text) as { answer: string }).answer;
  }

  public async metrics(): Promise<SmiMetrics> {
    return JSON.parse(await fetchText(this.page("/metrics"))) as SmiMetrics;
  }

  /** What its sidecar has counted, as Prometheus sees it. */
  public async scrape(): Promise<readonly Sample[]> {
    return samplesOf(await fetchText(`http://${this.address}:${PORT_METRICS}/stats/prometheus`));
  }

  public async reset(): Promise<void> {
    await fetchText(this.page("/metrics"), "DELETE");
  }

  /** Waits until ten calls in a row have a status of this kind: a success is 200 to 399. Gives the last one. */
  public until(wanted: "succeeds" | "fails", url: string, how: SmiCall = {}): Promise<number> {
    return until(`calls of ${url} that ${wanted}`, EFFECT_MS, async () => {
      const statuses = await this.call(url, { times: IN_A_ROW, ...how });
      const isGood = (status: number): boolean => status >= 200 && status < 400;
      return statuses.every(status => isGood(status) === (wanted === "succeeds"))
        ? statuses.at(-1)
        : undefined;
    });
  }

  /** Waits until ten lines in a row are answered, or none. Gives the last answer. */
  public async untilLine(wanted: "succeeds" | "fails", host: string): Promise<string> {
    const last = await until(`lines to ${host}: ${wanted}`, EFFECT_MS, async () => {
      const answers = await Promise.all(Array.from({ length: IN_A_ROW }, () => this.line(host)));
      return answers.every(answer => (answer !== "") === (wanted === "succeeds")) ? answers : undefined;
    });
    return last.at(-1) ?? "";
  }

  private async ask(url: string, how: SmiCall): Promise<{ statuses: number[]; last: string }> {
    const text = await fetchText(this.page("/call"), "POST", JSON.stringify({ url, ...how }));
    return JSON.parse(text) as { statuses: number[]; last: string };
  }

  private page(place: string): string {
    return `http://${this.address}:${CONTROL_PORT}${place}`;
  }
}
