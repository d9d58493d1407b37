/** Pods of the protocol matrix and how they are steered. */
import http from "node:http";
import { build } from "esbuild";
import { IMAGES } from "../../../hack/images/names";
import { ANNOTATION_INBOUND_PORT_EXCLUSION, PORT_METRICS } from "../../../src/model/mesh-words";
import type { Operations } from "../../support/pod-operations";
import { fetchText } from "./client-pod";
import type { BulkOperations } from "./matrix-bulk";
import { CONTROL_PORT } from "./manifests";
import { PORTS } from "./matrix-words";
import type { TestNamespace } from "./namespace";

/** Nothing listens there. */
const PORT_OF_NOBODY = 9;
const CONFIG_MAP = "matrix-app";

let bundled: Promise<string> | undefined;

/** The application in one file, with gRPC in it; made once in a process. */
function bundle(): Promise<string> {
  bundled ??= build({
    entryPoints: [require.resolve("./matrix-app.ts")],
    bundle: true,
    platform: "node",
    target: "node20",
    minify: true,
    write: false,
    logLevel: "error",
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? "");
  return bundled;
}

/** Puts the application into a namespace. Too large for `kubectl apply`, which would note it down once more. */
export async function shipApplication(namespace: TestNamespace): Promise<void> {
  await namespace.mesh.api.create(`/api/v1/namespaces/${namespace.name}/configmaps`, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: CONFIG_MAP, namespace: namespace.name },
    data: { "app.js": await bundle() },
  });
}

/** What a pod of the matrix is besides its name. */
export interface MatrixPodOptions {
  readonly serviceAccount?: string;
  /** Listens on the pod's own address only, not on loopback. */
  readonly ownAddressOnly?: boolean;
  /** Label `app`; default the name. */
  readonly app?: string;
  /** Container port that is called `web`; default the one of HTTP/1.1. */
  readonly web?: number;
  /** Never becomes ready. */
  readonly neverReady?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

const SERVERS: readonly (readonly unknown[])[] = [
  ["serveHttp", PORTS.http],
  ["serveHttp", PORTS.disputed],
  ["serveHttp", PORTS.unlisted],
  ["serveHttp2", PORTS.h2c],
  ["serveGrpc", PORTS.grpc],
  ["serveTcp", PORTS.tcp, ""],
  ["serveTcp", PORTS.odd, ""],
  ["serveTcp", PORTS.greeting, "welcome to"],
  ["serveEcho", PORTS.echo],
  ["serveAwkward", PORTS.awkward],
  ["serveEcho2", PORTS.echo2],
  ["serveUdp", PORTS.echo],
];

const from = (name: string, fieldPath: string): object => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** Labels, annotations and spec of a pod that serves all of {@link PORTS}; its label `app` is the name unless said. */
export function matrixTemplate(
  name: string,
  options: MatrixPodOptions = {},
): {
  readonly metadata: { readonly labels: object; readonly annotations: object };
  readonly spec: Readonly<Record<string, unknown>>;
} {
  const container = {
    name: "app",
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    command: ["/usr/local/bin/node", "/matrix/app.js"],
    env: [
      from("TEST_POD", "metadata.name"),
      ...(options.ownAddressOnly === true ? [from("TEST_ADDRESS", "status.podIP")] : []),
      { name: "CONTROL_PORT", value: String(CONTROL_PORT) },
      { name: "START", value: JSON.stringify(SERVERS) },
    ],
    ports: [
      { name: "web", containerPort: options.web ?? PORTS.http },
      { name: "echo", containerPort: PORTS.tcp },
    ],
    readinessProbe: {
      httpGet: { path: "/", port: options.neverReady === true ? PORT_OF_NOBODY : CONTROL_PORT },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: 60,
    },
    volumeMounts: [{ name: "app", mountPath: "/matrix", readOnly: true }],
    resources: { requests: { cpu: "5m", memory: "32Mi" } },
  };
  return {
    metadata: {
      labels: { app: options.app ?? name, ...options.labels },
      annotations: { [ANNOTATION_INBOUND_PORT_EXCLUSION]: String(CONTROL_PORT), ...options.annotations },
    },
    spec: {
      serviceAccountName: options.serviceAccount ?? "default",
      terminationGracePeriodSeconds: 1,
      containers: [container],
      volumes: [{ name: "app", configMap: { name: CONFIG_MAP } }],
    },
  };
}

/** The template as a pod of this name. */
export function matrixPod(name: string, options: MatrixPodOptions = {}): Record<string, unknown> {
  const { metadata, spec } = matrixTemplate(name, options);
  return { apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata }, spec };
}

/** One port of a Service as the matrix writes it: [name, port, target port, appProtocol]. Over UDP if the name begins so. */
export type PortRow = readonly [string, number, number | string, string?];

/** A Service for the pods labelled `app: <app>`; without one it has no selector. */
export function matrixService(
  name: string,
  app: string | undefined,
  ports: readonly PortRow[],
  more: object = {},
): object {
  const spec = {
    ...(app === undefined ? {} : { selector: { app } }),
    ports: ports.map(([portName, port, targetPort, appProtocol]) => ({
      name: portName,
      port,
      targetPort,
      protocol: portName.startsWith("udp") ? "UDP" : "TCP",
      ...(appProtocol === undefined ? {} : { appProtocol }),
    })),
    ...more,
  };
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec };
}

interface Reply {
  readonly value?: unknown;
  readonly error?: string;
}

/** What the application of a pod can be told to do. */
export type MatrixApp = Operations & BulkOperations;

/** Waits for the answer as long as it takes: what is asked for may be silence. */
function post(url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", agent: false }, response => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${url}: ${response.statusCode ?? 0} ${text}`));
      });
    });
    request.on("error", reject).end(body);
  });
}

/** The application of a pod: each operation runs there. */
export function appAt(address: string): MatrixApp {
  const call = async (operation: string, args: unknown[]): Promise<unknown> => {
    const url = `http://${address}:${CONTROL_PORT}/${operation}`;
    const { value, error } = JSON.parse(await post(url, JSON.stringify(args))) as Reply;
    if (error !== undefined) throw new Error(error);
    return value;
  };
  return new Proxy({} as MatrixApp, {
    get:
      (_target, operation) =>
      (...args: unknown[]) =>
        call(String(operation), args),
  });
}

/** One metric of a sidecar, summed up by the value of a label; series without the label count under "". */
export async function metricBy(address: string, name: string, label: string): Promise<Map<string, number>> {
  const text = await fetchText(`http://${address}:${PORT_METRICS}/stats/prometheus`);
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    const key = new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? "";
    sums.set(key, (sums.get(key) ?? 0) + Number(line.split(" ").at(-1)));
  }
  return sums;
}
