import { expect } from "chai";
import { readFileSync } from "node:fs";
import path from "node:path";
import { API_KINDS } from "../../../src/api/kinds";
import { EMBEDDED_CRDS } from "../../../src/install/crds";
import { generated } from "../../../hack/gen-crds";

interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: { readonly kind: string; readonly categories: readonly string[] };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly deprecated?: boolean;
      readonly subresources?: unknown;
      readonly schema: { readonly openAPIV3Schema: { readonly properties: Record<string, unknown> } };
    }[];
  };
}

describe("definitions of the custom kinds", () => {
  const definitions = EMBEDDED_CRDS as unknown as readonly Definition[];

  it("are embedded as they stand in crds/", () => {
    const file = path.join(__dirname, "../../../src/install/crds.generated.ts");
    expect(readFileSync(file, "utf8")).to.equal(generated());
  });

  it("exist for each kind under the version that the mesh reads, with a status", () => {
    expect(definitions.map(d => d.spec.names.kind).sort()).to.deep.equal(
      API_KINDS.map(row => row.kind).sort(),
    );
    for (const { kind, group, version, plural } of API_KINDS) {
      const definition = definitions.find(d => d.spec.names.kind === kind);
      expect(definition?.metadata.name).to.equal(`${plural}.${group}`);
      expect(definition?.spec.names.categories).to.deep.equal(["mesh"]);
      const stored = definition?.spec.versions.filter(v => v.storage) ?? [];
      expect(stored.map(v => v.name)).to.deep.equal([version]);
      for (const served of definition?.spec.versions ?? []) {
        expect(served.served).to.equal(true);
        expect(served.subresources).to.deep.equal({ status: {} });
        expect(JSON.stringify(served.schema.openAPIV3Schema.properties["status"])).to.contain("conditions");
      }
    }
  });

  it("serve every version of SMI and the old MeshConfig with a warning", () => {
    const versions = Object.fromEntries(
      definitions.map(d => [
        d.spec.names.kind,
        d.spec.versions
          .map(v => v.name)
          .sort()
          .join(),
      ]),
    );
    const four = "v1alpha1,v1alpha2,v1alpha3,v1alpha4";
    expect(versions).to.include({
      TrafficTarget: four,
      HTTPRouteGroup: four,
      TCPRoute: four,
      TrafficSplit: four,
    });
    const meshConfig = definitions.find(d => d.spec.names.kind === "MeshConfig");
    expect(meshConfig?.spec.versions.find(v => v.name === "v1alpha1")?.deprecated).to.equal(true);
  });
});
