import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { ensureCollector } from "../../hack/cluster/binaries";
import { Progress, toStderr } from "../../hack/cluster/progress";
import { repositoryRoot } from "../../hack/cluster/settings";
import { run, type RunResult } from "../../hack/cluster/shell";

/** Configurations of an OpenTelemetry Collector in a guide. */
function collectorRecipes(guide: string): readonly string[] {
  const text = readFileSync(path.join(repositoryRoot(), "docs", "guides", guide), "utf8");
  return [...text.matchAll(/^```\n(receivers:[\s\S]*?)^```$/gm)].map(([, recipe = ""]) => recipe);
}

/** Full counts only: the collector takes minutes to build. */
if (process.env["OSM_FULL"] === "1")
  describe("recipes of the guides", function () {
    this.timeout(3_600_000);
    let folder: string;
    before(() => {
      folder = mkdtempSync(path.join(os.tmpdir(), "osm-recipes-"));
    });
    after(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const validate = async (config: string): Promise<RunResult> => {
      const file = path.join(folder, "config.yaml");
      writeFileSync(file, config);
      return run(await ensureCollector(new Progress(toStderr)), ["validate", "--config", file]);
    };

    it("are taken by the OpenTelemetry Collector", async () => {
      const recipes = collectorRecipes("observability.md");
      expect(recipes.length).to.be.greaterThan(0);
      for (const recipe of recipes) {
        const { code, stderr } = await validate(recipe);
        expect(code, stderr).to.equal(0);
        expect((await validate(recipe.replace("endpoint", "endpiont"))).code, "a misspelt key").to.not.equal(
          0,
        );
      }
    });
  });
