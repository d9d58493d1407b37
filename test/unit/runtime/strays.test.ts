import { expect } from "chai";
import { Strays } from "../../../src/runtime/ads/strays";

describe("connections without a stream", () => {
  let now = 0;
  let strays: Strays;
  beforeEach(() => {
    now = 1_000;
    strays = new Strays({ now: () => now }, { newConnectionMs: 10_000, lonelyMs: 5_000 });
  });
  const overdueAt = (at: number): readonly string[] => {
    now = at;
    return [...strays.overdue()];
  };

  it("are overdue ten seconds after they were let in", () => {
    strays.began("a:1");
    now = 2_000;
    strays.began("b:1");
    expect(overdueAt(10_999)).to.deep.equal([]);
    expect(overdueAt(11_000)).to.deep.equal(["a:1"]);
    expect(overdueAt(12_000)).to.deep.equal(["a:1", "b:1"]);
    strays.ended("a:1");
    expect(overdueAt(12_000)).to.deep.equal(["b:1"]);
  });

  it("are none while there is a stream, and overdue five seconds after the last", () => {
    strays.began("a:1");
    const ends = [strays.stream("a:1"), strays.stream("a:1")];
    expect(strays.isStray("a:1")).to.equal(false);
    expect(overdueAt(60_000)).to.deep.equal([]);
    ends[0]?.();
    // The end of a stream may be told twice.
    ends[0]?.();
    expect(overdueAt(70_000)).to.deep.equal([]);
    ends[1]?.();
    expect(strays.isStray("a:1")).to.equal(true);
    expect(overdueAt(74_999)).to.deep.equal([]);
    expect(overdueAt(75_000)).to.deep.equal(["a:1"]);
    strays.stream("a:1");
    expect(overdueAt(90_000)).to.deep.equal([]);
  });

  it("that are not known cost nothing", () => {
    strays.stream("a:1")();
    expect(strays.isStray("a:1")).to.equal(false);
    expect(overdueAt(90_000)).to.deep.equal([]);
  });

  it("do not keep what a connection of the same peer had before", () => {
    strays.began("a:1");
    const end = strays.stream("a:1");
    strays.ended("a:1");
    strays.began("a:1");
    strays.stream("a:1");
    end();
    expect(strays.isStray("a:1")).to.equal(false);
  });
});
