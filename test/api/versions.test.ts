import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import type { IngestKind } from "../../src/ingest/index";
import { createProjectors } from "../../src/ingest/index";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import type { KubeObject } from "../../src/runtime/kube";
import { KubeError } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { REFUSED_BY_SCHEMA } from "../support/policy-cases";
import { SAME_MEANING, type Written } from "../support/smi-versions";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly plural: string;
      readonly kind: string;
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly subresources?: object;
      readonly additionalPrinterColumns?: readonly { readonly name: string }[];
    }[];
  };
}

const definitions = EMBEDDED_CRDS as unknown as readonly Definition[];

function collection(object: { readonly apiVersion: string }, plural: string): string {
  return `/apis/${object.apiVersion}/namespaces/default/${plural}`;
}

/** What somebody wrote, without what the API server adds. */
function bodyOf(object: Record<string, unknown>): unknown {
  const added = ["apiVersion", "kind", "metadata"];
  return Object.fromEntries(Object.entries(object).filter(([field]) => !added.includes(field)));
}

/** The same object in the namespace of these tests. */
function inDefault<T>(object: T): T {
  return JSON.parse(
    JSON.stringify(object).replaceAll('"shop"', '"default"').replaceAll(".shop", ".default"),
  ) as T;
}

describe("versions of the custom kinds on a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    for (const definition of EMBEDDED_CRDS)
      await kube.apply(`${DEFINITIONS}/${definition.metadata.name}`, definition, "test");
    for (const { spec } of definitions) {
      for (const version of spec.versions) {
        const path = `/apis/${spec.group}/${version.name}/${spec.names.plural}`;
        await until(`${path} to be served`, 60_000, () => kube.get(path));
      }
    }
  });
  after(async () => {
    kube.close();
    await server.stop();
  });

  it("has status, category and columns in every version", () => {
    for (const { spec } of definitions) {
      expect(spec.names.categories, spec.names.kind).to.deep.equal(["mesh"]);
      for (const version of spec.versions) {
        const columns = (version.additionalPrinterColumns ?? []).map(column => column.name);
        expect(version.subresources, spec.names.kind).to.deep.equal({ status: {} });
        expect(columns, spec.names.kind).to.include.members(["Accepted", "Programmed", "Reason", "Age"]);
      }
    }
  });

  for (const { title, plural, objects } of SAME_MEANING) {
    it(`takes what was written, and gives it back whole through every version: ${title}`, async () => {
      const projectors = createProjectors("osm");
      for (const [index, written] of objects.map(inDefault<Written>).entries()) {
        const name = `case-${index}`;
        const group = written.apiVersion.split("/")[0] ?? "";
        const metadata = { name, namespace: "default" };
        await kube.create(collection(written, plural), { ...written, metadata } as KubeObject);
        const versions = definitions.find(({ spec }) => spec.group === group && spec.names.plural === plural);
        const values: unknown[] = [];
        for (const version of versions?.spec.versions ?? []) {
          const path = `${collection({ apiVersion: `${group}/${version.name}` }, plural)}/${name}`;
          const read = await kube.get<KubeObject & Record<string, unknown>>(path);
          expect(bodyOf(read), path).to.deep.equal(bodyOf(written));
          values.push(projectors[written.kind as IngestKind].project(read));
        }
        expect(values.length).to.be.greaterThan(0);
        for (const value of values) expect(value).to.deep.equal(values[0]);
        expect(values[0]).to.have.deep.property("diagnostics", []);
        await kube.delete(`${collection(written, plural)}/${name}`);
      }
    });
  }

  for (const [title, plural, object, words] of REFUSED_BY_SCHEMA) {
    it(`refuses ${object.kind}: ${title}`, async () => {
      const path = `${collection(object, plural)}?dryRun=All`;
      const metadata = { name: "bad", namespace: "default" };
      try {
        await kube.create(path, { ...object, metadata } as KubeObject);
        expect.fail("it was accepted");
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        expect(error.status, error.message).to.be.oneOf([400, 422]);
        for (const word of words) expect(error.message).to.contain(word);
      }
    });
  }
});
