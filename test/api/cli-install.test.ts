import { DEFAULT_IMAGES } from "../../src/runtime/settings";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { until } from "../../hack/cluster/progress";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { defaultMeshConfig } from "../../src/install/mesh-config";
import { MANAGER_MESH } from "../../src/install/names";
import { collectionPath, objectPath, type InstallObject } from "../../src/install/object";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { cliCluster, type CliCluster } from "../support/cli-cluster";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const DEPLOYMENTS = "/apis/apps/v1/namespaces/pepr-system/deployments";

function deployment(name: string, controller: string): InstallObject {
  const labels = { app: name, "pepr.dev/controller": controller };
  const containers = [
    { name: "server", image: "controller:v1", env: [{ name: "LOG_LEVEL", value: "warn" }] },
  ];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "pepr-system", labels },
    spec: {
      replicas: controller === "admission" ? 2 : 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

/** A small manifest of the shape that `pepr build` writes. */
const MANIFEST: readonly InstallObject[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "pepr-system" } },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: "pepr-osm" },
    rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }],
  },
  { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "pepr-osm", namespace: "pepr-system" } },
  { apiVersion: "v1", kind: "Secret", metadata: { name: "pepr-osm-module", namespace: "pepr-system" } },
  deployment("pepr-osm-watcher", "watcher"),
  deployment("pepr-osm", "admission"),
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "pepr-osm" },
    webhooks: [],
  },
];

interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly env: readonly { name: string; value: string }[] }[];
      };
    };
  };
}

describe("osm install, mesh upgrade and uninstall against a real API server", function () {
  this.timeout(240_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let cli: CliCluster;
  let folder: string;
  let source: readonly string[];
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    cli = cliCluster(server);
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-install-"));
    const manifest = path.join(folder, "manifest.yaml");
    writeFileSync(manifest, MANIFEST.map(object => stringify(object)).join("---\n"));
    source = ["--osm-chart-path", manifest];
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    cli.remove();
    kube.close();
    await server.stop();
  });

  const isThere = (object: InstallObject): Promise<boolean> =>
    kube.get(objectPath(object)).then(
      () => true,
      (error: unknown) => {
        if (isNotFound(error)) return false;
        throw error;
      },
    );
  const there = async (): Promise<readonly string[]> => {
    const found = await Promise.all(MANIFEST.map(isThere));
    return MANIFEST.filter((_, n) => found[n]).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  };
  const variables = async (): Promise<Readonly<Record<string, string>>> => {
    const { spec } = await kube.get<Deployment>(`${DEPLOYMENTS}/pepr-osm`);
    return Object.fromEntries(
      (spec.template.spec.containers[0]?.env ?? []).map(one => [one.name, one.value]),
    );
  };

  /** What controllers and the control plane would do: pods become ready, definitions and the MeshConfig appear. */
  async function controllers(namespace: string): Promise<void> {
    for (const name of ["pepr-osm", "pepr-osm-watcher"]) {
      const found = await until(`Deployment ${name}`, 60_000, () =>
        kube.get<Deployment>(`${DEPLOYMENTS}/${name}`),
      );
      const { replicas } = found.spec;
      const counts = {
        replicas,
        updatedReplicas: replicas,
        readyReplicas: replicas,
        availableReplicas: replicas,
      };
      const status = { observedGeneration: found.metadata.generation, ...counts };
      await kube.mergePatch(`${DEPLOYMENTS}/${name}/status`, { status });
    }
    const settings = { meshName: "shop-mesh", osmNamespace: namespace };
    const mine = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } };
    await kube.apply(`/api/v1/namespaces/${namespace}`, mine, "test");
    for (const crd of EMBEDDED_CRDS) await kube.apply(objectPath(crd), crd as KubeObject, MANAGER_MESH);
    const config = defaultMeshConfig(settings, {});
    await until("the MeshConfig", 60_000, async () => {
      await kube.create(collectionPath(config), config as KubeObject).catch((error: unknown) => {
        if (isNotFound(error)) throw error;
      });
      return true;
    });
  }

  it("refuses what makes no sense before it changes anything", async () => {
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [["--set", "enableEgres=true"], "--set: there is no value enableEgres"],
      [["--set", "enableEgress"], '--set: "enableEgress" is not name=value'],
      [["--set", "osmController.replicaCount=none"], 'osmController.replicaCount is "none", not 1 to 10'],
      [["--timeout", "soon"], '--timeout: "soon" is no duration'],
    ];
    for (const [args, words] of wrong) {
      const { code, stderr } = await cli.osm(["install", ...source, ...args]);
      expect(code, stderr).to.equal(2);
      expect(stderr).to.contain(words);
    }
    const missing = await cli.osm(["install", "--osm-chart-path", path.join(folder, "none.yaml")]);
    expect([missing.code, missing.stderr]).to.deep.equal([
      1,
      `Error: there is no file ${folder}/none.yaml\n`,
    ]);
    const { stderr } = await cli.osm(["mesh", "upgrade", ...source]);
    expect(stderr).to.equal("Error: no mesh runs in this cluster; osm install makes one\n");
    expect(await there()).to.deep.equal([]);
  });

  it("uninstalls nothing where Open Service Mesh alone runs", async () => {
    const labels = { app: "osm-controller", meshName: "osm" };
    const shape = deployment("osm-controller", "admission");
    const classic = { ...shape, metadata: { name: "osm-controller", namespace: "old-mesh", labels } };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "old-mesh" } };
    await kube.apply("/api/v1/namespaces/old-mesh", namespace, "test");
    await kube.apply(objectPath(classic), classic as KubeObject, "test");
    const asked = ["uninstall", "mesh", "-f", "-a", "--delete-namespace", "--osm-namespace", "old-mesh"];
    for (const args of [asked, ["uninstall", "mesh", "-f"]]) {
      const { code, stdout, stderr } = await cli.osm(args);
      expect([code, stdout]).to.deep.equal([1, ""]);
      expect(stderr).to.equal(
        "Error: mesh osm in old-mesh is Open Service Mesh v1: its own command uninstalls it\n",
      );
    }
    expect(await isThere(classic)).to.equal(true);
    const left = await kube.get<KubeObject>("/api/v1/namespaces/old-mesh");
    expect(left.metadata.deletionTimestamp).to.equal(undefined);
    await kube.delete(objectPath(classic));
  });

  it("with --atomic leaves nothing of what failed", async () => {
    const { code, stderr, stdout } = await cli.osm(["install", ...source, "--atomic", "--timeout", "2s"]);
    expect([code, stdout.includes("deployments pepr-osm deleted")], stderr).to.deep.equal([1, true]);
    expect(stderr).to.match(/^Error: not done in time: pepr-osm: 0 of 2 new pods are ready; .*\n$/);
    // A namespace only begins to go where no controller finishes it.
    expect((await there()).filter(name => name !== "Namespace pepr-system")).to.deep.equal([]);
    const namespace = await kube.get<KubeObject & { spec: object }>("/api/v1/namespaces/pepr-system");
    await finalize(namespace);
  });

  /** Ends a namespace as its controller would. */
  async function finalize(namespace: KubeObject): Promise<void> {
    const { name } = namespace.metadata;
    const answer = await fetchPut(`/api/v1/namespaces/${name}/finalize`, {
      ...namespace,
      spec: { finalizers: [] },
    });
    expect(answer).to.equal(200);
    await until("its end", 60_000, () =>
      kube.get(`/api/v1/namespaces/${name}`).then(
        () => undefined,
        (error: unknown) => isNotFound(error),
      ),
    );
  }

  async function fetchPut(url: string, body: object): Promise<number> {
    const { request } = await import("node:https");
    return new Promise((resolve, reject) => {
      const call = request(
        {
          port: server.port,
          host: "127.0.0.1",
          path: url,
          method: "PUT",
          ca: server.ca,
          headers: { Authorization: `Bearer ${server.token}`, "Content-Type": "application/json" },
        },
        response => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      call.on("error", reject);
      call.end(JSON.stringify(body));
    });
  }

  it("installs as the printed commands of Open Service Mesh ask it to, and sets what they set", async () => {
    const args = ["install", ...source, "--namespace", "mesh-system", "--mesh-name", "shop-mesh"];
    const values = [
      ...["--set=OpenServiceMesh.enablePermissiveTrafficPolicy=false", "--set", "osm.enableEgress=false"],
      ...[
        "--set",
        "osm.outboundIPRangeExclusionList={10.0.0.0/8,192.168.0.0/16},osmController.replicaCount=3",
      ],
      ...["--set", "osm.osmController.resource.limits.memory=2Gi", "--set", "osm.image.tag=v1.2.4"],
      ...["--set", "osm.controllerImage=registry.example/controller:v9,osm.imagePullSecrets[0].name=pull"],
      ...["--enforce-single-mesh=true", "--enable-permissive-traffic-policy=false", "--enable-egress=false"],
      ...["--enable-debug-server", "--enable-prometheus=false", "--deploy-prometheus=false"],
      ...["--enable-grafana=false", "--deploy-grafana=false", "--deploy-jaeger=false"],
    ];
    const [{ code, stdout, stderr }] = await Promise.all([
      cli.osm([...args, ...values, "--timeout", "60s"]),
      controllers("mesh-system"),
    ]);
    expect(code, stderr).to.equal(0);
    expect(stderr).to.equal(
      "Warning: image.tag has no effect: there is one image of the control plane: controllerImage\n",
    );
    expect(stdout).to.contain(
      "OSM installed successfully in namespace [mesh-system] with mesh name [shop-mesh]\n",
    );
    expect(await variables()).to.deep.include({
      LOG_LEVEL: "warn",
      OSM_MESH_NAME: "shop-mesh",
      OSM_NAMESPACE: "mesh-system",
      OSM_MEMORY_LIMIT: "2Gi",
    });
    const { spec } = await kube.get<Deployment>(`${DEPLOYMENTS}/pepr-osm`);
    expect(spec.replicas).to.equal(3);
    const config = await kube.get<{ spec: { traffic: object } }>(
      "/apis/config.openservicemesh.io/v1alpha2/namespaces/mesh-system/meshconfigs/osm-mesh-config",
    );
    expect(config.spec.traffic).to.deep.include({
      enablePermissiveTrafficPolicyMode: false,
      enableEgress: false,
      outboundIPRangeExclusionList: ["10.0.0.0/8", "192.168.0.0/16"],
    });
  });

  it("refuses a second mesh, and upgrades the one there is with what it was installed with", async () => {
    const second = await cli.osm(["install", ...source, "--mesh-name", "other"]);
    expect(second.stderr).to.equal(
      "Error: mesh shop-mesh runs in this cluster already; osm mesh upgrade changes it\n",
    );
    const wrong = await cli.osm(["mesh", "upgrade", ...source]);
    expect(wrong.stderr).to.contain("mesh osm does not run in this cluster, shop-mesh does");
    const args = ["mesh", "upgrade", ...source, "--mesh-name", "shop-mesh", "--set", "sidecarImage=envoy:v2"];
    const running = cli.osm(args);
    await until("the new variable", 60_000, async () => (await variables())["OSM_ENVOY_IMAGE"]);
    const [{ code, stdout, stderr }] = await Promise.all([running, controllers("mesh-system")]);
    expect(code, stderr).to.equal(0);
    expect(stdout).to.contain("OSM successfully upgraded mesh [shop-mesh]\n");
    expect(stdout.split("\n")).to.include.members([
      "  control plane: image registry.example/controller:v9 stays (--set controllerImage=IMAGE changes it)",
      "  sidecars of pods made from now on: image envoy:v2",
      `  their init containers: image ${DEFAULT_IMAGES.init}, that of this version`,
    ]);
    expect(await variables()).to.deep.include({ OSM_NAMESPACE: "mesh-system", OSM_ENVOY_IMAGE: "envoy:v2" });
    const { spec } = await kube.get<Deployment>(`${DEPLOYMENTS}/pepr-osm`);
    expect(spec.replicas).to.equal(3);
    expect(spec.template.spec).to.have.nested.property(
      "containers[0].image",
      "registry.example/controller:v9",
    );
    expect(spec.template.spec).to.have.deep.property("imagePullSecrets", [{ name: "pull" }]);
  });

  it("uninstalls when told to, webhooks before what answers them, and leaves policies unless -a", async () => {
    const mutating = MANIFEST.at(-1);
    if (mutating === undefined) throw new Error("no webhooks");
    await kube.create(collectionPath(mutating), mutating as KubeObject);
    const mesh = ["uninstall", "mesh", "--mesh-name", "shop-mesh"];
    expect((await cli.osm(mesh)).stderr).to.contain("Nobody is there to answer; --force does it unasked");
    expect((await cli.osm(mesh, { answers: ["n"] })).stdout).to.equal("Nothing was changed.\n");
    expect(await there()).to.have.length(MANIFEST.length);
    const said = await cli.must(mesh, { answers: ["y"] });
    const at = (words: string): number => said.indexOf(words);
    expect(at("deployments pepr-osm-watcher deleted")).to.be.lessThan(
      at("mutatingwebhookconfigurations pepr-osm"),
    );
    expect(at("mutatingwebhookconfigurations pepr-osm")).to.be.lessThan(at("deployments pepr-osm deleted"));
    expect(await there()).to.deep.equal(["Namespace pepr-system"]);
    const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const left = async (): Promise<number> => (await kube.get<{ items: unknown[] }>(crds)).items.length;
    expect(await left()).to.equal(EMBEDDED_CRDS.length);
    const osms = ["--local-port", "9091", "--ca-bundle-secret-name", "osm-ca-bundle", "--timeout", "2m"];
    await cli.must([...mesh, ...osms, "-f", "-a"]);
    await until("the end of the definitions", 60_000, async () => ((await left()) === 0 ? true : undefined));
  });
});
