/** The programs that can be tried beside the mesh: Prometheus, Grafana and Jaeger, as Kubernetes objects. */
import { stringify } from "yaml";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { dashboardMaps } from "./dashboards";
import { RULE_GROUPS } from "./rules";
import { scrapeConfig } from "./scrape";

/** An object of the API. */
export interface AddonObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

/** What is asked of the add-ons; texts may be expressions of a template. */
export interface AddonValues {
  readonly namespace: string;
  readonly prometheus: {
    readonly image: string;
    readonly port: number | string;
    /** A Prometheus duration like `15d`. */
    readonly retention: string;
    readonly resources: unknown;
  };
  readonly grafana: { readonly image: string; readonly port: number | string };
  readonly jaeger: { readonly image: string; readonly port: number | string };
  /** Makes the content of a key of a ConfigMap of a text. */
  readonly content: (file: string, text: string) => string;
}

const NAMES = { prometheus: "osm-prometheus", grafana: "osm-grafana", jaeger: "jaeger" } as const;

const labels = (app: string): Readonly<Record<string, string>> => ({
  app,
  "app.kubernetes.io/part-of": "openservicemesh.io",
});

const meta = (values: AddonValues, name: string, app = name): AddonObject["metadata"] => ({
  name,
  namespace: values.namespace,
  labels: labels(app),
});

const UNPRIVILEGED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
};

/** One pod of a program. */
interface Program {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly object[];
  readonly ports: readonly { readonly name: string; readonly port: number | string }[];
  readonly ready: string;
  readonly readyPort: number | string;
  readonly resources: unknown;
  readonly user: number;
  readonly account?: string;
  readonly volumes: readonly { readonly name: string; readonly path: string; readonly source: object }[];
}

function deployment(values: AddonValues, program: Program): AddonObject {
  const { name, volumes, ports, account, ready, readyPort } = program;
  const container = {
    name: "main",
    image: program.image,
    imagePullPolicy: "IfNotPresent",
    ...(program.args === undefined ? {} : { args: program.args }),
    ...(program.env === undefined ? {} : { env: program.env }),
    ports: ports.map(each => ({ name: each.name, containerPort: each.port })),
    readinessProbe: { httpGet: { path: ready, port: readyPort }, periodSeconds: 5, timeoutSeconds: 5 },
    resources: program.resources,
    securityContext: UNPRIVILEGED,
    volumeMounts: volumes.map(volume => ({ name: volume.name, mountPath: volume.path })),
  };
  const spec = {
    automountServiceAccountToken: account !== undefined,
    ...(account === undefined ? {} : { serviceAccountName: account }),
    securityContext: {
      runAsUser: program.user,
      runAsGroup: program.user,
      fsGroup: program.user,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [container],
    volumes: volumes.map(volume => ({ name: volume.name, ...volume.source })),
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: meta(values, name),
    spec: {
      replicas: 1,
      strategy: { type: "Recreate" },
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: labels(name) }, spec },
    },
  };
}

function service(values: AddonValues, { name, ports }: Pick<Program, "name" | "ports">): AddonObject {
  const served = ports.map(each => ({
    name: each.name,
    port: each.port,
    targetPort: each.port,
    protocol: "TCP",
  }));
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: meta(values, name),
    spec: { type: "ClusterIP", selector: { app: name }, ports: served },
  };
}

/** A ConfigMap whose texts are files. */
function configMap(
  values: AddonValues,
  map: { name: string; app: string; files: Readonly<Record<string, string>> },
): AddonObject {
  const data = Object.entries(map.files).map(([file, text]) => [
    file,
    values.content(`${map.name}-${file}`, text),
  ]);
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: meta(values, map.name, map.app),
    data: Object.fromEntries(data) as Record<string, string>,
  };
}

const asYaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });

/**
 * Reading what is to be scraped: pods and nodes, and what kubelets measure. Not `nodes/proxy`: whoever has that may run commands
 * in every pod of the cluster.
 */
function prometheusRights(values: AddonValues): readonly AddonObject[] {
  const name = NAMES.prometheus;
  const rules = [
    {
      apiGroups: [""],
      resources: ["nodes", "services", "endpoints", "pods"],
      verbs: ["get", "list", "watch"],
    },
    { apiGroups: [""], resources: ["nodes/metrics"], verbs: ["get"] },
    { nonResourceURLs: ["/metrics"], verbs: ["get"] },
  ];
  const metadata = { name, labels: labels(name) };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: meta(values, name) },
    { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata, rules },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name, namespace: values.namespace }],
    },
  ];
}

/** Prometheus with the mesh's scrape configuration and rules. */
export function prometheusObjects(values: AddonValues, interval?: string): readonly AddonObject[] {
  const name = NAMES.prometheus;
  const { image, port, retention, resources } = values.prometheus;
  const files = {
    "prometheus.yml": asYaml(scrapeConfig(interval)),
    "rules.yml": asYaml({ groups: RULE_GROUPS }),
  };
  const program: Program = {
    name,
    image,
    args: [
      "--config.file=/etc/prometheus/prometheus.yml",
      "--storage.tsdb.path=/data",
      `--storage.tsdb.retention.time=${retention}`,
      `--web.listen-address=:${port}`,
    ],
    ports: [{ name: "http", port }],
    ready: "/-/ready",
    readyPort: port,
    resources,
    user: 65_534,
    account: name,
    volumes: [
      { name: "config", path: "/etc/prometheus", source: { configMap: { name } } },
      { name: "data", path: "/data", source: { emptyDir: {} } },
    ],
  };
  return [
    ...prometheusRights(values),
    configMap(values, { name, app: name, files }),
    deployment(values, program),
    service(values, program),
  ];
}

const SMALL = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "500m", memory: "512Mi" } };

/** Grafana with the mesh's dashboards and its Prometheus; whoever reaches it may look, and nobody may change anything. */
export function grafanaObjects(values: AddonValues): readonly AddonObject[] {
  const name = NAMES.grafana;
  const { image, port } = values.grafana;
  const url = `http://${NAMES.prometheus}.${values.namespace}:${values.prometheus.port}`;
  const datasource = {
    name: "Prometheus",
    type: "prometheus",
    uid: "osm-prometheus",
    access: "proxy",
    url,
    isDefault: true,
  };
  const maps = dashboardMaps();
  const provider = (folder: string, path: string): object => ({
    name: folder,
    folder,
    type: "file",
    options: { path },
  });
  const mounted = maps.map(({ name: map, folder }) => ({ map, folder, path: `/dashboards/${map}` }));
  const program: Program = {
    name,
    image,
    args: [`cfg:server.http_port=${port}`],
    env: [
      { name: "GF_AUTH_ANONYMOUS_ENABLED", value: "true" },
      { name: "GF_AUTH_ANONYMOUS_ORG_ROLE", value: "Viewer" },
      { name: "GF_AUTH_DISABLE_LOGIN_FORM", value: "true" },
      { name: "GF_ANALYTICS_REPORTING_ENABLED", value: "false" },
      { name: "GF_ANALYTICS_CHECK_FOR_UPDATES", value: "false" },
    ],
    ports: [{ name: "http", port }],
    ready: "/api/health",
    readyPort: port,
    resources: SMALL,
    user: 472,
    volumes: [
      { name: "data", path: "/var/lib/grafana", source: { emptyDir: {} } },
      {
        name: "datasources",
        path: "/etc/grafana/provisioning/datasources",
        source: { configMap: { name: `${name}-datasources` } },
      },
      {
        name: "providers",
        path: "/etc/grafana/provisioning/dashboards",
        source: { configMap: { name: `${name}-providers` } },
      },
      ...mounted.map(({ map, path }) => ({ name: map, path, source: { configMap: { name: map } } })),
    ],
  };
  const providers = mounted.map(({ folder, path }) => provider(folder, path));
  return [
    configMap(values, {
      name: `${name}-datasources`,
      app: name,
      files: { "prometheus.yaml": asYaml({ apiVersion: 1, datasources: [datasource] }) },
    }),
    configMap(values, {
      name: `${name}-providers`,
      app: name,
      files: { "osm.yaml": asYaml({ apiVersion: 1, providers }) },
    }),
    ...dashboardObjects(values),
    deployment(values, program),
    service(values, program),
  ];
}

/** The dashboards alone, labelled so that any Grafana with the usual sidecar takes them. */
export function dashboardObjects(values: AddonValues): readonly AddonObject[] {
  return dashboardMaps().map(({ name, folder, files }) => {
    const map = configMap(values, { name, app: NAMES.grafana, files });
    const label = { ...labels(NAMES.grafana), grafana_dashboard: "1" };
    return { ...map, metadata: { ...map.metadata, labels: label, annotations: { grafana_folder: folder } } };
  });
}

/** Jaeger, all in one: takes Zipkin's spans at the port that MeshConfig names, and OTLP; keeps them in memory. */
export function jaegerObjects(values: AddonValues): readonly AddonObject[] {
  const name = NAMES.jaeger;
  const { image, port } = values.jaeger;
  const program: Program = {
    name,
    image,
    env: [
      { name: "COLLECTOR_ZIPKIN_HOST_PORT", value: `:${port}` },
      { name: "COLLECTOR_OTLP_ENABLED", value: "true" },
    ],
    ports: [
      { name: "zipkin", port },
      { name: "otlp-grpc", port: 4317 },
      { name: "http-query", port: 16_686 },
    ],
    ready: "/",
    readyPort: 14_269,
    resources: SMALL,
    user: 10_001,
    volumes: [{ name: "tmp", path: "/tmp", source: { emptyDir: {} } }],
  };
  return [deployment(values, program), service(values, program)];
}

/** For those who run the Prometheus Operator: what it is to scrape, and the rules. */
export function monitorObjects(values: AddonValues): readonly AddonObject[] {
  const apiVersion = "monitoring.coreos.com/v1";
  const name = "osm";
  return [
    {
      apiVersion,
      kind: "PodMonitor",
      metadata: meta(values, `${name}-sidecars`, name),
      spec: {
        namespaceSelector: { any: true },
        selector: { matchExpressions: [{ key: "osm-proxy-uuid", operator: "Exists" }] },
        podMetricsEndpoints: [
          {
            port: "proxy-metrics",
            path: "/stats/prometheus",
            interval: "15s",
            honorLabels: true,
            relabelings: [
              { sourceLabels: ["__meta_kubernetes_namespace"], targetLabel: "source_namespace" },
              { sourceLabels: ["__meta_kubernetes_pod_name"], targetLabel: "source_pod_name" },
            ],
          },
        ],
      },
    },
    {
      apiVersion,
      kind: "PodMonitor",
      metadata: meta(values, `${name}-control-plane`, name),
      spec: {
        jobLabel: "openservicemesh.io/job",
        namespaceSelector: { matchNames: [PEPR_NAMESPACE] },
        selector: {
          matchExpressions: [{ key: "app", operator: "In", values: ["pepr-osm", "pepr-osm-watcher"] }],
        },
        podMetricsEndpoints: [
          {
            path: "/metrics",
            interval: "15s",
            // The pods' port is not declared by name: the address says it.
            relabelings: [
              {
                sourceLabels: ["__meta_kubernetes_pod_ip"],
                regex: "(.+)",
                targetLabel: "__address__",
                replacement: "$1:9091",
              },
              { targetLabel: "job", replacement: "osm-control-plane" },
              { sourceLabels: ["__meta_kubernetes_pod_label_app"], targetLabel: "app" },
            ],
          },
        ],
      },
    },
    { apiVersion, kind: "PrometheusRule", metadata: meta(values, name), spec: { groups: RULE_GROUPS } },
  ];
}
