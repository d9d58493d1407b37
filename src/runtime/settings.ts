import { DEFAULT_MESH_NAME, DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN } from "../model/mesh-words";
import type { PodSize } from "../install/deployments";
import { DEFAULT_POD_SIZE } from "../install/deployments";
import type { MeshConfigPreset } from "../install/mesh-config";

/** What an installation decides once; everything that can change while it runs is in MeshConfig. */
export interface Settings {
  readonly meshName: string;
  readonly osmNamespace: string;
  readonly trustDomain: string;
  /** Images that MeshConfig may override. */
  readonly images: { readonly envoy: string; readonly init: string };
  /** Values of the first MeshConfig. */
  readonly preset: MeshConfigPreset;
  /** Size of the control plane's own pods. */
  readonly podSize: PodSize;
  /** Name of this pod, "" outside a cluster. */
  readonly podName: string;
  /** Folder for files that Pepr reads back; private to this process. */
  readonly temporaryFolder: string;
}

/** Images this release is tested with. */
export const DEFAULT_IMAGES = {
  envoy: "docker.io/openservicemesh/osm-pepr-envoy:v1.40.0",
  init: "docker.io/openservicemesh/osm-pepr-init:v1.0.0",
} as const;

type Env = Readonly<Record<string, string | undefined>>;

/** A value of the environment that cannot be used. */
export class SettingsError extends Error {
  constructor(variable: string, value: string, expected: string) {
    super(`${variable}=${value}: expected ${expected}`);
    this.name = "SettingsError";
  }
}

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const QUANTITY = /^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$/;
const IMAGE = /^[^\s]+$/;

function text(
  env: Env,
  variable: string,
  otherwise: string,
  form: { pattern: RegExp; words: string },
): string {
  const value = env[variable];
  if (value === undefined || value === "") return otherwise;
  if (!form.pattern.test(value)) throw new SettingsError(variable, value, form.words);
  return value;
}

function flag(env: Env, variable: string): boolean | undefined {
  const value = env[variable];
  if (value === undefined || value === "") return undefined;
  if (value !== "true" && value !== "false") throw new SettingsError(variable, value, "true or false");
  return value === "true";
}

function choice<T extends string>(env: Env, variable: string, values: readonly T[]): T | undefined {
  const value = env[variable];
  if (value === undefined || value === "") return undefined;
  const found = values.find(candidate => candidate === value);
  if (found === undefined) throw new SettingsError(variable, value, `one of ${values.join(", ")}`);
  return found;
}

const SIDECAR_LEVELS = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"] as const;
const OSM_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"] as const;
const label = { pattern: DNS_LABEL, words: "a DNS label (a-z, 0-9 and dashes, at most 63)" };
const domain = { pattern: DNS_NAME, words: "a DNS name in lower case" };
const quantity = { pattern: QUANTITY, words: "a Kubernetes quantity" };
const image = { pattern: IMAGE, words: "an image name" };

function presetFrom(env: Env): MeshConfigPreset {
  const permissive = flag(env, "OSM_PERMISSIVE");
  const egress = flag(env, "OSM_EGRESS");
  const sidecarLogLevel = choice(env, "OSM_SIDECAR_LOG_LEVEL", SIDECAR_LEVELS);
  const osmLogLevel = choice(env, "OSM_LOG_LEVEL", OSM_LEVELS);
  return {
    ...(permissive === undefined ? {} : { permissive }),
    ...(egress === undefined ? {} : { egress }),
    ...(sidecarLogLevel === undefined ? {} : { sidecarLogLevel }),
    ...(osmLogLevel === undefined ? {} : { osmLogLevel }),
  };
}

/**
 * Reads the settings from the environment of the process (`pepr.env` in package.json, or values of the chart).
 *
 * Throws {@link SettingsError} that names the variable, its value and what was expected.
 */
export function readSettings(env: Env, temporaryFolder: string): Settings {
  return {
    meshName: text(env, "OSM_MESH_NAME", DEFAULT_MESH_NAME, label),
    osmNamespace: text(env, "OSM_NAMESPACE", DEFAULT_OSM_NAMESPACE, label),
    trustDomain: text(env, "OSM_TRUST_DOMAIN", DEFAULT_TRUST_DOMAIN, domain),
    images: {
      envoy: text(env, "OSM_ENVOY_IMAGE", DEFAULT_IMAGES.envoy, image),
      init: text(env, "OSM_INIT_IMAGE", DEFAULT_IMAGES.init, image),
    },
    preset: presetFrom(env),
    podSize: {
      cpuRequest: text(env, "OSM_CPU_REQUEST", DEFAULT_POD_SIZE.cpuRequest, quantity),
      memoryRequest: text(env, "OSM_MEMORY_REQUEST", DEFAULT_POD_SIZE.memoryRequest, quantity),
      cpuLimit: text(env, "OSM_CPU_LIMIT", DEFAULT_POD_SIZE.cpuLimit, quantity),
      memoryLimit: text(env, "OSM_MEMORY_LIMIT", DEFAULT_POD_SIZE.memoryLimit, quantity),
    },
    podName: env["KUBERNETES_SERVICE_HOST"] === undefined ? "" : (env["HOSTNAME"] ?? ""),
    temporaryFolder,
  };
}
