import { expect } from "chai";
import { DEFAULT_MESH_CONFIG } from "../../src/api/mesh-config";
import { inject } from "../../src/injector/inject";
import type { PodJson } from "../../src/injector/pod";
import { guards } from "../../src/install/owned";
import { KubeError, type KubeClient, type KubeObject } from "../../src/runtime/kube";
import { applyObject } from "../../src/runtime/ownership";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

const MARK = "openservicemesh.io/sidecar-injection";
const LABEL = "openservicemesh.io/monitored-by";
const settings = { meshName: "osm", osmNamespace: "osm-system" };

interface Place {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

const PLACES: Readonly<Record<string, Place>> = {
  plain: {},
  both: { labels: { [LABEL]: "osm" }, annotations: { [MARK]: "enabled" } },
  "label-only": { labels: { [LABEL]: "osm" } },
  "note-only": { annotations: { [MARK]: "Yes" } },
  "note-off": { labels: { [LABEL]: "osm" }, annotations: { [MARK]: "disabled" } },
  "note-odd": { labels: { [LABEL]: "osm" }, annotations: { [MARK]: "perhaps" } },
  "other-mesh": { labels: { [LABEL]: "other" }, annotations: { [MARK]: "enabled" } },
  ignored: {
    labels: { [LABEL]: "osm", "openservicemesh.io/ignore": "" },
    annotations: { [MARK]: "enabled" },
  },
};

const bare = (annotations: Record<string, string> = {}, spec: object = {}): PodJson => ({
  metadata: { annotations },
  spec: { containers: [{ name: "app", image: "app" }], ...spec },
});

function injected(annotations: Record<string, string>): PodJson {
  const result = inject({
    // Set by the API server before it asks webhooks; the one of this test has no such plugin.
    pod: bare(annotations, { serviceAccountName: "default" }),
    uid: "6a1f2c7e-0000-4000-8000-000000000000",
    namespace: { name: "both", labels: PLACES["both"]?.labels ?? {}, annotations: { [MARK]: "enabled" } },
    meshConfig: DEFAULT_MESH_CONFIG,
    settings: {
      ...settings,
      trustDomain: "cluster.local",
      images: { envoy: "envoy", init: "init" },
      adsAddress: "osm-controller.pepr-system.svc:15128",
      nativeSidecar: true,
      ipv6: false,
    },
  });
  if (result.kind !== "inject") throw new Error(`not injected: ${result.kind}`);
  return result.pod;
}

const WINDOWS = { os: { name: "windows" }, securityContext: { runAsNonRoot: false } };
const HOST = { hostNetwork: true };

/** Namespace, what the pod is, pod, and whether the API server takes it without any webhook in force. */
const TABLE: readonly (readonly [string, string, PodJson, boolean])[] = [
  ["plain", "bare", bare(), true],
  ["plain", "bare that asks for a sidecar outside the mesh", bare({ [MARK]: "enabled" }), true],
  ["both", "bare", bare(), false],
  ["both", "injected", injected({}), true],
  ["both", "bare and opted out", bare({ [MARK]: "disabled" }), true],
  ["both", "bare with an annotation nobody understands", bare({ [MARK]: "maybe" }), false],
  ["both", "of the host's network", bare({}, HOST), true],
  ["both", "of Windows", bare({}, WINDOWS), true],
  [
    "both",
    "with a container that is only called envoy",
    bare({}, { containers: [{ name: "envoy", image: "x" }] }),
    false,
  ],
  ["label-only", "bare", bare(), true],
  ["label-only", "bare that asks", bare({ [MARK]: "enabled" }), false],
  ["note-only", "bare", bare(), false],
  ["note-only", "injected", injected({}), true],
  ["note-only", "bare and opted out", bare({ [MARK]: "no" }), true],
  ["note-off", "bare", bare(), true],
  ["note-odd", "bare", bare(), false],
  ["other-mesh", "bare", bare(), true],
  ["ignored", "bare", bare(), true],
];

describe("admission policy on a real API server without any webhook", function () {
  this.timeout(120_000);
  let server: TestApiServer;
  let kube: KubeClient;

  const create = (namespace: string, pod: PodJson): Promise<unknown> =>
    kube.create<KubeObject>(`/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
      apiVersion: "v1",
      kind: "Pod",
      ...pod,
      metadata: { ...pod.metadata, name: "p", namespace },
    } as KubeObject);
  const refusal = async (namespace: string, pod: PodJson): Promise<string | undefined> => {
    try {
      await create(namespace, pod);
      return undefined;
    } catch (error) {
      if (error instanceof KubeError && error.status === 403) return error.message;
      throw error;
    }
  };

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    for (const [name, { labels = {}, annotations = {} }] of Object.entries(PLACES)) {
      const metadata = { name, labels, annotations };
      await kube.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata,
      } as KubeObject);
      const account = {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "default", namespace: name },
      };
      await kube
        .create(`/api/v1/namespaces/${name}/serviceaccounts`, account as KubeObject)
        .catch(() => undefined);
    }
    for (const guard of guards(settings)) await applyObject(kube, guard);
    await waitFor(
      "the policy to be in force",
      async () => (await refusal("both", bare())) !== undefined,
      60_000,
    );
  });
  after(async () => {
    await server.stop();
  });

  it("has expressions that the API server finds no fault with", async () => {
    const [policy] = guards(settings);
    const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${policy?.object.metadata.name ?? ""}`;
    const live = await kube.get<{ status?: { typeChecking?: { expressionWarnings?: unknown[] } } }>(path);
    expect(live.status?.typeChecking?.expressionWarnings ?? []).to.deep.equal([]);
  });

  for (const [namespace, title, pod, passes] of TABLE) {
    it(`${passes ? "lets pass" : "refuses"} a pod ${title} in namespace ${namespace}`, async () => {
      const said = await refusal(namespace, pod);
      if (passes) expect(said).to.equal(undefined);
      else expect(said).to.include("no sidecar of mesh osm");
    });
  }

  it("says the injector's reason where it left one", async () => {
    const reason = "metadata.annotations: the port 70000 is not one";
    const said = await refusal("both", bare({ "openservicemesh.io/injection-refused": reason }));
    expect(said).to.include(reason);
  });
});
