import { DEFAULT_POD_SIZE } from "../../src/install/deployments";
import { DEFAULT_MESH_NAME, DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN } from "../../src/model/mesh-words";
import { DEFAULT_IMAGES } from "../../src/runtime/settings";

/** A value of the chart: its default, its JSON schema and the comment in values.yaml. */
export interface Value {
  readonly path: readonly [string, ...string[]];
  readonly default: unknown;
  readonly schema: object;
  readonly comment: string;
}

const quantity = { type: "string", pattern: "^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$" };
const image = { type: "string", minLength: 1, pattern: "^\\S+$" };
const label = { type: "string", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" };
const size = DEFAULT_POD_SIZE;

/** All values a user sets, in the order of values.yaml. */
export function chartValues(controllerImage: string): readonly Value[] {
  return [
    {
      path: ["osm", "meshName"],
      default: DEFAULT_MESH_NAME,
      schema: label,
      comment: "Name of the mesh: value of the label openservicemesh.io/monitored-by on its namespaces.",
    },
    {
      path: ["osm", "namespace"],
      default: DEFAULT_OSM_NAMESPACE,
      schema: label,
      comment: "Namespace of MeshConfig and of the mesh's Secrets; made by the mesh itself.",
    },
    {
      path: ["osm", "trustDomain"],
      default: DEFAULT_TRUST_DOMAIN,
      schema: { type: "string", pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", maxLength: 253 },
      comment: "Trust domain of workload identities (spiffe://<trust domain>/ns/…/sa/…).",
    },
    {
      path: ["osm", "controllerImage"],
      default: controllerImage,
      schema: image,
      comment: "Image of the control plane (Pepr's controller).",
    },
    {
      path: ["osm", "sidecarImage"],
      default: DEFAULT_IMAGES.envoy,
      schema: image,
      comment: "Image of the sidecar; MeshConfig spec.sidecar.envoyImage overrides it.",
    },
    {
      path: ["osm", "initImage"],
      default: DEFAULT_IMAGES.init,
      schema: image,
      comment: "Image of the init container; MeshConfig spec.sidecar.initContainerImage overrides it.",
    },
    {
      path: ["osm", "imagePullSecrets"],
      default: [],
      schema: { type: "array", items: { type: "object", required: ["name"] } },
      comment: "Pull secrets of the control plane's pods, like [{name: registry}].",
    },
    {
      path: ["osm", "enablePermissiveTrafficPolicy"],
      default: true,
      schema: { type: "boolean" },
      comment:
        "First MeshConfig: every pod of the mesh may call every other. An existing MeshConfig is kept.",
    },
    {
      path: ["osm", "enableEgress"],
      default: true,
      schema: { type: "boolean" },
      comment: "First MeshConfig: connections to destinations outside the mesh pass.",
    },
    {
      path: ["osm", "envoyLogLevel"],
      default: "error",
      schema: { enum: ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"] },
      comment: "First MeshConfig: log level of sidecars.",
    },
    {
      path: ["osm", "controllerLogLevel"],
      default: "info",
      schema: { enum: ["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"] },
      comment: "First MeshConfig: log level of the control plane.",
    },
    {
      path: ["osm", "controller", "replicas"],
      default: 2,
      schema: { type: "integer", minimum: 1, maximum: 10 },
      comment: "Pods that inject and configure proxies.",
    },
    {
      path: ["osm", "controller", "resources"],
      default: {
        requests: { cpu: size.cpuRequest, memory: size.memoryRequest },
        limits: { cpu: size.cpuLimit, memory: size.memoryLimit },
      },
      schema: {
        type: "object",
        additionalProperties: false,
        required: ["requests", "limits"],
        properties: Object.fromEntries(
          ["requests", "limits"].map(part => [
            part,
            {
              type: "object",
              additionalProperties: false,
              required: ["cpu", "memory"],
              properties: { cpu: quantity, memory: quantity },
            },
          ]),
        ),
      },
      comment: "Size of every control-plane pod, in canonical form (1 rather than 1000m).",
    },
    {
      path: ["osm", "controller", "nodeSelector"],
      default: {},
      schema: { type: "object" },
      comment: "Nodes for the control plane.",
    },
    {
      path: ["osm", "controller", "tolerations"],
      default: [],
      schema: { type: "array" },
      comment: "Taints that the control plane tolerates.",
    },
  ];
}

type Tree = Record<string, unknown>;

function place(root: Tree, path: readonly string[], value: unknown): void {
  const [head, ...rest] = path;
  if (head === undefined) return;
  if (rest.length === 0) {
    root[head] = value;
    return;
  }
  const below = (root[head] ?? {}) as Tree;
  root[head] = below;
  place(below, rest, value);
}

/** Defaults as a tree. */
export function defaultTree(values: readonly Value[]): Tree {
  const tree: Tree = {};
  for (const value of values) place(tree, value.path, value.default);
  return tree;
}

/** JSON schema of values.yaml; unknown keys are refused, because a misspelt one would do nothing in silence. */
export function schemaTree(values: readonly Value[]): Tree {
  const root: Tree = { $schema: "http://json-schema.org/draft-07/schema#", type: "object" };
  for (const { path, schema } of values) {
    const keys = path.flatMap(key => ["properties", key]);
    place(root, keys, schema);
  }
  const close = (node: Tree): Tree => {
    const properties = node["properties"] as Record<string, Tree> | undefined;
    if (properties === undefined) return node;
    const closed = Object.entries(properties).map(([key, below]) => [key, close(below)] as const);
    return { ...node, type: "object", additionalProperties: false, properties: Object.fromEntries(closed) };
  };
  const closed = close(root);
  // Helm adds this one to every chart's values.
  (closed["properties"] as Tree)["global"] = { type: "object" };
  return closed;
}

/** values.yaml with a comment above every value. */
export function valuesYaml(values: readonly Value[]): string {
  const lines: string[] = ["# Values of the chart. values.schema.json checks them."];
  let open: readonly string[] = [];
  for (const value of values) {
    const parents = value.path.slice(0, -1);
    parents.forEach((key, depth) => {
      if (open[depth] !== key) lines.push(`${"  ".repeat(depth)}${key}:`);
    });
    open = parents;
    const indent = "  ".repeat(parents.length);
    lines.push(`${indent}# ${value.comment}`);
    lines.push(`${indent}${value.path.at(-1) ?? ""}: ${JSON.stringify(value.default)}`);
  }
  return `${lines.join("\n")}\n`;
}
