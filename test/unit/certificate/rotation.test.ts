import { expect } from "chai";
import { dueTime, jitterOf, planRotation } from "../../../src/certificate/rotation";

const DAY = 86_400_000;
const leaves = (count: number, issuedAt = 0, life = DAY) =>
  Array.from({ length: count }, (_, i) => ({
    seed: `shop/sa${i} ${i}`,
    issuedAt,
    notAfter: issuedAt + life,
  }));

describe("rotation of certificates", () => {
  it("is due at half the life or up to a tenth before, the same on every replica", () => {
    const shares = leaves(2_000).map(leaf => dueTime(leaf) / DAY);
    expect(Math.min(...shares)).to.be.within(0.4, 0.402);
    expect(Math.max(...shares)).to.be.within(0.498, 0.5);
    expect(shares).to.deep.equal(leaves(2_000).map(leaf => dueTime(leaf) / DAY));
  });

  it("spreads evenly what was issued in the same moment", () => {
    const tenths = new Array<number>(10).fill(0);
    for (const { seed } of leaves(10_000)) {
      const tenth = Math.floor(jitterOf(seed) * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(count).to.be.within(850, 1_150);
  });

  it("leaves a leaf of a minute alive through 25 s without a control plane and 3 s of reconnecting, whenever they begin", () => {
    for (const leaf of leaves(1_000, 0, 60_000)) expect(dueTime(leaf) + 25_000 + 3_000).to.be.below(60_000);
  });

  it("leaves at least a quarter of the life also with lives of a minute", () => {
    for (const leaf of leaves(1_000, 0, 60_000)) {
      expect(60_000 - planRotation(0, leaf)).to.be.above(60_000 * 0.25);
    }
  });

  it("makes no storm after the clock has jumped while there is time", () => {
    const now = DAY * 0.6;
    const times = leaves(1_000).map(leaf => planRotation(now, leaf) - now);
    expect(Math.max(...times)).to.be.within(55_000, 60_000);
    expect(times.filter(time => time < 6_000).length).to.be.below(150);
  });

  it("renews at once what has less than a quarter of its life or has expired", () => {
    for (const leaf of leaves(100)) {
      expect(planRotation(DAY * 0.8, leaf)).to.equal(DAY * 0.8);
      expect(planRotation(DAY * 5, leaf)).to.equal(DAY * 5);
    }
  });
});
