import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { buildChart } from "../../hack/chart/build";
import { ensureHelm } from "../../hack/cluster/index";
import { toStderr, until } from "../../hack/cluster/progress";
import { run, type RunResult } from "../../hack/cluster/shell";
import { selectTarget } from "../../hack/cluster/target";
import { asList, type Manifest } from "../../hack/demo/manifests";
import { imageNames, type ImageRole } from "../../hack/images/names";
import { MODULE, WATCHER } from "../../src/install/names";
import { report } from "./support/mesh";
import { buildModule } from "./support/module";
import { OwnCluster } from "./support/own-cluster";
import { removalCommands } from "./support/removal";

/** A namespace that was there before, with a pod that runs. */
const MINE = "mine";
const PORT = 8080;
const NODE = "/usr/local/bin/node";

/** What a namespace of the user's own has before anything of ours comes. */
function mine(pause: string): readonly Manifest[] {
  const at = (name: string): object => ({ name, namespace: MINE, labels: { team: "payments" } });
  const containers = [{ name: "app", image: pause }];
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: MINE, labels: { team: "payments" } } },
    { apiVersion: "v1", kind: "ConfigMap", metadata: at("settings"), data: { colour: "green" } },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: at("app"),
      spec: { selector: { team: "payments" }, ports: [{ port: 80 }] },
    },
    { apiVersion: "v1", kind: "Pod", metadata: at("app"), spec: { containers } },
  ];
}

/** One pod that runs a line of JavaScript on the demo's image. */
function program(name: string, image: string, script: string): Manifest {
  const labels = { app: name };
  const container = {
    name: "app",
    image,
    command: [NODE, "-e", script],
    ports: [{ name: "http", containerPort: PORT }],
  };
  const template = {
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [container] },
  };
  const spec = { selector: { matchLabels: labels }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name }, spec };
}

const SERVE = `require("node:http").createServer((_, answer) => answer.end("here")).listen(${PORT})`;
const IDLE = "setInterval(() => undefined, 1000)";
const ASK =
  `fetch("http://server.shop:${PORT}/", { signal: AbortSignal.timeout(20000) })` +
  `.then(async got => console.log(got.status, await got.text()), error => console.log("refused", error.cause?.code))`;

// It takes about twenty minutes of two cores: `npm run test:long` asks it.
if (process.env["OSM_FULL"] === "1")
  describe("on a cluster of the user's own, with a registry", function () {
    this.timeout(3_600_000);
    let own: OwnCluster;
    let images: Readonly<Record<ImageRole, string>>;
    let untouched: readonly string[];

    /** kubectl's output. Throws with its words when it fails. */
    const must = (...args: readonly string[]): Promise<string> => own.kubectl.must(args, undefined, 300_000);
    const apply = (objects: readonly Manifest[], ...where: readonly string[]): Promise<string> =>
      own.kubectl.must([...where, "apply", "-f", "-"], asList(objects));
    const names = async (...args: readonly string[]): Promise<readonly string[]> =>
      (await must("get", ...args, "-o", "name")).split("\n").filter(name => name !== "");

    /** Every object of the user's namespace and the namespace itself, each with uid and version. */
    async function inventory(): Promise<readonly string[]> {
      const kinds = (await must("api-resources", "--verbs=list", "--namespaced", "-o", "name"))
        .split("\n")
        .filter(kind => kind !== "" && !kind.startsWith("events"));
      const columns = "custom-columns=K:.kind,N:.metadata.name,U:.metadata.uid,V:.metadata.resourceVersion";
      const inside = await must("-n", MINE, "get", kinds.join(","), "--no-headers", "-o", columns);
      const itself = await must("get", "namespace", MINE, "--no-headers", "-o", columns);
      return `${inside}\n${itself}`
        .split("\n")
        .filter(line => line !== "")
        .sort();
    }

    /** Lines of `image` of all pods of the control plane. */
    const controlPlaneImages = async (): Promise<ReadonlySet<string>> => {
      const path = "jsonpath={range .items[*]}{.spec.containers[0].image}{'\\n'}{end}";
      return new Set((await must("-n", "pepr-system", "get", "pods", "-o", path)).trim().split("\n"));
    };

    before(async () => {
      own = await OwnCluster.start();
      images = imageNames(own.images);
      await apply(mine(images.pause));
      await must("-n", MINE, "wait", "pod/app", "--for=condition=Ready", "--timeout=120s");
      // What Kubernetes itself puts into a namespace comes a moment later than the namespace.
      const ready = ["endpoints/app", "configmap/kube-root-ca.crt"];
      await until("the namespace's own objects", 60_000, () => names("-n", MINE, ...ready));
      untouched = await inventory();
    });
    after(() => own.stop());

    describe("npm run demo", () => {
      let told: RunResult;

      it("does not take a cluster because its KUBECONFIG is exported", async () => {
        const env = { ...process.env, OSM_CLUSTER: undefined, KUBECONFIG: own.kubeconfig };
        const target = await selectTarget({ yes: true, log: () => undefined }, env);
        expect(target.kind).to.equal("embedded");
        expect(target.kubeconfig).to.not.equal(own.kubeconfig);
      });

      it("asks first, and changes nothing when nobody can answer", async () => {
        const there = await names("namespaces");
        const refused = await own.demo();
        expect(refused.code).to.equal(1);
        expect(refused.stdout).to.match(/use --yes to work on context osm-own \(https:\/\/[\d.]+:6443\)/);
        expect(await names("namespaces")).to.deep.equal(there);
        expect(await own.registry.repositories()).to.deep.equal(["library/debian"]);
      });

      it("shows the context and tells its story to the end with --yes", async () => {
        told = await own.demo("--yes", "--duration", "5");
        expect(told.code, told.stdout.slice(-6_000)).to.equal(0);
        expect(told.stdout).to.include("OSM_CLUSTER=kubeconfig: context osm-own, API server https://");
        const closing = /· (\d+) books bought \(v1 (\d+), v2 (\d+)\), (\d+) stolen, (\d+) restocked/;
        const numbers = closing.exec(told.stdout)?.slice(1).map(Number) ?? [];
        expect(numbers).to.have.length(5);
        for (const number of numbers) expect(number).to.be.greaterThan(0);
      });

      it("runs the user's registry's images only", async () => {
        const pushed = (["envoy", "init", "demo", "mariadb", "controller"] as const).map(
          role => images[role],
        );
        expect(await own.imagesOnNode()).to.have.members([...pushed, images.pause, images.coredns]);
        expect(await controlPlaneImages()).to.deep.equal(new Set([images.controller]));
      });

      it("leaves the mesh, takes its own namespaces away and touches no other", async () => {
        const left = (await names("namespaces")).map(name => name.replace("namespace/", ""));
        const ofKubernetes = ["default", "kube-node-lease", "kube-public", "kube-system"];
        expect(left).to.have.members([...ofKubernetes, MINE, "osm-system", "pepr-system"]);
        expect(await inventory()).to.deep.equal(untouched);
      });

      it("is cleaned up as it says: README's removal of the mesh", async () => {
        expect(told.stdout).to.include("Removing the mesh");
        const removed = await own.shell(removalCommands());
        expect(removed.code, removed.stderr).to.equal(0);
        expect(await names("namespaces")).to.not.include("namespace/osm-system");
        expect(await inventory()).to.deep.equal(untouched);
      });
    });

    describe("helm install of the chart", () => {
      let folder: string;
      before(() => {
        folder = mkdtempSync(path.join(os.tmpdir(), "osm-own-chart-"));
      });
      after(() => {
        rmSync(folder, { recursive: true, force: true });
      });

      const helm = async (...args: readonly string[]): Promise<RunResult> =>
        run(await ensureHelm(toStderr), [...args, "--kubeconfig", own.kubeconfig, "--namespace", "default"], {
          timeoutMs: 600_000,
        });
      /** What a pod of this namespace gets from the server of namespace `shop`, in words. */
      const ask = async (namespace: string): Promise<string> =>
        (await must("-n", namespace, "exec", "deployment/client", "-c", "app", "--", NODE, "-e", ASK)).trim();

      it("brings up the control plane", async () => {
        const chart = buildChart(await buildModule(folder), path.join(folder, "osm-pepr"), "1.2.3");
        const values = [
          `osm.controllerImage=${images.controller}`,
          `osm.sidecarImage=${images.envoy}`,
          `osm.initImage=${images.init}`,
        ].flatMap(value => ["--set", value]);
        const installed = await helm("install", "mesh", chart, ...values, "--wait", "--timeout", "8m");
        expect(installed.code, `${installed.stdout}\n${installed.stderr}`).to.equal(0);
        const kept = await must(
          "get",
          "secret",
          "sh.helm.release.v1.mesh.v1",
          "-o",
          "jsonpath={.data.release}",
        );
        report(`the release takes ${Buffer.from(kept, "base64").length} bytes of a Secret`);
        const status = ["-n", "pepr-system", "rollout", "status", "--timeout=240s"];
        await must(...status, `deployment/${MODULE}`, `deployment/${WATCHER}`);
        await until("the MeshConfig", 120_000, () =>
          must("-n", "osm-system", "get", "meshconfig", "osm-mesh-config"),
        );
      });

      it("gives a marked namespace sidecars, through which a request flows, and nobody else's does", async () => {
        for (const namespace of ["shop", "outside"]) await must("create", "namespace", namespace);
        await must("annotate", "namespace", "shop", "openservicemesh.io/sidecar-injection=enabled");
        await until("the label that is set for the user", 60_000, async () =>
          (await names("namespaces", "-l", "openservicemesh.io/monitored-by=osm")).length === 1
            ? true
            : undefined,
        );
        const spec = { selector: { app: "server" }, ports: [{ name: "http", port: PORT }] };
        const service = { apiVersion: "v1", kind: "Service", metadata: { name: "server" }, spec };
        const server = program("server", images.demo, SERVE);
        await apply([service, server, program("client", images.demo, IDLE)], "-n", "shop");
        await apply([program("client", images.demo, IDLE)], "-n", "outside");
        const rollout = ["rollout", "status", "--timeout=240s"];
        await must("-n", "shop", ...rollout, "deployment/server", "deployment/client");
        await must("-n", "outside", ...rollout, "deployment/client");
        await until("an answer", 120_000, async () =>
          (await ask("shop")) === "200 here" ? true : undefined,
        );
        expect(await ask("outside")).to.match(/^refused /);
        const sidecars = "jsonpath={.items[*].spec.initContainers[*].image}";
        const seen = (await must("-n", "shop", "get", "pods", "-o", sidecars)).split(" ");
        expect(new Set(seen)).to.deep.equal(new Set([images.envoy, images.init]));
      });

      it("is uninstalled, and README's other lines take away what the mesh made itself", async () => {
        await must("delete", "namespace", "shop", "outside");
        const gone = await helm("uninstall", "mesh", "--wait", "--timeout", "5m");
        expect(gone.code, gone.stderr).to.equal(0);
        const [first = "", ...others] = removalCommands()
          .split("\n")
          .filter(line => line.startsWith("kubectl"));
        expect(first).to.include("delete deployment");
        const removed = await own.shell(others.join("\n"));
        expect(removed.code, removed.stderr).to.equal(0);
        const kinds =
          "namespaces,crds,clusterroles,clusterrolebindings,mutatingwebhookconfigurations," +
          "validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings";
        const ours = (await names(kinds)).filter(name =>
          /pepr|osm-(?!cluster)|openservicemesh|smi-spec/.test(name),
        );
        expect(ours).to.deep.equal([]);
        expect(await inventory()).to.deep.equal(untouched);
      });
    });
  });
