import { expect } from "chai";
import { allAddOns } from "../../../src/cli/install/run";
import { keeping } from "../../../src/cli/install/kept";
import { imageLines } from "../../../src/cli/install/images";
import { helmFlags } from "../../../src/cli/install/helm";
import { preflight } from "../../../src/cli/install/preflight";
import { wantedBy } from "../../../src/cli/install/set-values";
import { uninstallMesh } from "../../../src/cli/install/uninstall";
import type { LiveDeployment } from "../../../src/install/deployments";
import { DEFAULT_IMAGES } from "../../../src/runtime/settings";
import { objectPath, type InstallObject } from "../../../src/install/object";
import { KubeStore } from "../../support/kube-store";

function deployment(image: string, more: object = {}): LiveDeployment {
  const env = [
    { name: "LOG_LEVEL", value: "warn" },
    { name: "OSM_MESH_NAME", value: "shop" },
  ];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "pepr-osm", namespace: "pepr-system" },
    spec: { replicas: 3, template: { spec: { containers: [{ image, env }], ...more } } },
  };
}

describe("what an upgrade keeps", () => {
  const manifest: readonly InstallObject[] = [deployment("ghcr.io/pepr/controller:v2")];
  const pull = { imagePullSecrets: [{ name: "pull" }] };

  it("is environment, replicas, pull secrets and an image from elsewhere", () => {
    const kept = keeping(wantedBy([]), deployment("registry.example:5000/controller:v1", pull), manifest);
    expect(kept).to.deep.include({
      environment: { OSM_MESH_NAME: "shop" },
      controllerImage: "registry.example:5000/controller:v1",
      replicas: 3,
      imagePullSecrets: ["pull"],
    });
  });

  it("is not the image of the release before", () => {
    const kept = keeping(wantedBy([]), deployment("ghcr.io/pepr/controller:v1"), manifest);
    expect(kept).to.not.have.property("controllerImage");
  });

  it("gives way to what is asked for now", () => {
    const asked = wantedBy([
      "meshName=other,controllerImage=mine:v3,osmController.replicaCount=1,imagePullSecrets[0].name=new",
    ]);
    expect(keeping(asked, deployment("registry.example/controller:v1", pull), manifest)).to.deep.include({
      environment: { OSM_MESH_NAME: "other" },
      controllerImage: "mine:v3",
      replicas: 1,
      imagePullSecrets: ["new"],
    });
  });

  it("is told of images, one by one: what stays, what changes, and what MeshConfig decides", () => {
    const before = deployment("registry.example/controller:v1");
    const withSidecar = (image: string, sidecar: string): LiveDeployment => {
      const env = [{ name: "OSM_ENVOY_IMAGE", value: sidecar }];
      return { ...before, spec: { template: { spec: { containers: [{ image, env }] } } } };
    };
    expect(imageLines(before, before, { initContainerImage: "init:mine", envoyImage: "" })).to.deep.equal([
      "  control plane: image registry.example/controller:v1 stays (--set controllerImage=IMAGE changes it)",
      `  sidecars of pods made from now on: image ${DEFAULT_IMAGES.envoy}, that of this version`,
      "  their init containers: image init:mine stays, as MeshConfig says",
    ]);
    const after = withSidecar("controller:v2", "envoy:v2");
    expect(imageLines(before, after, {}).slice(0, 2)).to.deep.equal([
      "  control plane: image controller:v2, before registry.example/controller:v1",
      "  sidecars of pods made from now on: image envoy:v2",
    ]);
    expect(imageLines(withSidecar("controller:v1", "envoy:v1"), after, {})[1]).to.equal(
      "  sidecars of pods made from now on: image envoy:v2, before envoy:v1",
    );
  });

  it("is told to Helm by the chart's names", () => {
    const asked = wantedBy([
      "meshName=shop,osmController.resource.limits.cpu=2,controllerImage=mine:v3,osmController.replicaCount=1,enableEgress=false",
    ]);
    expect(helmFlags(asked)).to.deep.equal([
      ...["--set-string", "osm.meshName=shop", "--set-string", "osm.controller.resources.limits.cpu=2"],
      ...["--set-string", "osm.controllerImage=mine:v3", "--set", "osm.controller.replicas=1"],
    ]);
  });
});

describe("add-ons of an uninstalled mesh", () => {
  it("go where osm install deployed them, and stay where they came another way", async () => {
    const labels = { app: "osm-prometheus" };
    const objects: readonly InstallObject[] = [
      { apiVersion: "v1", kind: "Service", metadata: { name: "osm-prometheus", namespace: "osm-system" } },
      {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name: "osm-prometheus" },
      },
      { apiVersion: "v1", kind: "Service", metadata: { name: "jaeger", namespace: "osm-system" } },
    ];
    const [service = "", role = "", jaeger = ""] = objects.map(objectPath);
    const by = (manager: string, operation = "Apply"): object => ({
      labels,
      managedFields: [{ manager, operation }],
    });
    // Open Service Mesh's own command is called osm as well, and creates.
    const kube = new KubeStore()
      .put(service, by("helm"))
      .put(role, by("osm"))
      .put(jaeger, by("osm", "Update"));
    let now = 0;
    const pause = (ms: number): Promise<void> => Promise.resolve(void (now += ms));
    const installer = { kube, now: () => now, pause, say: () => undefined, deadline: 5_000 };
    const settings = { meshName: "osm", osmNamespace: "osm-system", namespaces: false, clusterWide: false };
    await uninstallMesh(installer, { ...settings, addOns: objects });
    expect([kube.has(service), kube.has(role), kube.has(jaeger)]).to.deep.equal([true, false, true]);
  });

  it("are those whose manifests are there", () => {
    expect(allAddOns("mesh-system", ["/nowhere"])).to.deep.equal([]);
  });
});

describe("the look before an installation", () => {
  it("refuses a Kubernetes that is too old by both versions", async () => {
    const kube = Object.assign(new KubeStore(), {
      get: <T>() => Promise.resolve({ major: "1", minor: "29+", gitVersion: "v1.29.9" } as T),
    });
    const told = await preflight(kube).catch((error: unknown) => (error as Error).message);
    expect(told).to.equal("Kubernetes is v1.29.9; the mesh needs 1.30 or newer");
  });
});
