/** The second chart: programs to try out beside the mesh. Apart from the mesh's own, whose release is nearly as large as Helm takes. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { stringify } from "yaml";
import { DEFAULT_OSM_NAMESPACE } from "../../src/model/mesh-words";
import { expand } from "../chart/templates";
import { schemaTree, valuesYaml, type Value } from "../chart/values";
import {
  dashboardObjects,
  grafanaObjects,
  jaegerObjects,
  monitorObjects,
  prometheusObjects,
  type AddonObject,
  type AddonValues,
} from "./objects";

/** Published images; none of them can be had in the project's tests, see docs/guides/observability.md. */
const PUBLISHED = {
  prometheus: "docker.io/prom/prometheus:v2.55.1",
  grafana: "docker.io/grafana/grafana:11.6.0",
  jaeger: "docker.io/jaegertracing/all-in-one:1.67.0",
} as const;

/** Sizes as Open Service Mesh had them. */
const PROMETHEUS_RESOURCES = {
  requests: { cpu: "500m", memory: "512Mi" },
  limits: { cpu: "1", memory: "2Gi" },
};

const image = { type: "string", minLength: 1, pattern: "^\\S+$" };
const port = { type: "integer", minimum: 1, maximum: 65_535 };
const flag = (name: string, comment: string): Value => ({
  path: ["osm", name],
  default: false,
  schema: { type: "boolean" },
  comment,
});

/** All values, in the order of values.yaml; names are Open Service Mesh's. */
export const ADDON_VALUES: readonly Value[] = [
  {
    path: ["osm", "namespace"],
    default: DEFAULT_OSM_NAMESPACE,
    schema: { type: "string", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
    comment: "Namespace of the add-ons; it has to be there.",
  },
  flag("deployPrometheus", "Prometheus with the mesh's scrape configuration, recording rules and alerts."),
  flag("deployGrafana", "Grafana with the dashboards. Its image is not part of the project's tests."),
  flag("deployJaeger", "Jaeger for traces. Its image is not part of the project's tests."),
  flag(
    "deployDashboards",
    "The dashboards alone, in ConfigMaps with the label grafana_dashboard, for a Grafana of your own.",
  ),
  flag(
    "deployMonitors",
    "PodMonitors and a PrometheusRule for the Prometheus Operator, whose definitions have to be there.",
  ),
  {
    path: ["osm", "prometheus", "image"],
    default: PUBLISHED.prometheus,
    schema: image,
    comment: "Image of Prometheus; any that takes its flags.",
  },
  { path: ["osm", "prometheus", "port"], default: 7070, schema: port, comment: "Port of Prometheus." },
  {
    path: ["osm", "prometheus", "retention", "time"],
    default: "15d",
    schema: { type: "string", pattern: "^[0-9]+(ms|s|m|h|d|w|y)$" },
    comment: "How long Prometheus keeps what it has scraped, in a volume that ends with its pod.",
  },
  {
    path: ["osm", "prometheus", "resources"],
    default: PROMETHEUS_RESOURCES,
    schema: { type: "object" },
    comment: "Size of Prometheus.",
  },
  {
    path: ["osm", "grafana", "image"],
    default: PUBLISHED.grafana,
    schema: image,
    comment: "Image of Grafana.",
  },
  { path: ["osm", "grafana", "port"], default: 3000, schema: port, comment: "Port of Grafana." },
  {
    path: ["osm", "tracing", "image"],
    default: PUBLISHED.jaeger,
    schema: image,
    comment: "Image of Jaeger.",
  },
  {
    path: ["osm", "tracing", "port"],
    default: 9411,
    schema: port,
    comment: "Port at which Jaeger takes Zipkin's spans; MeshConfig names it.",
  },
];

/** The add-ons with every value at its default. */
export const DEFAULT_ADDONS: AddonValues = {
  namespace: DEFAULT_OSM_NAMESPACE,
  prometheus: { image: PUBLISHED.prometheus, port: 7070, retention: "15d", resources: PROMETHEUS_RESOURCES },
  grafana: { image: PUBLISHED.grafana, port: 3000 },
  jaeger: { image: PUBLISHED.jaeger, port: 9411 },
  content: (_file, text) => text,
};

const value = (name: string): string => `@@.Values.osm.${name}@@`;

/** The add-ons with expressions where values go. */
const TEMPLATED: AddonValues = {
  namespace: value("namespace"),
  prometheus: {
    image: value("prometheus.image"),
    port: value("prometheus.port"),
    retention: value("prometheus.retention.time"),
    resources: "@@block .Values.osm.prometheus.resources@@",
  },
  grafana: { image: value("grafana.image"), port: value("grafana.port") },
  jaeger: { image: value("tracing.image"), port: value("tracing.port") },
  content: (_file, text) => text,
};

const PARTS: readonly (readonly [
  condition: string,
  file: string,
  of: (values: AddonValues) => readonly AddonObject[],
])[] = [
  ["and .Values.osm.deployDashboards (not .Values.osm.deployGrafana)", "dashboards", dashboardObjects],
  [".Values.osm.deployPrometheus", "prometheus", values => prometheusObjects(values)],
  [".Values.osm.deployGrafana", "grafana", grafanaObjects],
  [".Values.osm.deployJaeger", "jaeger", jaegerObjects],
  [".Values.osm.deployMonitors", "monitors", monitorObjects],
];

/** One YAML text of several objects. */
export function manifest(objects: readonly AddonObject[]): string {
  return objects
    .map(object => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join("---\n");
}

/** What Prometheus and Grafana write in double braces is no expression of Helm's. */
const literal = (text: string): string => text.replaceAll("{{", '{{ "{{" }}');

/** Writes the chart; returns its folder. */
export function buildAddonsChart(folder: string, version: string): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, "templates"), { recursive: true });
  const write = (name: string, text: string): void => {
    writeFileSync(path.join(folder, name), text);
  };
  write(
    "Chart.yaml",
    stringify({
      apiVersion: "v2",
      name: "osm-addons",
      description: "Prometheus, Grafana, Jaeger, dashboards and alerts beside Open Service Mesh on Pepr",
      type: "application",
      version,
      appVersion: version,
    }),
  );
  write("values.yaml", valuesYaml(ADDON_VALUES));
  write("values.schema.json", `${JSON.stringify(schemaTree(ADDON_VALUES), null, 2)}\n`);
  for (const [condition, file, of] of PARTS) {
    const text = expand(literal(manifest(of(TEMPLATED))));
    write(`templates/${file}.yaml`, `{{- if ${condition} }}\n${text}{{- end }}\n`);
  }
  return folder;
}

/** Writes every add-on with default values as a manifest of its own, for kubectl; returns the files. */
export function writeManifests(folder: string): readonly string[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return PARTS.map(([, name, of]) => {
    const file = path.join(folder, `${name}.yaml`);
    writeFileSync(file, manifest(of(DEFAULT_ADDONS)));
    return file;
  });
}
