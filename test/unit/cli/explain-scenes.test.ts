import { expect } from "chai";
import type { Explanation } from "../../../src/cli/explain/request";
import { compileScene, sceneNames, type Scene, stepsOf } from "../../support/scene";
import { callsOf, resolveCall, type SceneCall } from "../../support/scene-calls";
import { explained, offlineWorld, saidBy } from "../../support/offline-scene";

/** What the command must say of a call, whatever the answer. */
function expectWhole({ cases }: Explanation, why: string): void {
  const isPlain = cases[0]?.steps[0]?.text.includes("without a sidecar") === true;
  for (const one of cases) {
    expect(one.steps, why).to.not.be.empty;
    // Where no sidecar has a part, no object decides.
    if (one.outcome !== "passthrough" || !isPlain) expect(one.decides, why).to.not.be.empty;
  }
  expect(
    cases.reduce((all, { share }) => all + share, 0),
    why,
  ).to.be.closeTo(1, 1e-9);
}

/** Asks the command about the calls of a scene as it is now, and compares with what they declare. */
function ask(scene: Scene, calls: readonly SceneCall[]): number {
  const world = offlineWorld(scene.objects);
  const asked = calls.filter(({ evaluator }) => evaluator !== false);
  for (const given of asked) {
    const call = resolveCall(scene, given);
    const answer = explained(world, call);
    const why = `${call.title}\n${JSON.stringify(answer, undefined, 1)}`;
    expect(saidBy(answer), why).to.equal(call.expect);
    const pods = answer.cases.filter(one => one.reached).flatMap(one => one.pod ?? []);
    if (call.at !== undefined) expect(call.at, why).to.include.members(pods);
    expectWhole(answer, why);
  }
  return asked.length;
}

describe("osm explain, offline, about every scene", function () {
  this.timeout(120_000);
  let count = 0;

  for (const name of sceneNames()) {
    it(`says what the calls of ${name} declare`, () => {
      const scene = compileScene(name);
      count += ask(scene, callsOf(name));
      for (const step of stepsOf(name)) {
        scene.apply(step);
        count += ask(scene, callsOf(name, step.name));
      }
    });
  }

  it("has been asked often", () => {
    expect(count).to.be.greaterThan(100);
  });
});
