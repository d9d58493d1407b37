/** `--set` of `osm install` and `osm mesh upgrade`: OSM's value names, and what each of them does here. Pure. */
import { UsageError } from "../failure";

/** A scalar or a list, as Helm's `--set` reads it. */
export type Scalar = string | number | boolean;

/** What the values come to. */
export interface Wanted {
  /** Environment of the control plane. */
  readonly environment: Readonly<Record<string, string>>;
  /** `[path in spec, value]` of the MeshConfig. */
  readonly meshConfig: readonly (readonly [readonly string[], Scalar | readonly Scalar[]])[];
  readonly controllerImage?: string;
  readonly replicas?: number;
  readonly imagePullSecrets: readonly string[];
  readonly addOns: readonly AddOn[];
  /** What was asked for and has no effect, in words. */
  readonly warnings: readonly string[];
}

/** What can be deployed beside the mesh, to try it. */
export type AddOn = "prometheus" | "grafana" | "jaeger";

/** Values that go into the control plane's environment. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  meshName: "OSM_MESH_NAME",
  osmNamespace: "OSM_NAMESPACE",
  namespace: "OSM_NAMESPACE",
  trustDomain: "OSM_TRUST_DOMAIN",
  sidecarImage: "OSM_ENVOY_IMAGE",
  initImage: "OSM_INIT_IMAGE",
  "osmController.resource.requests.cpu": "OSM_CPU_REQUEST",
  "osmController.resource.requests.memory": "OSM_MEMORY_REQUEST",
  "osmController.resource.limits.cpu": "OSM_CPU_LIMIT",
  "osmController.resource.limits.memory": "OSM_MEMORY_LIMIT",
  "controller.resources.requests.cpu": "OSM_CPU_REQUEST",
  "controller.resources.requests.memory": "OSM_MEMORY_REQUEST",
  "controller.resources.limits.cpu": "OSM_CPU_LIMIT",
  "controller.resources.limits.memory": "OSM_MEMORY_LIMIT",
};

/** Values that are fields of the MeshConfig. */
const MESH_CONFIG: Readonly<Record<string, string>> = {
  enablePermissiveTrafficPolicy: "traffic.enablePermissiveTrafficPolicyMode",
  enablePermissiveTrafficPolicyMode: "traffic.enablePermissiveTrafficPolicyMode",
  enableEgress: "traffic.enableEgress",
  outboundIPRangeExclusionList: "traffic.outboundIPRangeExclusionList",
  outboundIPRangeInclusionList: "traffic.outboundIPRangeInclusionList",
  outboundPortExclusionList: "traffic.outboundPortExclusionList",
  inboundPortExclusionList: "traffic.inboundPortExclusionList",
  networkInterfaceExclusionList: "traffic.networkInterfaceExclusionList",
  envoyLogLevel: "sidecar.logLevel",
  localProxyMode: "sidecar.localProxyMode",
  maxDataPlaneConnections: "sidecar.maxDataPlaneConnections",
  configResyncInterval: "sidecar.configResyncInterval",
  enablePrivilegedInitContainer: "sidecar.enablePrivilegedInitContainer",
  controllerLogLevel: "observability.osmLogLevel",
  enableDebugServer: "observability.enableDebugServer",
  "tracing.enable": "observability.tracing.enable",
  "tracing.address": "observability.tracing.address",
  "tracing.port": "observability.tracing.port",
  "tracing.endpoint": "observability.tracing.endpoint",
  "tracing.protocol": "observability.tracing.protocol",
  "tracing.samplingPercentage": "observability.tracing.samplingPercentage",
  "certificateProvider.serviceCertValidityDuration": "certificate.serviceCertValidityDuration",
  "certificateProvider.certKeyBitSize": "certificate.certKeyBitSize",
  "featureFlags.enableRetryPolicy": "featureFlags.enableRetryPolicy",
  "featureFlags.enableMeshRootCertificate": "featureFlags.enableMeshRootCertificate",
};

/** Values that are true or false: the API server would refuse anything else, after the mesh is there. */
const SWITCHES = /^(enable\w+|tracing\.enable|featureFlags\.\w+)$/;

const LISTS: readonly string[] = Object.keys(MESH_CONFIG).filter(name => name.endsWith("List"));

const ADD_ONS: Readonly<Record<string, AddOn>> = {
  deployPrometheus: "prometheus",
  deployGrafana: "grafana",
  deployJaeger: "jaeger",
};

/** OSM's values that mean nothing here, with the reason; each stands for all that begin with it. */
const WITHOUT_EFFECT: readonly (readonly [string, string])[] = [
  ["image.", "there is one image of the control plane: controllerImage"],
  ["sidecarWindowsImage", "Windows pods get no sidecar"],
  ["curlImage", "nothing here needs it"],
  ["caBundleSecretName", "the Secret is called osm-ca-bundle"],
  ["enableReconciler", "what the mesh made is always repaired"],
  ["enforceSingleMesh", "a cluster has one control plane"],
  ["osmBootstrap.", "there is no such component"],
  ["osmController.", "size and number of pods are what can be set"],
  ["injector.", "the control plane's pods inject; their size is osmController's"],
  ["certificateProvider.kind", "other issuers are named by a MeshRootCertificate"],
  ["vault.", "Vault is named by a MeshRootCertificate"],
  ["certmanager.", "cert-manager is named by a MeshRootCertificate"],
  ["webhookConfigNamePrefix", "webhook configurations are called pepr-osm"],
  ["validatorWebhook.", "webhook configurations are called pepr-osm"],
  ["controlPlaneTolerations", "use the chart for scheduling"],
  ["preinstall.", "this command looks before it installs"],
  ["cleanup.", "osm uninstall mesh cleans up"],
  ["enableFluentbit", "see the guide about logs"],
  ["fluentBit.", "see the guide about logs"],
  ["prometheus.", "the add-on is for trying out; bring your own for more"],
  ["grafana.", "the add-on is for trying out; bring your own for more"],
  ["tracing.image", "the add-on is for trying out; bring your own for more"],
  ["contour.", "install Contour by its own chart"],
  ["smi.validateTrafficTarget", "TrafficTargets are always validated"],
  ["featureFlags.", "always on, or without effect in OSM too"],
];

function scalar(text: string): Scalar {
  if (text === "true" || text === "false") return text === "true";
  // Only as a number is written: the text 1.10 would come back as another.
  return /^-?(0|[1-9]\d*)(\.\d*[1-9])?$/.test(text) ? Number(text) : text;
}

/** What a switch says. Throws {@link UsageError} that calls it by `name` for what is neither true nor false. */
export function switchOf(name: string, text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new UsageError(`${name} is ${JSON.stringify(text)}, neither true nor false`);
}

/** Splits at commas that stand in no braces and behind no backslash, as Helm does. */
function split(text: string): readonly string[] {
  const parts = [""];
  let depth = 0;
  for (let n = 0; n < text.length; n += 1) {
    let letter = text[n] ?? "";
    if (letter === "{") depth += 1;
    if (letter === "}") depth -= 1;
    const isEnd = letter === "," && depth === 0;
    if (letter === "\\") letter = text[(n += 1)] ?? "";
    if (isEnd) parts.push("");
    else parts[parts.length - 1] = `${parts.at(-1) ?? ""}${letter}`;
  }
  return parts.filter(part => part !== "");
}

interface Setting {
  readonly name: string;
  readonly text: string;
}

/** `[Prefix.]name=value,…`; a list is `{a,b}` or `name[0]=a`. Throws {@link UsageError} that quotes what is none. */
function settingsOf(argument: string): readonly Setting[] {
  return split(argument).map(part => {
    const [, name, text] =
      /^(?:OpenServiceMesh\.|osm\.)?([\w.-]+(?:\[\d+\])?(?:\.\w+)?)=(.*)$/s.exec(part) ?? [];
    if (name === undefined || text === undefined)
      throw new UsageError(`--set: ${JSON.stringify(part)} is not name=value`);
    return { name, text };
  });
}

function listOf(text: string): readonly Scalar[] {
  const inner = /^\{(.*)\}$/s.exec(text)?.[1] ?? text;
  return inner.split(",").flatMap(part => (part.trim() === "" ? [] : [scalar(part.trim())]));
}

/** Collects what settings come to; later ones win. */
class Collector {
  private readonly environment: Record<string, string> = {};
  private readonly meshConfig = new Map<string, Scalar | readonly Scalar[]>();
  private readonly pullSecrets: string[] = [];
  private readonly addOns = new Map<AddOn, boolean>();
  private readonly warnings: string[] = [];
  private controllerImage: string | undefined;
  private replicas: number | undefined;

  take({ name, text }: Setting): void {
    const plain = name.replace(/\[\d+\]$/, "");
    const taken =
      this.takeEnvironment(name, text) ||
      this.takeMeshConfig(plain, name, text) ||
      this.takeOther(name, text);
    if (taken) return;
    const reason = WITHOUT_EFFECT.find(([start]) => name.startsWith(start));
    if (reason === undefined) throw new UsageError(`--set: there is no value ${name}`);
    this.warnings.push(`${name} has no effect: ${reason[1]}`);
  }

  private takeEnvironment(name: string, text: string): boolean {
    const variable = ENVIRONMENT[name];
    if (variable !== undefined) this.environment[variable] = text;
    return variable !== undefined;
  }

  private takeMeshConfig(plain: string, name: string, text: string): boolean {
    const field = MESH_CONFIG[plain];
    if (field === undefined) return false;
    if (SWITCHES.test(plain)) this.meshConfig.set(field, switchOf(`--set: ${name}`, text));
    else if (!LISTS.includes(plain)) this.meshConfig.set(field, scalar(text));
    else if (name === plain) this.meshConfig.set(field, listOf(text));
    else this.meshConfig.set(field, [...((this.meshConfig.get(field) ?? []) as Scalar[]), scalar(text)]);
    return true;
  }

  private takeOther(name: string, text: string): boolean {
    const addOn = ADD_ONS[name];
    if (addOn !== undefined) this.addOns.set(addOn, switchOf(`--set: ${name}`, text));
    else if (name === "controllerImage") this.controllerImage = text;
    else if (/^(osmController\.replicaCount|controller\.replicas)$/.test(name))
      this.replicas = count(name, text);
    else if (/^imagePullSecrets\[\d+\]\.name$/.test(name)) this.pullSecrets.push(text);
    else return false;
    return true;
  }

  wanted(): Wanted {
    return {
      environment: this.environment,
      meshConfig: [...this.meshConfig].map(([field, value]) => [field.split("."), value]),
      imagePullSecrets: this.pullSecrets,
      addOns: [...this.addOns].flatMap(([name, on]) => (on ? [name] : [])),
      warnings: this.warnings,
      ...(this.controllerImage === undefined ? {} : { controllerImage: this.controllerImage }),
      ...(this.replicas === undefined ? {} : { replicas: this.replicas }),
    };
  }
}

function count(name: string, text: string): number {
  if (/^([1-9]|10)$/.test(text)) return Number(text);
  throw new UsageError(`--set: ${name} is ${JSON.stringify(text)}, not 1 to 10`);
}

/**
 * What `--set` arguments ask for. Throws {@link UsageError} that names what is no value of OSM's or ours: a misspelt one would do
 * nothing in silence.
 */
export function wantedBy(settings: readonly string[]): Wanted {
  const collector = new Collector();
  for (const setting of settings.flatMap(settingsOf)) collector.take(setting);
  return collector.wanted();
}
