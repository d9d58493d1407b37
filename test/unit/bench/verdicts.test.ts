import { expect } from "chai";
import { worsened } from "../../bench/baseline";
import { missed } from "../../bench/print";
import { exponent, median } from "../../bench/report";
import type { Row } from "../../bench/run";

const COST = {
  firstMs: 1,
  lastMs: 30,
  cpuSeconds: 0.01,
  bytes: 24 * 1024,
  responses: 25,
  told: 25,
  concerned: 25,
};

function row(cost: Partial<typeof COST>): Row {
  const change = () => ({ conditions: [], concerned: 0, write: () => Promise.resolve() });
  const cell = { key: "k", title: "t", change, goal: { ms: 30, cpu: 0.01, kib: 24 } };
  return {
    key: "k",
    title: "t",
    mode: "rules",
    proxies: 500,
    services: 100,
    median: { ...COST, ...cost },
    rounds: [],
    cell,
  };
}

describe("verdicts of the benchmark", () => {
  it("meets a goal at the goal itself and names what is beyond it", () => {
    expect(missed(row({}))).to.deep.equal([]);
    expect(missed(row({ lastMs: 31, bytes: 25 * 1024 }))).to.deep.equal(["time", "bytes"]);
    expect(missed(row({ cpuSeconds: 0.011 }))).to.deep.equal(["CPU"]);
  });

  it("fails on what has become worse by more than the tolerance, not on what is small or new", () => {
    const before = { a: { cpu: 1, kib: 300 }, tiny: { cpu: 0.05, kib: 4 } };
    expect(worsened({ a: { cpu: 1.4, kib: 320 } }, before)).to.deep.equal([]);
    expect(worsened({ a: { cpu: 1.6, kib: 340 } }, before)).to.have.length(2);
    expect(worsened({ tiny: { cpu: 0.15, kib: 9 } }, before)).to.deep.equal([]);
    expect(worsened({ fresh: { cpu: 9, kib: 9 } }, before)).to.deep.equal([]);
  });

  it("tells growth by its exponent and takes the middle of repetitions", () => {
    expect(
      exponent([
        [50, 2],
        [500, 20],
      ]),
    ).to.be.closeTo(1, 1e-9);
    expect(
      exponent([
        [50, 3],
        [200, 3],
        [500, 3],
      ]),
    ).to.be.closeTo(0, 1e-9);
    expect(median([5, 1, 3])).to.equal(3);
    expect(median([4, 2])).to.equal(3);
  });
});
