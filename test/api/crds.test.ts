import { expect } from "chai";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { until } from "../../hack/cluster/progress";
import { DEFAULT_MESH_CONFIG } from "../../src/api/mesh-config";
import { KubeError } from "../../src/runtime/kube";
import { BAD_FIELDS, meshConfigWith, type BadField } from "../support/mesh-config-cases";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly { readonly name: string }[];
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
  };
}

describe("custom resource definitions on a real API server", function () {
  this.timeout(300_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
  });
  after(async () => {
    kube.close();
    await server.stop();
  });

  for (const definition of EMBEDDED_CRDS as unknown as readonly Definition[]) {
    const { group, names, versions } = definition.spec;
    it(`accepts ${names.kind} without a complaint and serves ${versions.map(v => v.name).join(", ")}`, async () => {
      const { name } = definition.metadata;
      await kube.apply(`${PATH}/${name}`, definition as KubeObject, "test");
      const conditions = await until(`${name} to be established`, 60_000, async () => {
        const found = (await kube.get<Definition>(`${PATH}/${name}`)).status?.conditions ?? [];
        return found.some(c => c.type === "Established" && c.status === "True") ? found : undefined;
      });
      const bad = conditions.filter(c => c.type === "NonStructuralSchema" || c.status !== "True");
      expect(bad, JSON.stringify(bad)).to.deep.equal([]);
      for (const version of versions) {
        const path = `/apis/${group}/${version.name}/${names.plural}`;
        await until(`${path} to be served`, 60_000, () => kube.get(path));
      }
    });
  }

  describe("MeshConfig by schema alone", () => {
    const collection = "/apis/config.openservicemesh.io/v1alpha2/namespaces/default/meshconfigs";

    async function refusal(bad: Pick<BadField, "field" | "value">): Promise<string> {
      const object = meshConfigWith(bad);
      const metadata = { name: "osm-mesh-config", namespace: "default" };
      try {
        await kube.create(`${collection}?dryRun=All`, { ...object, metadata });
        return "accepted";
      } catch (error) {
        expect(error).to.be.instanceOf(KubeError);
        expect((error as KubeError).status).to.be.oneOf([400, 422]);
        return (error as KubeError).message;
      }
    }

    it("refuses every bad field that the validation refuses, naming it", async () => {
      for (const bad of BAD_FIELDS) {
        const message = await refusal(bad);
        const last =
          bad.field
            .split(".")
            .at(-1)
            ?.replace(/\[\d+\]$/, "") ?? "";
        expect(message, `${bad.field} = ${JSON.stringify(bad.value)}`)
          .to.contain(last)
          .and.not.equal("accepted");
      }
    });

    it("refuses a maximum TLS version below the minimum, naming both with their values", async () => {
      const message = await refusal({ field: "spec.sidecar.tlsMaxProtocolVersion", value: "TLSv1_2" });
      expect(message).to.contain(
        "spec.sidecar.tlsMaxProtocolVersion (TLSv1_2) is below spec.sidecar.tlsMinProtocolVersion (TLSv1_3)",
      );
    });

    it("refuses an enabled authorizer without address", async () => {
      const field = "spec.traffic.inboundExternalAuthorization.enable";
      expect(await refusal({ field, value: true })).to.contain("address and port are required");
    });

    it("fills in the defaults that the mesh assumes", async () => {
      const metadata = { name: "osm-mesh-config", namespace: "default" };
      const apiVersion = "config.openservicemesh.io/v1alpha2";
      await kube.create(collection, { apiVersion, kind: "MeshConfig", metadata });
      const stored = await kube.get<{ spec: typeof DEFAULT_MESH_CONFIG }>(`${collection}/osm-mesh-config`);
      const want = JSON.parse(JSON.stringify(DEFAULT_MESH_CONFIG)) as typeof DEFAULT_MESH_CONFIG;
      delete (want.traffic.inboundExternalAuthorization as { port?: number }).port;
      expect(stored.spec).to.deep.equal(want);
    });

    it("keeps a field of v1alpha2 when the object is changed through v1alpha1", async () => {
      const old = `${collection.replace("v1alpha2", "v1alpha1")}/osm-mesh-config`;
      await kube.mergePatch(`${collection}/osm-mesh-config`, {
        spec: { sidecar: { localProxyMode: "PodIP" } },
      });
      await kube.mergePatch(old, { spec: { traffic: { enableEgress: false } } });
      const { spec } = await kube.get<{ spec: typeof DEFAULT_MESH_CONFIG }>(`${collection}/osm-mesh-config`);
      expect([spec.sidecar.localProxyMode, spec.traffic.enableEgress]).to.deep.equal(["PodIP", false]);
    });
  });

  it("keeps a TrafficTarget in the form it was written in, whatever the version it is read under", async () => {
    const at = (version: string): string =>
      `/apis/access.smi-spec.io/${version}/namespaces/default/traffictargets`;
    const account = { kind: "ServiceAccount", name: "a", namespace: "default" };
    const body = {
      destination: { ...account, port: 80 },
      sources: [account],
      specs: [{ kind: "TCPRoute", name: "t" }],
    };
    const head = {
      apiVersion: "access.smi-spec.io/v1alpha1",
      kind: "TrafficTarget",
      metadata: { name: "old" },
    };
    await kube.create(at("v1alpha1"), { ...head, ...body });
    expect(await kube.get(`${at("v1alpha3")}/old`)).to.deep.include(body);
    const spec = { destination: account, sources: [account], rules: [{ kind: "TCPRoute", name: "t" }] };
    const next = {
      apiVersion: "access.smi-spec.io/v1alpha4",
      kind: "TrafficTarget",
      metadata: { name: "new" },
      spec,
    };
    await kube.create(at("v1alpha4"), next);
    expect(await kube.get(`${at("v1alpha2")}/new`)).to.deep.include({ spec });
  });
});
