import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { MODULE } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { Mesh, report } from "./support/mesh";
import { MetricsApi } from "./support/metrics-api";
import { TestNamespace } from "./support/namespace";

/** The autoscaler looks every 15 s. */
const LONG_MS = 300_000;
const PLACE = ["-n", PEPR_NAMESPACE] as const;

/** As the chart makes it with `osm.controller.autoScale.enable`, but for the time that it waits before it takes pods away. */
const AUTOSCALER = {
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { name: MODULE, namespace: PEPR_NAMESPACE },
  spec: {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: MODULE },
    minReplicas: 2,
    maxReplicas: 3,
    metrics: [
      {
        type: "Resource",
        resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
      },
    ],
    behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
  },
};

interface Deployment {
  readonly metadata: { readonly generation: number };
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly resources: { readonly limits: object } }[] };
    };
  };
}

/** Full counts only: it scales the control plane, and the autoscaler takes its time. */
if (process.env["OSM_FULL"] === "1")
  describe("an autoscaler of the control plane, by a real controller and a stand-in of metrics-server", function () {
    this.timeout(3 * LONG_MS);
    let mesh: Mesh;
    let metrics: MetricsApi | undefined;

    const deployment = (): Promise<Deployment> =>
      mesh.kubectl.json<Deployment>([...PLACE, "get", "deployment", MODULE]);
    const becomes = (replicas: number): Promise<true> =>
      until(`${replicas} ready replicas`, LONG_MS, async () => {
        if ((await deployment()).spec.replicas !== replicas) return false;
        await mesh.settled();
        return (await mesh.controlPlane(MODULE)).length === replicas;
      });

    before(async () => {
      mesh = await Mesh.open();
      metrics = await MetricsApi.register(mesh, await TestNamespace.create(mesh, "usage", false));
    });
    after(async () => {
      await mesh.kubectl.attempt([...PLACE, "delete", "hpa", MODULE, "--ignore-not-found"]);
      await metrics?.remove();
      await mesh.kubectl.must([...PLACE, "scale", "deployment", MODULE, "--replicas=2"]);
      await mesh.settled();
      await TestNamespace.removeAll();
    });

    it("adds a replica under load, which the single writer leaves it when it mends the Deployment", async () => {
      if (metrics === undefined) throw new Error("nothing is measured");
      metrics.usage = 1_000;
      await mesh.kubectl.must(["apply", "-f", "-"], JSON.stringify(AUTOSCALER));
      await becomes(3);
      const { limits } = (await deployment()).spec.template.spec.containers[0]?.resources ?? {};
      const path = "/spec/template/spec/containers/0/resources/limits/cpu";
      const patch = JSON.stringify([{ op: "replace", path, value: "3" }]);
      await mesh.kubectl.must([...PLACE, "patch", "deployment", MODULE, "--type=json", "-p", patch]);
      await until("the size to be mended", LONG_MS, async () => {
        const now = (await deployment()).spec.template.spec.containers[0]?.resources.limits;
        return JSON.stringify(now) === JSON.stringify(limits);
      });
      await mesh.settled();
      expect((await deployment()).spec.replicas).to.equal(3);
    });

    it("takes it away again", async () => {
      if (metrics !== undefined) metrics.usage = 10;
      const began = Date.now();
      await becomes(2);
      report(`two replicas again after ${((Date.now() - began) / 1_000).toFixed(0)} s`);
    });
  });
