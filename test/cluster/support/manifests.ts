import { readFileSync } from "node:fs";
import path from "node:path";
import { APP_PORT } from "../../../hack/demo/apps/settings";
import { IMAGES } from "../../../hack/images/names";
import { ANNOTATION_INBOUND_PORT_EXCLUSION } from "../../../src/model/mesh-words";

/** Port of the server that its Service calls HTTP. */
export const HTTP_PORT = APP_PORT;
/** Port of the server that its Service calls TCP: every connection of a client is one between the sidecars. */
export const TCP_PORT = 8081;
/** Port a client is steered on, outside the mesh. */
export const CONTROL_PORT = 9099;
/** Seconds between the end of an endpoint and the end of its server. */
const DRAIN_SECONDS = 5;

/** What the pods of a test run. */
type Program = "client-app" | "server-app" | "observer-app";

/** How a Deployment differs from one pod of its program under its name. */
interface AppOptions {
  readonly program: Program;
  readonly replicas?: number;
  readonly serviceAccount?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A container that runs one of the programs beside this file; its requests are small, because machines may be. */
function container(program: Program): Record<string, unknown> {
  const script = readFileSync(path.join(__dirname, `${program}.cjs`), "utf8");
  const port = program === "server-app" ? HTTP_PORT : CONTROL_PORT;
  return {
    name: "app",
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    command: ["/usr/local/bin/node", "-e", script],
    env: [{ name: "PORTS", value: `${HTTP_PORT},${TCP_PORT}` }],
    ports: [{ containerPort: port }],
    readinessProbe: {
      httpGet: { path: "/", port },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: 10,
    },
    lifecycle: program === "server-app" ? { preStop: { sleep: { seconds: DRAIN_SECONDS } } } : undefined,
    resources: { requests: { cpu: "5m", memory: "32Mi" } },
  };
}

/** A pod template of one of the programs. */
export function template(name: string, options: AppOptions): Record<string, unknown> {
  return {
    metadata: {
      labels: { app: name, ...options.labels },
      annotations: { [ANNOTATION_INBOUND_PORT_EXCLUSION]: String(CONTROL_PORT) },
    },
    spec: {
      serviceAccountName: options.serviceAccount ?? "default",
      terminationGracePeriodSeconds: options.program === "server-app" ? 30 : 1,
      containers: [container(options.program)],
    },
  };
}

/** A Deployment of one of the programs, its pods labelled `app: <name>`. */
export function deployment(name: string, options: AppOptions): Record<string, unknown> {
  const selector = { matchLabels: { app: name } };
  const strategy = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
  const spec = { replicas: options.replicas ?? 1, selector, strategy, template: template(name, options) };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name }, spec };
}

/** A Service with an HTTP and a TCP port for the pods that `selector` names; default `app: <name>`. */
export function service(name: string, selector: Readonly<Record<string, string>> = { app: name }): object {
  const ports = [
    { name: "http", port: HTTP_PORT, targetPort: HTTP_PORT, appProtocol: "http" },
    { name: "raw", port: TCP_PORT, targetPort: TCP_PORT, appProtocol: "tcp" },
  ];
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { selector, ports } };
}

/** A ServiceAccount. */
export function serviceAccount(name: string): object {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } };
}
