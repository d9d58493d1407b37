import { DEFAULT_MESH_NAME, DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN } from "../../src/model/mesh-words";
import { DEFAULT_IMAGES } from "../../src/runtime/settings";
import { POD_VALUES } from "./pod-values";
import { DOMAIN, IMAGE, LABEL, PEERS, PULL_SECRETS } from "./schemas";
import type { Value } from "./value";

export type { Value } from "./value";

/** All values a user sets, in the order of values.yaml. */
export function chartValues(controllerImage: string): readonly Value[] {
  return [
    {
      path: ["osm", "meshName"],
      default: DEFAULT_MESH_NAME,
      schema: LABEL,
      comment: "Name of the mesh: value of the label openservicemesh.io/monitored-by on its namespaces.",
    },
    {
      path: ["osm", "namespace"],
      default: DEFAULT_OSM_NAMESPACE,
      schema: LABEL,
      comment: "Namespace of MeshConfig and of the mesh's Secrets; made by the mesh itself.",
    },
    {
      path: ["osm", "trustDomain"],
      default: DEFAULT_TRUST_DOMAIN,
      schema: DOMAIN,
      comment: "Trust domain of workload identities (spiffe://<trust domain>/ns/…/sa/…).",
    },
    {
      path: ["osm", "controllerImage"],
      default: controllerImage,
      schema: IMAGE,
      comment: "Image of the control plane (Pepr's controller).",
    },
    {
      path: ["osm", "sidecarImage"],
      default: DEFAULT_IMAGES.envoy,
      schema: IMAGE,
      comment: "Image of the sidecar; MeshConfig spec.sidecar.envoyImage overrides it.",
    },
    {
      path: ["osm", "initImage"],
      default: DEFAULT_IMAGES.init,
      schema: IMAGE,
      comment: "Image of the init container; MeshConfig spec.sidecar.initContainerImage overrides it.",
    },
    {
      path: ["osm", "imagePullSecrets"],
      default: [],
      schema: PULL_SECRETS,
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
      schema: {
        type: "string",
        enum: ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"],
      },
      comment: "First MeshConfig: log level of sidecars.",
    },
    {
      path: ["osm", "controllerLogLevel"],
      default: "info",
      schema: {
        type: "string",
        enum: ["trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"],
      },
      comment: "First MeshConfig: log level of the control plane.",
    },
    ...POD_VALUES,
    {
      path: ["osm", "networkPolicy", "enable"],
      default: false,
      schema: { type: "boolean" },
      comment:
        "A NetworkPolicy for the control plane's pods: proxies of the mesh's namespaces reach 15128, the pods each other at 15129, the API server the webhooks. Pods that keep a sidecar in a namespace that has left the mesh get nothing more.",
    },
    {
      path: ["osm", "networkPolicy", "proxies"],
      default: [],
      schema: PEERS,
      comment:
        "Who else may reach 15128: proxies outside the cluster, like [{ipBlock: {cidr: 192.0.2.0/24}}].",
    },
    {
      path: ["osm", "networkPolicy", "apiServer"],
      default: [],
      schema: PEERS,
      comment:
        "Addresses of the API server, which calls the webhooks at port 3000; empty: port 3000 is open.",
    },
    {
      path: ["osm", "networkPolicy", "metrics"],
      default: [],
      schema: PEERS,
      comment:
        "Who may read health and metrics at port 9091: Prometheus, and the API server for the osm command; empty: port 9091 is open.",
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
  for (const { path, schema, comment, default: initial } of values) {
    const keys = path.flatMap(key => ["properties", key]);
    place(root, keys, { description: comment, default: initial, ...schema });
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
