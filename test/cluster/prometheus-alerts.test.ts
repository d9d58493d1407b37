import { expect } from "chai";
import { ALERTS, RULE_GROUPS, type RuleGroup } from "../../hack/addons/rules";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import type { PrometheusApi } from "../support/prometheus-api";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { deployPrometheus, removeRights } from "./support/prometheus-server";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

/** Ten times what is needed on an idle machine. */
const LONG_MS = 240_000;

/** The rules as they are shipped, told at once: how long a cause has to hold is shown by test/stream/alert-rules.test.ts. */
const AT_ONCE: readonly RuleGroup[] = RULE_GROUPS.map(({ name, rules }) => ({
  name,
  rules: rules.map(rule => ("alert" in rule ? { ...rule, for: "0s" } : rule)),
}));

/** Alerts that are not caused here, and why. */
const NOT_CAUSED: Readonly<Record<string, string>> = {
  OsmReplicaDown:
    "a replica has to stand still while Prometheus goes on asking; tried by SIGSTOP, and not seen yet",
  OsmControlPlaneGone: "as above, of all replicas",
  OsmLedgerIncomplete: "as above",
  OsmEventLoopSlow: "as above",
  OsmConvergenceSlow: "one change in a hundred has to take more than five seconds for minutes",
  OsmIssuerFailing: "takes an issuer outside of the mesh; its metric is shown by stream/issuer-trouble",
  OsmCertificateEnding: "roots of the mesh live for ten years",
};

const telemetry = (name: string, accessLog: object): object => ({
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "Telemetry",
  metadata: { name },
  spec: { accessLog },
});

/** Full counts only: it takes minutes and changes the MeshConfig. */
if (process.env["OSM_FULL"] === "1")
  describe("alerts of a real Prometheus, each with its cause", function () {
    this.timeout(1_200_000);
    let mesh: Mesh;
    let config: LiveMeshConfig;
    let namespace: TestNamespace;
    let outside: TestNamespace;
    let prometheus: PrometheusApi;
    let client: SmiPod;
    const seen = new Set<string>();

    const stateOf = async (alert: string): Promise<string> =>
      (await prometheus.rules()).find(({ name }) => name === alert)?.state ?? "unknown";
    /** Waits until an alert is out, while something goes on. */
    const fires = async (
      alert: string,
      meanwhile: () => Promise<unknown> = () => Promise.resolve(),
    ): Promise<void> => {
      await until(`${alert} to fire`, LONG_MS, async () => {
        await meanwhile();
        return (await stateOf(alert)) === "firing";
      });
      seen.add(alert);
    };
    const calm = (alert: string): Promise<true> =>
      until(`${alert} to be over`, LONG_MS, async () => (await stateOf(alert)) === "inactive");

    before(async () => {
      mesh = await Mesh.open();
      config = await LiveMeshConfig.of(mesh);
      outside = await TestNamespace.create(mesh, "alarms", false);
      namespace = await TestNamespace.create(mesh, "alarmed", true);
      await namespace.kubectl(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=enabled`]);
      await namespace.apply(
        smiApplication(),
        smiDeployment("client"),
        smiDeployment("server"),
        smiService("server"),
        smiService("client"),
      );
      [prometheus] = await Promise.all([
        deployPrometheus(outside, "2s", AT_ONCE),
        namespace.rolledOut("client", "server"),
      ]);
      client = await SmiPod.one(namespace, "client");
      await client.until("succeeds", `http://server.${namespace.name}:${SMI_PORT}/echo`);
      await until("an evaluation of each rule", LONG_MS, async () =>
        (await prometheus.rules()).every(({ health }) => health === "ok"),
      );
    });
    after(async () => {
      await config.restore();
      await removeRights(namespace);
      await TestNamespace.removeAll();
    });

    it("failing requests", async () => {
      const failing = `http://server.${namespace.name}:${SMI_PORT}/status/503`;
      await fires("OsmRequestsFailing", () => client.call(failing).catch(() => undefined));
    });

    it("an object that is refused on admission", async () => {
      const wrong = JSON.stringify(telemetry("no-json", { format: '{"a": ' }));
      await fires("OsmReviewsRefused", () =>
        mesh.kubectl.attempt(["-n", namespace.name, "apply", "-f", "-"], wrong),
      );
    });

    it("an object that names what is not there", async () => {
      const extensionService = { name: "nobody", namespace: namespace.name };
      await namespace.apply(telemetry("wrong", { openTelemetry: { extensionService } }));
      await fires("OsmObjectsWrong");
      await namespace.kubectl(["delete", "telemetry", "wrong"]);
      await calm("OsmObjectsWrong");
    });

    it("configuration that Envoy refuses", async () => {
      const sidecar = { tlsMinProtocolVersion: "TLSv1_2", cipherSuites: ["NO-SUCH-CIPHER"] };
      await config.patch({ sidecar });
      await fires("OsmResourcesRefused");
      await config.restore();
      await calm("OsmResourcesRefused");
    });

    it("more proxies than are allowed", async () => {
      await config.patch({ sidecar: { maxDataPlaneConnections: 1 } });
      await namespace.apply(smiDeployment("late"));
      await fires("OsmStreamsRefused");
      await fires("OsmProxiesMissing");
      await config.restore();
      await namespace.rolledOut("late");
      await calm("OsmProxiesMissing");
    });

    it("certificates that end soon", async () => {
      await config.patch({ certificate: { serviceCertValidityDuration: "2m" } });
      await fires("OsmCertificateNotRenewed");
      await config.restore();
      await calm("OsmCertificateNotRenewed");
    });

    it("and of the others it is said why not", () => {
      const all = ALERTS.map(({ alert }) => alert);
      expect([...seen, ...Object.keys(NOT_CAUSED)]).to.have.members(all);
      report(`${seen.size} of ${all.length} alerts were caused`);
    });
  });
