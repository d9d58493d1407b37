import path from "node:path";
import { expect } from "chai";
import { repositoryRoot } from "../../../hack/cluster/settings";
import type { Explanation } from "../../../src/cli/explain/request";
import { osm } from "../../support/cli";
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

  it("says the faults, limits and retries that meet a call, and that they are not judged", async () => {
    const also = async (scene: string, ...args: readonly string[]): Promise<readonly string[]> => {
      const file = path.join(repositoryRoot(), "test/golden", scene, "given.yaml");
      const { stdout } = await osm(["explain", "-f", file, "-o", "json", ...args]);
      const { cases } = JSON.parse(stdout) as Explanation;
      return cases.flatMap(({ steps }) => steps.filter(({ at }) => at === "terms").map(({ text }) => text));
    };
    const by = "(UpstreamTrafficSetting shop/cart, not judged)";
    const breaker =
      "circuit breaker: a sidecar has at most 10 connections, 10 requests that wait and 100 requests at once";
    const everywhere = [
      `${breaker} ${by}`,
      `a pod is left out for 30 s after 5 errors in a row ${by}`,
      `rate limit: each pod takes 100 connections in 60 s ${by}`,
    ];
    const cart = ["--from", "buyer.web", "--to"];
    expect(await also("upstream-setting", ...cart, "cart.shop:80", "--path", "/bad")).to.deep.equal([
      `100 % of such requests get HTTP 503 as a fault ${by}`,
      `it may take 10 s in all ${by}`,
      ...everywhere,
    ]);
    expect(await also("upstream-setting", ...cart, "cart.shop:80", "--path", "/limited")).to.deep.equal([
      `it may take 10 s in all ${by}`,
      ...everywhere,
      `rate limit: each pod takes 1 request in 3600 s, then HTTP 429 ${by}`,
    ]);
    expect(await also("upstream-setting", ...cart, "cart.shop:81")).to.deep.equal(everywhere);
    const again =
      "it is sent again up to 5 times on 5xx, each try for 1 s at most (Retry web/again, not judged)";
    expect(await also("retry", ...cart, "cart.shop")).to.deep.equal([again]);
    expect(await also("retry", "--from", "thief.web", "--to", "cart.shop")).to.deep.equal([]);
  });

  it("has been asked often", () => {
    expect(count).to.be.greaterThan(100);
  });
});
