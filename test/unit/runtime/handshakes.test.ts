import { expect } from "chai";
import { Handshakes } from "../../../src/runtime/ads/handshakes";

describe("what connections are shown of the control plane's root", () => {
  let now = 0;
  let handshakes: Handshakes;
  beforeEach(() => {
    now = 1_000;
    handshakes = new Handshakes({ now: () => now, setTimeout: () => ({ cancel: () => undefined }) });
    handshakes.present("old", false);
  });

  it("is the root alone, whoever comes, as long as there is no other", () => {
    expect(handshakes.begin("a:1", "a")).to.equal("alone");
    handshakes.ended("a:1", 300);
    expect(handshakes.begin("a:2", "a"), "after one that ended early").to.equal("alone");
    expect([handshakes.rootOf("a:2"), handshakes.isStale("a:2")]).to.deep.equal(["old", false]);
  });

  it("is the new root alone, and stale where it was another", () => {
    handshakes.begin("a:1", "a");
    handshakes.present("new", true);
    expect([handshakes.rootOf("a:1"), handshakes.isStale("a:1")]).to.deep.equal(["old", true]);
    expect(handshakes.begin("a:2", "a")).to.equal("alone");
    expect([handshakes.rootOf("a:2"), handshakes.isStale("a:2")]).to.deep.equal(["new", false]);
    expect([handshakes.rootOf("gone:1"), handshakes.isStale("gone:1")]).to.deep.equal([null, false]);
  });

  it("is for a minute what the old root verifies too, where somebody did not follow; and proves nothing", () => {
    handshakes.present("new", true);
    handshakes.begin("a:1", "a");
    handshakes.ended("a:1", 300);
    expect(handshakes.begin("b:1", "b"), "others").to.equal("alone");
    expect(handshakes.begin("a:2", "a")).to.equal("crossed");
    handshakes.believed("a:2");
    expect([handshakes.rootOf("a:2"), handshakes.isStale("a:2")]).to.deep.equal([null, false]);
    now += 60_000;
    expect(handshakes.isStale("a:2"), "tried again").to.equal(true);
    expect(handshakes.begin("a:3", "a")).to.equal("alone");
  });

  it("goes on alone after a connection over which a call had come", () => {
    handshakes.present("new", true);
    handshakes.begin("a:1", "a");
    handshakes.believed("a:1");
    handshakes.ended("a:1", 300);
    expect(handshakes.begin("a:2", "a")).to.equal("alone");
  });

  it("asks who sent nothing, as a check of health does, for nothing less than before", () => {
    handshakes.present("new", true);
    handshakes.begin("a:1", "a");
    handshakes.ended("a:1", 0);
    expect(handshakes.begin("a:2", "a")).to.equal("alone");
  });

  it("forgets addresses that never come again, and the oldest where there are very many", () => {
    handshakes.present("new", true);
    const fail = (address: string): void => {
      handshakes.begin(`${address}:1`, address);
      handshakes.ended(`${address}:1`, 300);
    };
    for (let index = 0; index < 10_001; index += 1) fail(`early-${index}`);
    expect(handshakes.spared).to.equal(10_000);
    expect(handshakes.begin("early-0:2", "early-0"), "the oldest").to.equal("alone");
    now += 60_000;
    fail("late");
    expect(handshakes.spared).to.equal(1);
  });
});
