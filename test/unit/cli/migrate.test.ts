import { expect } from "chai";
import { checkMigration } from "../../../src/cli/migrate/check";
import type { KubeDocument } from "../../../src/cli/offline/documents";

const config = (spec: object): KubeDocument => ({
  apiVersion: "config.openservicemesh.io/v1alpha2",
  kind: "MeshConfig",
  metadata: { name: "osm-mesh-config", namespace: "osm-system" },
  spec,
});
const group = (...patterns: readonly string[]): KubeDocument => ({
  apiVersion: "specs.smi-spec.io/v1alpha4",
  kind: "HTTPRouteGroup",
  metadata: { name: "pay", namespace: "bank" },
  spec: { matches: patterns.map((pathRegex, n) => ({ name: `m${n}`, pathRegex, methods: ["POST"] })) },
});
const FULL = config({
  sidecar: { tlsMinProtocolVersion: "TLSv1_2" },
  traffic: { enablePermissiveTrafficPolicyMode: true, pathRegexMatch: "Full" },
});

describe("osm migrate check of what becomes wider or closed", () => {
  it("tells of each pattern that allows more by its beginning than in full", () => {
    for (const pattern of ["/pay", "/pay(/.*)?", "/a|/b.*", "/pay\\$", "/pay\\.*", "/pay[.*]", "/[a-z]+"]) {
      const [found] = checkMigration([group(".*", pattern)]);
      expect(found?.verdict, pattern).to.equal("changes");
      expect(found?.notes.join(), pattern).to.contain(
        `spec.matches[1].pathRegex (${pattern}) allows every path`,
      );
    }
  });

  it("is silent where the pattern says where a path ends", () => {
    const patterns = [".*", "/pay$", "/pay.*", "/a.*|/b$", "(/pay.*)", "/p(a|y)/.*"];
    expect(checkMigration([group(...patterns)])).to.deep.equal([
      { object: "HTTPRouteGroup/bank/pay", verdict: "carries-over", notes: [] },
    ]);
  });

  it("is silent where a MeshConfig asks for whole paths, wherever it stands", () => {
    const found = checkMigration([group("/pay"), FULL]);
    expect(found.map(({ verdict }) => verdict)).to.deep.equal(["carries-over", "carries-over"]);
  });

  it("reads groups of versions without a spec", () => {
    const { spec, ...rest } = group("/pay");
    const old = { ...rest, apiVersion: "specs.smi-spec.io/v1alpha1", ...(spec as object) };
    expect(checkMigration([old])[0]?.notes.join()).to.contain("matches[0].pathRegex (/pay)");
  });

  it("tells of defaults of a MeshConfig that are others", () => {
    const [found] = checkMigration([config({ traffic: { enablePermissiveTrafficPolicyMode: false } })]);
    expect(found?.verdict).to.equal("changes");
    expect(found?.notes.join()).to.contain("TLS version is 1.3").and.to.contain("is closed");
  });
});
