import { readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { DEFAULT_ADDONS } from "../../hack/addons/chart";
import {
  dashboardObjects,
  grafanaObjects,
  jaegerObjects,
  monitorObjects,
  prometheusObjects,
  type AddonObject,
} from "../../hack/addons/objects";
import { until } from "../../hack/cluster/progress";
import { VERSIONS } from "../../hack/cluster/settings";
import { capture } from "../../hack/cluster/shell";
import { KubeError, type KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const NAMESPACE = DEFAULT_ADDONS.namespace;

/** Where objects of a kind are. */
const PLURALS: Readonly<Record<string, string>> = {
  ConfigMap: `/api/v1/namespaces/${NAMESPACE}/configmaps`,
  Service: `/api/v1/namespaces/${NAMESPACE}/services`,
  ServiceAccount: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
  Deployment: `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`,
  ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
  ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
  PodMonitor: `/apis/monitoring.coreos.com/v1/namespaces/${NAMESPACE}/podmonitors`,
  PrometheusRule: `/apis/monitoring.coreos.com/v1/namespaces/${NAMESPACE}/prometheusrules`,
};

/** The Prometheus Operator's own definitions, out of its module. */
async function operatorDefinitions(kinds: readonly string[]): Promise<readonly KubeObject[]> {
  const module = `github.com/prometheus-operator/prometheus-operator@${VERSIONS.prometheusOperator}`;
  const answer = await capture("go", ["mod", "download", "-json", module], { cwd: os.tmpdir() });
  const { Dir } = JSON.parse(answer) as { readonly Dir: string };
  const folder = path.join(Dir, "example", "prometheus-operator-crd");
  return readdirSync(folder)
    .filter(file => kinds.some(kind => file.endsWith(`_${kind}.yaml`)))
    .map(file => parse(readFileSync(path.join(folder, file), "utf8")) as KubeObject);
}

/** Full counts only: what the add-ons are made of changes rarely, and the definitions are fetched. */
if (process.env["OSM_FULL"] === "1")
  describe("add-ons on a real API server, with the Prometheus Operator's definitions", function () {
    this.timeout(300_000);
    let server: TestApiServer;
    let kube: ClosableKubeClient;

    const strict = async (object: AddonObject): Promise<void> => {
      const collection = PLURALS[object.kind];
      if (collection === undefined) throw new Error(`no path of ${object.kind}`);
      // A field that the API does not know is an error here; a real cluster would drop it in silence.
      await kube.create(`${collection}?fieldValidation=Strict`, object as unknown as KubeObject);
    };

    before(async () => {
      server = await startApiServerForTest();
      kube = server.client();
      await kube.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: NAMESPACE },
      });
      const definitions = await operatorDefinitions(["podmonitors", "prometheusrules"]);
      expect(definitions.length).to.equal(2);
      for (const definition of definitions) await kube.create(DEFINITIONS, definition);
      for (const kind of ["PodMonitor", "PrometheusRule"])
        await until(`${kind} to be served`, 60_000, () => kube.get(PLURALS[kind] ?? ""));
    });
    after(async () => {
      kube.close();
      await server.stop();
    });

    for (const [name, objects] of [
      ["Prometheus", prometheusObjects(DEFAULT_ADDONS)],
      ["Grafana with its dashboards", grafanaObjects(DEFAULT_ADDONS)],
      ["Jaeger", jaegerObjects(DEFAULT_ADDONS)],
      ["PodMonitors and PrometheusRule", monitorObjects(DEFAULT_ADDONS)],
    ] as const)
      it(`takes each object of ${name}, to the last field`, async () => {
        expect(objects.length).to.be.greaterThan(1);
        for (const object of objects) await strict(object);
      });

    it("has the dashboards by themselves as Grafana has them", async () => {
      const maps = dashboardObjects(DEFAULT_ADDONS);
      expect(maps.length).to.be.greaterThan(0);
      for (const { metadata } of maps) {
        const found = await kube.get<KubeObject>(`${PLURALS["ConfigMap"] ?? ""}/${metadata.name}`);
        expect(found.metadata.labels).to.include({ grafana_dashboard: "1" });
      }
    });

    it("would tell of a field that is not there, and of a rule that is none", async () => {
      const [monitor] = monitorObjects(DEFAULT_ADDONS);
      if (monitor === undefined) throw new Error("no monitor");
      const spec = { ...(monitor["spec"] as object), podMetricEndpoints: [] };
      const wrong = { ...monitor, metadata: { ...monitor.metadata, name: "wrong" }, spec };
      const refusal = await strict(wrong).then(
        () => "accepted",
        (error: unknown) => (error instanceof KubeError ? error.message : "another error"),
      );
      expect(refusal).to.contain('unknown field "spec.podMetricEndpoints"');
    });
  });
