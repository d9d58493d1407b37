import { expect } from "chai";
import { planOf, type Round, type Stage } from "../../chaos/plan";

const STAGE: Stage = { replicas: 3, sidecars: ["a", "b"] };

function rounds(seed: number, count: number): readonly Round[] {
  const plan = planOf(seed, STAGE);
  return Array.from({ length: count }, () => plan.next().value);
}

describe("plan of a chaos run", () => {
  it("is a function of the seed", () => {
    expect(rounds(7, 50)).to.deep.equal(rounds(7, 50));
    expect(rounds(7, 5)).to.not.deep.equal(rounds(8, 5));
  });

  it("begins the same, however long the run is", () => {
    expect(rounds(7, 50).slice(0, 10)).to.deep.equal(rounds(7, 10));
  });

  it("leaves no fault out for long", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const seen = new Set(
        rounds(seed, 40).flatMap(({ faults }) =>
          faults.map(({ fault }) =>
            fault.kind === "policy" ? fault.change : `${fault.kind} ${"how" in fault ? fault.how : ""}`,
          ),
        ),
      );
      expect(seen.size, `seed ${seed}: ${[...seen].join(", ")}`).to.equal(22);
    }
  });

  it("disturbs nothing twice at a time, nothing endlessly, and nothing that is not there", () => {
    for (const { faults } of rounds(11, 200)) {
      const kinds = faults.map(({ fault }) => (fault.kind === "policy" ? fault.change : fault.kind));
      expect(new Set(kinds).size).to.equal(kinds.length);
      for (const { atMs, fault } of faults) {
        expect(atMs).to.be.within(0, 1_500);
        if ("forMs" in fault) expect(fault.forMs).to.be.within(800, 4_000);
        if (fault.kind === "control-plane") expect(Math.max(...fault.replicas)).to.be.below(3);
        if (fault.kind === "sidecar") expect(STAGE.sidecars).to.include(fault.pod);
      }
    }
  });

  it("has a round in four that only writes, and that with a grant", () => {
    const calm = rounds(3, 40).filter((_, index) => index % 4 === 3);
    for (const { faults } of calm) {
      const kinds = faults.map(({ fault }) => (fault.kind === "policy" ? fault.change : fault.kind));
      expect(kinds).to.include("grant");
      expect(faults.every(({ fault }) => ["policy", "endpoint"].includes(fault.kind))).to.equal(true);
    }
  });
});
