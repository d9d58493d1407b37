import { expect } from "chai";
import { KubeError } from "../../../src/runtime/kube";
import { Outage } from "../../../src/runtime/kube/outage";

const NOBODY = new Error("connect ECONNREFUSED");
const EARLY = new KubeError(503, "ServiceUnavailable", "before all known HTTP paths have been installed");
const GONE = new KubeError(410, "Expired", "Pod: 646 is too old to resume");

describe("the waits of an informer", () => {
  /** Without luck: the longest that each wait may be. */
  const start = (): Outage => new Outage(() => 1);

  it("grow while nobody answers, to a second", () => {
    const outage = start();
    const waits = Array.from({ length: 6 }, () => outage.waitAfter(NOBODY));
    expect(waits).to.deep.equal([100, 200, 400, 800, 1_000, 1_000]);
  });

  it("are counted by themselves where somebody answers, and a list comes at once where that is said", () => {
    const outage = start();
    for (let tries = 0; tries < 9; tries += 1) outage.waitAfter(NOBODY);
    expect(outage.waitAfter(EARLY)).to.equal(100);
    expect(outage.waitAfter(EARLY)).to.equal(200);
    expect(outage.waitAfter(GONE)).to.equal(0);
    expect(outage.waitAfter(GONE), "not twice in a row").to.equal(800);
    // One who answers now and then is no reason to knock faster.
    expect(outage.waitAfter(NOBODY)).to.equal(1_000);
    expect(outage.waitAfter(EARLY)).to.equal(1_600);
    expect(outage.waitAfter(EARLY)).to.equal(2_000);
    outage.over();
    expect(outage.waitAfter(NOBODY)).to.equal(100);
    expect(outage.waitAfter(GONE)).to.equal(0);
    expect(outage.waitAfter(EARLY)).to.equal(200);
  });

  it("count what a server has answered as an answer, though the fault was found here", () => {
    const outage = start();
    for (let tries = 0; tries < 9; tries += 1) outage.waitAfter(NOBODY);
    const waits = ["StaleList", "ShortWatch", "ShortWatch", "StaleList", "StaleList", "StaleList"].map(
      reason => outage.waitAfter(new KubeError(0, reason, "judged here")),
    );
    expect(waits).to.deep.equal([100, 200, 400, 800, 1_600, 2_000]);
    expect(outage.waitAfter(new KubeError(0, "Silent", "nobody spoke"))).to.equal(1_000);
  });

  it("are as long as a server asks for that has too much to do, not as one that starts guesses", () => {
    const outage = start();
    expect(outage.waitAfter(new KubeError(429, "TooManyRequests", "later", 3))).to.equal(3_500);
    outage.over();
    expect(outage.waitAfter(new KubeError(503, "ServiceUnavailable", "before all paths", 5))).to.equal(100);
  });
});
