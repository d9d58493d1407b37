import path from "node:path";

/** One object of `pepr build`'s manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
}

interface PodSpec {
  readonly containers: readonly Container[];
  readonly [field: string]: unknown;
}

interface Deployment extends Manifest {
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: { readonly metadata?: object; readonly spec: PodSpec };
    readonly [field: string]: unknown;
  };
}

const C = ".Values.osm.controller";
/** Marks where {@link expand} puts a template expression, so that the rest stays plain data until it is printed. */
const expression = (text: string): string => `@@${text}@@`;
/** The same for an expression that prints several lines. */
const block = (value: string): string => `@@block ${value}@@`;

/** Environment of both Deployments, from the chart's values. */
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["OSM_MESH_NAME", ".Values.osm.meshName"],
  ["OSM_NAMESPACE", ".Values.osm.namespace"],
  ["OSM_TRUST_DOMAIN", ".Values.osm.trustDomain"],
  ["OSM_ENVOY_IMAGE", ".Values.osm.sidecarImage"],
  ["OSM_INIT_IMAGE", ".Values.osm.initImage"],
  ["OSM_PERMISSIVE", ".Values.osm.enablePermissiveTrafficPolicy"],
  ["OSM_EGRESS", ".Values.osm.enableEgress"],
  ["OSM_SIDECAR_LOG_LEVEL", ".Values.osm.envoyLogLevel"],
  ["OSM_LOG_LEVEL", ".Values.osm.controllerLogLevel"],
  ["OSM_CPU_REQUEST", `${C}.resources.requests.cpu`],
  ["OSM_MEMORY_REQUEST", `${C}.resources.requests.memory`],
  ["OSM_CPU_LIMIT", `${C}.resources.limits.cpu`],
  ["OSM_MEMORY_LIMIT", `${C}.resources.limits.memory`],
];

/** A Deployment with the chart's values in it and in its final shape, so that the mesh has nothing to change in it. */
export function deploymentTemplate(deployment: Deployment, sized: Deployment): Manifest {
  const { template } = sized.spec;
  const admission = deployment.spec.selector.matchLabels["pepr.dev/controller"] === "admission";
  const environment = ENVIRONMENT.map(([name, value]) => ({ name, value: expression(`${value} | quote`) }));
  const containers = template.spec.containers.map(container => ({
    ...container,
    image: expression(".Values.osm.controllerImage | quote"),
    resources: block(`${C}.resources`),
    env: [...container.env, ...environment],
  }));
  return {
    ...deployment,
    spec: {
      ...sized.spec,
      replicas: admission ? expression(`${C}.replicas`) : 1,
      template: {
        ...template,
        spec: {
          ...template.spec,
          containers,
          imagePullSecrets: block(".Values.osm.imagePullSecrets"),
          nodeSelector: block(`${C}.nodeSelector`),
          tolerations: block(`${C}.tolerations`),
        },
      },
    },
  };
}

/**
 * Other objects, changed where an installer must not decide: the mesh brings its own webhook certificate and rules, so
 * the chart only holds empty configurations (which `helm uninstall` then removes), and a TLS Secret without a key.
 */
export function plainTemplate(object: Manifest): Manifest {
  if (object.kind.endsWith("WebhookConfiguration")) return { ...object, webhooks: [] };
  if (object.kind === "Secret" && object.metadata.name.endsWith("-tls")) {
    return { ...object, data: { "tls.crt": "", "tls.key": "" } };
  }
  if (object.kind === "Secret" && object.metadata.name.endsWith("-api-path")) {
    return { ...object, data: { value: Buffer.from("unused").toString("base64") } };
  }
  return object;
}

/** The chart's files that a Secret of the module is made of: name in the chart, and content. */
export function moduleFiles(object: Manifest): ReadonlyMap<string, Buffer> {
  const isModule = object.kind === "Secret" && object.metadata.name.endsWith("-module");
  const data = isModule ? (object["data"] as Readonly<Record<string, string>>) : {};
  return new Map(
    Object.entries(data).map(([key, text]) => [`files/${key}`, Buffer.from(text, "base64")] as const),
  );
}

/**
 * The module's Secret with its content as files of the chart. In a template it would be base64 within base64, which
 * Helm's compression cannot undo, and the release would be too large.
 */
export function moduleTemplate(object: Manifest): Manifest {
  const names = [...moduleFiles(object).keys()];
  const data = names.map(
    name => [path.basename(name), expression(`.Files.Get \`${name}\` | b64enc`)] as const,
  );
  return { ...object, data: Object.fromEntries(data) };
}

/** Turns marks into template expressions, after the object has been printed as YAML. */
export function expand(yaml: string): string {
  return yaml
    .split("\n")
    .map(line => {
      const lines = /^(\s*)(\S+): "?@@block (.+?)@@"?$/.exec(line);
      if (lines !== null) {
        const [, indent = "", key = "", value = ""] = lines;
        return `${indent}${key}:\n${indent}  {{- toYaml ${value} | nindent ${indent.length + 2} }}`;
      }
      return line.replace(/"?@@(.+?)@@"?/g, (_, text: string) => `{{ ${text} }}`);
    })
    .join("\n");
}
