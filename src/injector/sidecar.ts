import type { MeshConfigSpec } from "../api/mesh-config";
import {
  CA_ROOT_CONFIGMAP,
  CA_ROOT_KEY,
  ENV_INBOUND_EXCLUDED_PORTS,
  INIT_CONTAINER,
  PORT_HEALTHCHECK,
  PORT_INBOUND,
  PORT_METRICS,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKEN_AUDIENCE,
} from "../model/mesh-words";
import type { Owner } from "../model/owner";
import { RESOURCE_VARIABLE, resourceAttributes, SELF_VARIABLES } from "../model/request-metrics";
import type { EnvoyJson } from "./envoy-json";
import { initScript } from "./init-script";
import { READY_PATH } from "./kubelet-listeners";
import {
  ANNOTATION_ROOT_SDS,
  ANNOTATION_TOKEN_SDS,
  API_TOKEN_DIRECTORY,
  ENV_ORIGINALS,
  escapeExpansion,
  FILE_ROOT_SDS,
  FILE_TOKEN,
  FILE_TOKEN_SDS,
  IDENTITY_DIRECTORY,
  RUN_DIRECTORY,
  TOKEN_SECONDS,
  VOLUME_IDENTITY,
  VOLUME_RUN,
} from "./names";
import type { Container, ContainerPort, EnvVar, Probe, Volume } from "./pod";
import type { RedirectPlan } from "./redirect";
import { sidecarResources, sidecarThreads } from "./resources";
import type { KubeletRoute, OriginalHandler } from "./rewrite";

/** What the two containers are made from. */
export interface SidecarInput {
  readonly meshConfig: MeshConfigSpec;
  readonly images: { readonly envoy: string; readonly init: string };
  /** Restartable init container rather than a container beside the application. */
  readonly native: boolean;
  readonly bootstrap: EnvoyJson;
  readonly routes: readonly KubeletRoute[];
  readonly originals: readonly OriginalHandler[];
  readonly metrics: boolean;
  /** The pod's namespace, and what runs it; undefined: nothing does. */
  readonly self: { readonly namespace: string; readonly owner: Owner | undefined };
  /** `<service account>.<namespace>`, shown by Envoy as its cluster; nothing decides by it. */
  readonly serviceCluster: string;
}

/**
 * How long listeners and filter chains that were replaced go on serving their open connections. It bounds the life of a
 * silent connection whose permission was taken back (the others end at once), and cuts requests that take longer when the
 * listener of their port changes; what changes often stands in routes and clusters, where nothing is cut.
 */
const DRAIN_SECONDS = 1;
/** Classic layout: the sidecar outlives the application's own shutdown by this, while endpoints are withdrawn. */
const CLASSIC_LINGER_SECONDS = 5;

/** Defaults that the API server would add are written out, so that a second call sees no difference. */
const API_DEFAULTS = {
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
  imagePullPolicy: "IfNotPresent",
};

/** The Envoy container. */
export function sidecarContainer(input: SidecarInput): Container {
  const { sidecar } = input.meshConfig;
  const container: Container = {
    name: SIDECAR_CONTAINER,
    image: sidecar.envoyImage === "" ? input.images.envoy : sidecar.envoyImage,
    command: ["envoy"],
    args: envoyArguments(input),
    env: [
      fieldVariable("POD_UID", "metadata.uid"),
      ...selfVariables(input),
      { name: ENV_ORIGINALS, value: escapeExpansion(JSON.stringify(input.originals)) },
    ],
    ports: sidecarPorts(input),
    resources: sidecarResources(sidecar.resources),
    volumeMounts: [
      { name: VOLUME_IDENTITY, mountPath: IDENTITY_DIRECTORY, readOnly: true },
      { name: VOLUME_RUN, mountPath: RUN_DIRECTORY },
      { name: VOLUME_RUN, mountPath: API_TOKEN_DIRECTORY, readOnly: true },
    ],
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: SIDECAR_UID,
      runAsNonRoot: true,
      runAsUser: SIDECAR_UID,
      seccompProfile: { type: "RuntimeDefault" },
    },
    readinessProbe: readyProbe({ periodSeconds: 5, failureThreshold: 3 }),
    ...API_DEFAULTS,
  };
  return input.native ? { ...container, ...NATIVE } : { ...container, ...CLASSIC };
}

/** The application is started once the sidecar has its configuration; it is given ten minutes before a restart. */
const NATIVE = {
  restartPolicy: "Always",
  startupProbe: readyProbe({ periodSeconds: 1, failureThreshold: 600 }),
};
/** An image without `sleep` loses only the delay. */
const CLASSIC = {
  lifecycle: { preStop: { exec: { command: ["sleep", String(CLASSIC_LINGER_SECONDS)] } } },
};

function readyProbe(pace: { readonly periodSeconds: number; readonly failureThreshold: number }): Probe {
  return {
    httpGet: { path: READY_PATH, port: PORT_HEALTHCHECK, scheme: "HTTP" },
    timeoutSeconds: 1,
    successThreshold: 1,
    ...pace,
  };
}

function envoyArguments(input: SidecarInput): string[] {
  const { sidecar } = input.meshConfig;
  return [
    "--log-level",
    sidecar.logLevel,
    "--service-cluster",
    input.serviceCluster,
    "--service-node",
    "$(POD_UID)",
    "--concurrency",
    String(sidecarThreads(sidecar.resources)),
    "--drain-time-s",
    String(DRAIN_SECONDS),
    "--drain-strategy",
    "immediate",
    "--disable-hot-restart",
    "--config-yaml",
    escapeExpansion(JSON.stringify(input.bootstrap)),
  ];
}

function sidecarPorts(input: SidecarInput): readonly ContainerPort[] {
  const probes = [...new Set(input.routes.map(route => route.listenPort))]
    .filter(port => port !== PORT_HEALTHCHECK)
    .sort((a, b) => a - b);
  return [
    { name: "proxy-inbound", containerPort: PORT_INBOUND, protocol: "TCP" },
    ...(input.metrics ? [{ name: "proxy-metrics", containerPort: PORT_METRICS, protocol: "TCP" }] : []),
    { name: "proxy-health", containerPort: PORT_HEALTHCHECK, protocol: "TCP" },
    ...probes.map(port => ({ name: `probe-${port}`, containerPort: port, protocol: "TCP" })),
  ];
}

function fieldVariable(name: string, fieldPath: string): EnvVar {
  return { name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } };
}

/** As what this pod is counted where it calls. The name of a pod is not known before it is stored. */
function selfVariables({
  self: { namespace, owner },
  serviceCluster,
}: Pick<SidecarInput, "self" | "serviceCluster">): readonly EnvVar[] {
  const name = SELF_VARIABLES.name;
  return [
    { name: SELF_VARIABLES.namespace, value: namespace },
    { name: SELF_VARIABLES.kind, value: owner?.kind ?? "Pod" },
    owner === undefined ? fieldVariable(name, "metadata.name") : { name, value: owner.name },
    fieldVariable(SELF_VARIABLES.pod, "metadata.name"),
    {
      name: RESOURCE_VARIABLE,
      value: resourceAttributes(serviceCluster, namespace, `$(${SELF_VARIABLES.pod})`),
    },
  ];
}

/** The init container that writes the pod's redirect rules. */
export function initContainer(input: SidecarInput, plan: RedirectPlan): Container {
  const { sidecar } = input.meshConfig;
  const privileged = sidecar.enablePrivilegedInitContainer;
  return {
    name: INIT_CONTAINER,
    image: sidecar.initContainerImage === "" ? input.images.init : sidecar.initContainerImage,
    command: ["/bin/sh", "-c", escapeExpansion(initScript(plan))],
    env: [
      fieldVariable("POD_IPS", "status.podIPs"),
      // Only iptables' older kernel interface takes a lock; the root file system is read-only.
      { name: "XTABLES_LOCKFILE", value: "/dev/shm/xtables.lock" },
      ...excludedPorts(plan),
    ],
    // The same as the sidecar's: it adds nothing to what the pod asks for and keeps its quality-of-service class.
    resources: sidecarResources(sidecar.resources),
    volumeMounts: [{ name: VOLUME_RUN, mountPath: API_TOKEN_DIRECTORY, readOnly: true }],
    securityContext: {
      allowPrivilegeEscalation: privileged,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged,
      readOnlyRootFilesystem: true,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: "RuntimeDefault" },
    },
    ...API_DEFAULTS,
  };
}

/** Not for the script, which has them in its rules: for the control plane, whose clients must call them in plaintext. */
function excludedPorts({ inboundExcludedPorts: ports }: RedirectPlan): readonly EnvVar[] {
  return ports.length === 0 ? [] : [{ name: ENV_INBOUND_EXCLUDED_PORTS, value: ports.join(",") }];
}

/** Volumes of the sidecar. No Secret among them: the token is the pod's own, projected by the kubelet. */
export function sidecarVolumes(): readonly Volume[] {
  return [
    {
      name: VOLUME_IDENTITY,
      projected: {
        defaultMode: 0o644,
        sources: [
          {
            serviceAccountToken: {
              audience: TOKEN_AUDIENCE,
              expirationSeconds: TOKEN_SECONDS,
              path: FILE_TOKEN,
            },
          },
          {
            configMap: {
              name: CA_ROOT_CONFIGMAP,
              items: [{ key: CA_ROOT_KEY, path: CA_ROOT_KEY }],
              optional: false,
            },
          },
          {
            downwardAPI: {
              items: [
                annotationFile(FILE_TOKEN_SDS, ANNOTATION_TOKEN_SDS),
                annotationFile(FILE_ROOT_SDS, ANNOTATION_ROOT_SDS),
              ],
            },
          },
        ],
      },
    },
    { name: VOLUME_RUN, emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  ];
}

function annotationFile(path: string, annotation: string): EnvoyJson {
  return { path, fieldRef: { apiVersion: "v1", fieldPath: `metadata.annotations['${annotation}']` } };
}
