import path from "node:path";
import { brotliCompressSync, gunzipSync } from "node:zlib";

/** One object of `pepr build`'s manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

interface Container {
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
}

interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly [field: string]: unknown;
}

interface Deployment extends Manifest {
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: {
      readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
      readonly spec: PodSpec;
    };
    readonly [field: string]: unknown;
  };
}

const C = ".Values.osm.controller";
/** Marks where {@link expand} puts a template expression, so that the rest stays plain data until it is printed. */
const expression = (text: string): string => `@@${text}@@`;
/** The same for an expression that prints several lines. */
const block = (value: string): string => `@@block ${value}@@`;
/** A field that is there where the condition holds. */
const optional = (value: string, condition: string): string => `@@if ${condition} then ${value}@@`;
/** As a key without a value: the fields of a map of the user's. */
const lines = (value: string): string => `@@lines ${value}@@`;

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
  const { containers, initContainers = [], ...pod } = template.spec;
  const admission = deployment.spec.selector.matchLabels["pepr.dev/controller"] === "admission";
  const environment = ENVIRONMENT.map(([name, value]) => ({ name, value: expression(`${value} | quote`) }));
  const ours = {
    image: expression(".Values.osm.controllerImage | quote"),
    resources: block(`${C}.resources`),
  };
  return {
    ...deployment,
    spec: {
      ...sized.spec,
      replicas: admission ? optional(`${C}.replicas`, `not ${C}.autoScale.enable`) : 1,
      template: {
        ...template,
        metadata: {
          ...template.metadata,
          labels: { ...template.metadata?.labels, [lines(`${C}.podLabels`)]: "" },
        },
        spec: {
          ...pod,
          initContainers: initContainers.map(container => ({ ...container, ...ours })),
          containers: containers.map(container => ({
            ...container,
            ...ours,
            env: [...(container.env ?? []), ...environment],
          })),
          priorityClassName: optional(`${C}.priorityClassName`, `${C}.priorityClassName`),
          affinity: block(`${C}.affinity`),
          imagePullSecrets: block(".Values.osm.imagePullSecrets"),
          nodeSelector: block(`${C}.nodeSelector`),
          tolerations: block(`${C}.tolerations`),
          ...(admission ? { topologySpreadConstraints: block(`${C}.topologySpreadConstraints`) } : {}),
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

/**
 * The chart's files that a Secret of the module is made of: name in the chart, and content. Packed by Brotli, which is a sixth smaller
 * than the build's gzip: Helm keeps them twice, and in no more than 1 MiB. The pod makes gzip of it again (src/install/read-only-root.ts).
 */
export function moduleFiles(object: Manifest): ReadonlyMap<string, Buffer> {
  const isModule = object.kind === "Secret" && object.metadata.name.endsWith("-module");
  const data = isModule ? (object["data"] as Readonly<Record<string, string>>) : {};
  return new Map(
    Object.entries(data).map(([key, text]) => {
      const code = gunzipSync(Buffer.from(text, "base64"));
      return [`files/${key.replace(/\.gz$/, ".br")}`, brotliCompressSync(code)] as const;
    }),
  );
}

/** The module's Secret with its content as files of the chart; in a template it would be there a third time. */
export function moduleTemplate(object: Manifest, files: ReadonlyMap<string, Buffer>): Manifest {
  const data = [...files.keys()].map(
    name => [path.basename(name), expression(`.Files.Get \`${name}\` | b64enc`)] as const,
  );
  return { ...object, data: Object.fromEntries(data) };
}

/** Marks that become several lines, each with what it is printed as. */
const LONG_MARKS: readonly (readonly [RegExp, (indent: string, ...parts: string[]) => string])[] = [
  [
    /^(\s*)(\S+): "?@@block (.+?)@@"?$/,
    (indent, key, value) =>
      `${indent}${key}:\n${indent}  {{- toYaml ${value} | nindent ${indent.length + 2} }}`,
  ],
  [
    /^(\s*)(\S+): "?@@if (.+) then (.+?)@@"?$/,
    (indent, key, condition, value) =>
      `${indent}{{- if ${condition} }}\n${indent}${key}: {{ ${value} }}\n${indent}{{- end }}`,
  ],
  [
    /^(\s*)"?@@lines (.+?)@@"?: ""$/,
    (indent, value) =>
      `${indent}{{- with ${value} }}\n${indent}{{- toYaml . | nindent ${indent.length} }}\n${indent}{{- end }}`,
  ],
];

/** One line of printed YAML with its marks as template expressions. */
function expanded(line: string): string {
  for (const [mark, print] of LONG_MARKS) {
    const [whole, indent = "", ...parts] = mark.exec(line) ?? [];
    if (whole !== undefined) return print(indent, ...parts);
  }
  return line.replace(/"?@@(.+?)@@"?/g, (_, text: string) => `{{ ${text} }}`);
}

/** Turns marks into template expressions, after the object has been printed as YAML. */
export function expand(yaml: string): string {
  return yaml.split("\n").map(expanded).join("\n");
}
