import { expect } from "chai";
import fc from "fast-check";
import { encodeLeaf } from "../../src/envoy/encode";
import { hostileMesh } from "../support/hostile-mesh";
import { hostileObject } from "../support/hostile-objects";
import type { TestObject } from "../support/objects";
import { SEED } from "../support/seed";
import { verdict } from "../support/verdict";
import { createWorld, type World } from "../support/world";

const RUNS = process.env["OSM_FULL"] === "1" ? 10_000 : 1_000;
/** Objects that are stored before everything is looked at. */
const BATCH = 100;

describe("hostile policies in a mesh that denies", function () {
  this.timeout(600_000);

  it(`${RUNS} random objects break nothing: no error of ours, Envoy takes everything, others' bytes stay`, async () => {
    console.log(`      OSM_SEED=${SEED}`);
    const world: World = createWorld(encodeLeaf);
    const mesh = hostileMesh(world);
    const before = mesh.ofBank();
    expect(before).to.not.be.empty;
    const objects = fc.sample(hostileObject(3), {
      numRuns: RUNS,
    }) as unknown as readonly TestObject[];
    let findings = 0;
    for (let start = 0; start < objects.length; start += BATCH) {
      world.feed(...objects.slice(start, start + BATCH));
      expect(world.errors).to.deep.equal([]);
      expect(mesh.ofBank()).to.deep.equal(before);
      findings += world.engine.diagnostics().size;
      expect(await mesh.complaint()).to.equal(undefined);
    }
    verdict("random custom resources in process", world.errors.length === 0, {
      count: objects.length,
      failed: world.errors.length,
      bound: "no error, nothing refused by Envoy, others' bytes unchanged",
    });
    expect(findings).to.be.greaterThan(0);
  });
});
