/** The add-on's Prometheus on the cluster, from Debian's package, and its HTTP API. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse, stringify } from "yaml";
import { until } from "../../../hack/cluster/progress";
import { ensureImages } from "../../../hack/cluster/index";
import { IMAGES } from "../../../hack/images/names";
import { DEFAULT_ADDONS } from "../../../hack/addons/chart";
import { prometheusObjects, type AddonObject } from "../../../hack/addons/objects";
import { RULE_GROUPS, type RuleGroup } from "../../../hack/addons/rules";
import { PrometheusApi } from "../../support/prometheus-api";
import type { TestNamespace } from "./namespace";

/** Port at which discovery-app.cjs answers beside Prometheus. */
const DISCOVERY = "http://127.0.0.1:7071";
const APP = "discovery-app.cjs";

interface ScrapeJob {
  readonly kubernetes_sd_configs?: readonly {
    readonly role: string;
    readonly namespaces?: { readonly names: readonly string[] };
  }[];
}

/** The same configuration with discovery as Debian's Prometheus knows it. */
function forDebian(text: string): string {
  const config = parse(text) as { scrape_configs: ScrapeJob[] };
  const jobs = config.scrape_configs.map(({ kubernetes_sd_configs = [], ...job }) => ({
    ...job,
    http_sd_configs: kubernetes_sd_configs.map(({ role, namespaces }) => ({
      url: `${DISCOVERY}/${role}?namespace=${namespaces?.names[0] ?? ""}`,
      refresh_interval: "1s",
    })),
  }));
  return stringify({ ...config, scrape_configs: jobs });
}

interface PodTemplate {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly object[]; readonly volumes: readonly object[] };
    };
  };
}

const discovery = {
  name: "discovery",
  image: IMAGES.demo,
  imagePullPolicy: "IfNotPresent",
  command: ["/usr/local/bin/node", `/discovery/${APP}`],
  volumeMounts: [{ name: "discovery", mountPath: "/discovery" }],
};

/** The add-on's objects, and a container that stands for Kubernetes' service discovery, which Debian's build has not. */
function changed(object: AddonObject, rules: readonly RuleGroup[]): AddonObject {
  if (object.kind === "ConfigMap") {
    const data = object["data"] as Readonly<Record<string, string>>;
    const own = {
      "prometheus.yml": forDebian(data["prometheus.yml"] ?? ""),
      "rules.yml": stringify({ groups: rules }),
    };
    return { ...object, data: { ...data, ...own } };
  }
  if (object.kind !== "Deployment") return object;
  const { spec } = object as unknown as PodTemplate;
  const pod = spec.template.spec;
  const volumes = [...pod.volumes, { name: "discovery", configMap: { name: "discovery" } }];
  const template = {
    ...spec.template,
    spec: { ...pod, containers: [...pod.containers, discovery], volumes },
  };
  return { ...object, spec: { ...spec, template } };
}

/** Deploys it into a namespace outside of the mesh, with the add-on's manifest and rules; resolves when it answers. */
export async function deployPrometheus(
  namespace: TestNamespace,
  interval: string,
  rules: readonly RuleGroup[] = RULE_GROUPS,
): Promise<PrometheusApi> {
  await ensureImages(() => undefined, ["prometheus"]);
  const values = {
    ...DEFAULT_ADDONS,
    namespace: namespace.name,
    prometheus: {
      ...DEFAULT_ADDONS.prometheus,
      image: IMAGES.prometheus,
      resources: { requests: { cpu: "50m", memory: "64Mi" } },
    },
  };
  const program = readFileSync(path.join(__dirname, APP), "utf8");
  await namespace.apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "discovery" }, data: { [APP]: program } },
    ...prometheusObjects(values, interval).map(object => changed(object, rules)),
  );
  await namespace.rolledOut("osm-prometheus");
  const { status } = await namespace.readyPod("osm-prometheus");
  const api = new PrometheusApi(`http://${status.podIP}:${DEFAULT_ADDONS.prometheus.port}`);
  await until("Prometheus", 60_000, () => api.isReady());
  return api;
}

/** The objects that its namespace does not take along when it ends. */
export async function removeRights({ mesh }: TestNamespace): Promise<void> {
  const rights = ["clusterrole/osm-prometheus", "clusterrolebinding/osm-prometheus"];
  await mesh.kubectl.attempt(["delete", "--ignore-not-found", ...rights]);
}
