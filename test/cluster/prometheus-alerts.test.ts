import { expect } from "chai";
import { ALERTS, RULE_GROUPS, type RuleGroup } from "../../hack/addons/rules";
import { until } from "../../hack/cluster/progress";
import { ROOT_VALIDITY_MS } from "../../src/certificate/plan";
import { MODULE, WATCHER } from "../../src/install/names";
import { DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN, PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { verdict } from "../support/verdict";
import { Alarms } from "./support/alarms";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { LiveRoots, secretWithCa } from "./support/live-roots";
import { Mesh, type PodView } from "./support/mesh";
import { MODULE_PROCESS, processesOf, signal, standStill, withoutFiles } from "./support/pod-processes";
import { smiDeployment, smiService } from "./support/smi-pods";
import { ReachableVault } from "./support/vault-relay";
import { AdsProbe } from "./support/ads-probe";
import { TYPE_URLS } from "../../src/xds/resource";

/** Ten times what is needed on an idle machine. */
const LONG_MS = 240_000;
/** How long a proxy stands still while it has something to take up: more than the five seconds of OsmConvergenceSlow. */
const SLOW_PROXY_MS = 8_000;
/** How long a replica stands still to be slow, and not so long that a probe has it started anew. */
const SLOW_REPLICA_MS = 3_000;
/** How long a replica can open no file: a scrape or two, and less than what a probe forgives. */
const FILELESS_MS = 5_000;
const DAY_MS = 86_400_000;

/**
 * The rules as they are shipped but for `for`, which is "0s" here: told at once. How long a cause has to hold is shown by
 * test/stream/alert-rules.test.ts.
 */
const AT_ONCE: readonly RuleGroup[] = RULE_GROUPS.map(({ name, rules }) => ({
  name,
  rules: rules.map(rule => ("alert" in rule ? { ...rule, for: "0s" } : rule)),
}));

const telemetry = (name: string, accessLog: object): object => ({
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "Telemetry",
  metadata: { name },
  spec: { accessLog },
});

const isReady = ({ status }: PodView): boolean =>
  status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true;

/** Full counts only: it takes minutes, changes the MeshConfig and roots, and stops the control plane. */
if (process.env["OSM_FULL"] === "1")
  describe("alerts of a real Prometheus, each with its cause", function () {
    this.timeout(1_200_000);
    let mesh: Mesh;
    let config: LiveMeshConfig;
    let alarms: Alarms;
    let vault: ReachableVault | undefined;
    const roots: LiveRoots[] = [];
    const stopped = new Set<number>();

    const scale = (deployment: string, replicas: number): Promise<string> =>
      mesh.kubectl.must(["-n", PEPR_NAMESPACE, "scale", "deployment", deployment, `--replicas=${replicas}`]);
    const proceed = (): void => {
      for (const pid of stopped) signal(pid, "SIGCONT");
      stopped.clear();
    };
    const replica = (): Promise<PodView> =>
      until("a ready replica", LONG_MS, async () => (await mesh.controlPlane(MODULE)).find(isReady));

    before(async () => {
      mesh = await Mesh.open();
      config = await LiveMeshConfig.of(mesh);
      alarms = await Alarms.open(mesh, AT_ONCE);
    });
    after(async () => {
      proceed();
      await scale(MODULE, 2);
      await scale(WATCHER, 1);
      await mesh.settled();
      await LiveRoots.removeAll(roots);
      await vault?.stop();
      await config.restore();
      await alarms.close();
    });

    it("failing requests", async () => {
      await alarms.fire(["OsmRequestsFailing"], () =>
        alarms.client.call(alarms.page("/status/503")).catch(() => undefined),
      );
    });

    it("an object that is refused on admission", async () => {
      const wrong = JSON.stringify(telemetry("no-json", { format: '{"a": ' }));
      await alarms.fire(["OsmReviewsRefused"], () =>
        mesh.kubectl.attempt(["-n", alarms.namespace.name, "apply", "-f", "-"], wrong),
      );
    });

    it("an object that names what is not there", async () => {
      const extensionService = { name: "nobody", namespace: alarms.namespace.name };
      await alarms.namespace.apply(telemetry("wrong", { openTelemetry: { extensionService } }));
      await alarms.fire(["OsmObjectsWrong"]);
      await alarms.namespace.kubectl(["delete", "telemetry", "wrong"]);
      await alarms.calm("OsmObjectsWrong");
    });

    it("configuration that a proxy refuses", async () => {
      // All that is known to be refused by Envoy is refused before it gets there, so this one is a client that stands for a proxy.
      const [pod] = await alarms.namespace.pods();
      if (pod === undefined) throw new Error("no pod");
      const probe = await AdsProbe.of(alarms.namespace, pod);
      const picky = probe.connect(
        undefined,
        ({ typeUrl }) => typeUrl !== TYPE_URLS.listener || "not this one",
      );
      for (const typeUrl of [TYPE_URLS.cluster, TYPE_URLS.listener]) picky.send({ typeUrl });
      await alarms.fire(["OsmResourcesRefused"]);
      picky.close();
      await alarms.calm("OsmResourcesRefused");
    });

    it("more proxies than are allowed", async () => {
      await config.patch({ sidecar: { maxDataPlaneConnections: 1 } });
      // One each finds room at a replica that has none yet.
      await alarms.namespace.apply(smiDeployment("late", { replicas: 3 }));
      await alarms.fire(["OsmStreamsRefused", "OsmProxiesMissing"]);
      await config.restore();
      await alarms.namespace.rolledOut("late");
      await alarms.calm("OsmProxiesMissing");
    });

    it("certificates that end soon", async () => {
      await config.patch({ certificate: { serviceCertValidityDuration: "2m" } });
      await alarms.fire(["OsmCertificateNotRenewed"]);
      await config.restore();
      await alarms.calm("OsmCertificateNotRenewed");
    });

    it("proxies that are slow to take up what is new", async () => {
      const pods = await alarms.namespace.pods();
      const proxies = pods.flatMap(({ metadata }) => processesOf(metadata.uid, "envoy"));
      expect(proxies.length).to.be.at.least(pods.length);
      let round = 0;
      await alarms.fire(["OsmConvergenceSlow"], async () => {
        round += 1;
        const name = `news-${round}`;
        const slow = standStill(proxies, SLOW_PROXY_MS);
        await alarms.namespace.apply(smiService(name, { app: "server" }));
        await slow;
      });
    });

    it("a root of trust that ends within a month", async () => {
      await config.patch({ featureFlags: { enableMeshRootCertificate: true } });
      const name = "ending";
      const provider = { tresor: { ca: { secretRef: { name, namespace: DEFAULT_OSM_NAMESPACE } } } };
      const secret = secretWithCa(Date.now() - ROOT_VALIDITY_MS + 20 * DAY_MS);
      const spec = { trustDomain: DEFAULT_TRUST_DOMAIN, role: "active", provider, secret } as const;
      const root = await LiveRoots.of(mesh, name, spec);
      roots.push(root);
      await alarms.fire(["OsmCertificateEnding"]);
      await root.remove();
      await alarms.calm("OsmCertificateEnding");
    });

    it("a Vault that is away", async () => {
      vault = await ReachableVault.start(mesh);
      const root = await vault.root("alarm-vault");
      roots.push(root);
      await root.alone("alarm-vault", () => Promise.resolve());
      await vault.away();
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "newcomer" } };
      await alarms.namespace.apply(account, smiDeployment("newcomer", { account: "newcomer" }));
      await alarms.fire(["OsmIssuerFailing"]);
      await vault.back();
      await alarms.calm("OsmIssuerFailing");
      await alarms.namespace.rolledOut("newcomer");
      await root.remove();
    });

    it("a replica that stands still", async () => {
      // Until its probe has it started anew it counts as one that can be asked; so it stands still again when it is back.
      await alarms.fire(["OsmReplicaDown", "OsmLedgerIncomplete"], async () => {
        const pod = (await mesh.controlPlane(MODULE))[0];
        if (pod === undefined) return;
        if (!isReady(pod)) proceed();
        else if (stopped.size === 0)
          for (const pid of processesOf(pod.metadata.uid, MODULE_PROCESS)) {
            signal(pid, "SIGSTOP");
            stopped.add(pid);
          }
      });
      proceed();
      await mesh.settled();
      await alarms.calm("OsmReplicaDown", "OsmLedgerIncomplete");
    });

    it("a replica whose event loop stands still now and then", async () => {
      await alarms.fire(["OsmEventLoopSlow"], async () => {
        const { metadata } = await replica();
        await standStill(processesOf(metadata.uid, MODULE_PROCESS), SLOW_REPLICA_MS);
      });
      await alarms.calm("OsmEventLoopSlow");
    });

    it("an error that is contained", async () => {
      // Who may open no file cannot read how much memory it has: that metric fails at each scrape, the others are served.
      await alarms.fire(["OsmErrorsContained"], async () => {
        const { metadata } = await replica();
        await withoutFiles(processesOf(metadata.uid, MODULE_PROCESS), FILELESS_MS);
      });
    });

    it("no control plane at all", async () => {
      await scale(MODULE, 0);
      await scale(WATCHER, 0);
      await alarms.fire(["OsmControlPlaneGone"]);
      await scale(MODULE, 2);
      await scale(WATCHER, 1);
      await mesh.settled();
      await alarms.calm("OsmControlPlaneGone");
    });

    it("which were all of them", () => {
      const names = ALERTS.map(({ alert }) => alert);
      const { seen } = alarms;
      verdict("alerts-caused", seen.size === names.length, {
        count: names.length,
        failed: names.length - seen.size,
        bound: "every alert seen firing on a cluster",
      });
      expect([...seen]).to.have.members(names);
    });
  });
