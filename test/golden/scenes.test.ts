import { expect } from "chai";
import { validate } from "../support/envoy";
import {
  compileScene,
  golden,
  goldenMode,
  printEnvoy,
  printPolicy,
  sceneNames,
  strayFiles,
} from "../support/scene";

describe("scenes", () => {
  for (const name of sceneNames()) {
    describe(name, () => {
      it("compiles without an error of ours", () => {
        const { world, groups } = compileScene(name);
        expect(world.errors).to.deep.equal([]);
        expect(groups, "pods with a sidecar").to.not.be.empty;
      });

      it("has the policy of policy.yaml", () => {
        const actual = printPolicy(compileScene(name));
        expect(actual).to.equal(golden(name, "policy.yaml", actual));
      });

      it("has the resources of envoy.yaml", () => {
        const actual = printEnvoy(compileScene(name));
        expect(actual).to.equal(golden(name, "envoy.yaml", actual));
      });

      it("is accepted by the real Envoy", async () => {
        for (const group of compileScene(name).groups) {
          const verdict = await validate(group.resources);
          expect(verdict.ok, `${group.pods[0] ?? ""}: ${verdict.output}`).to.equal(true);
        }
      }).timeout(120_000);

      it("has no stray files", () => {
        expect(strayFiles(name)).to.deep.equal([]);
      });
    });
  }

  it("are never rewritten in CI", () => {
    expect(() => goldenMode({ UPDATE_GOLDEN: "1", CI: "true" })).to.throw("never rewritten");
    expect(goldenMode({ UPDATE_GOLDEN: "1" })).to.equal("rewrite");
    expect(goldenMode({})).to.equal("compare");
  });
});
