import { expect } from "chai";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { until } from "../../hack/cluster/progress";
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
  this.timeout(120_000);
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
      const conditions = await until(`${name} to be established`, 20_000, async () => {
        const found = (await kube.get<Definition>(`${PATH}/${name}`)).status?.conditions ?? [];
        return found.some(c => c.type === "Established" && c.status === "True") ? found : undefined;
      });
      const bad = conditions.filter(c => c.type === "NonStructuralSchema" || c.status !== "True");
      expect(bad, JSON.stringify(bad)).to.deep.equal([]);
      for (const version of versions) {
        const path = `/apis/${group}/${version.name}/${names.plural}`;
        await until(`${path} to be served`, 20_000, () => kube.get(path));
      }
    });
  }
});
