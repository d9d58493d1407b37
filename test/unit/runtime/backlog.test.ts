import { expect } from "chai";
import { Backlog, BACKLOG_WAIT_MS } from "../../../src/runtime/ads/backlog";
import { TurnedClock } from "../../support/turned-clock";

describe("what is on its way to all proxies", () => {
  const start = () => {
    const clock = new TurnedClock();
    const turns: (() => void)[] = [];
    const backlog = new Backlog({ clock, limit: 100, later: run => turns.push(run) });
    const went: string[] = [];
    const wait = (who: string): void => {
      backlog.whenRoom(() => went.push(who));
    };
    const turn = (): readonly string[] => {
      for (const run of turns.splice(0)) run();
      return went.splice(0);
    };
    return { clock, backlog, wait, turn };
  };

  it("lets others wait while it is much, until enough of it is on the wire", () => {
    const { clock, backlog, wait, turn } = start();
    const first = backlog.wrote(60);
    expect(backlog.hasRoom).to.equal(true);
    const second = backlog.wrote(60);
    expect(backlog.hasRoom).to.equal(false);
    wait("others");
    expect(turn()).to.deep.equal([]);
    second();
    second();
    expect(backlog.hasRoom).to.equal(true);
    expect(turn()).to.deep.equal(["others"]);
    backlog.wrote(40);
    expect(backlog.hasRoom, "counted once").to.equal(false);
    first();
    expect(turn(), "nobody waits any more").to.deep.equal([]);
    expect(clock.pending).to.equal(0);
  });

  it("is waited for three seconds at most, also where a little goes out all the time", () => {
    const { clock, backlog, wait, turn } = start();
    backlog.wrote(500);
    wait("others");
    for (let passed = 0; passed < BACKLOG_WAIT_MS; passed += 100) {
      expect(turn()).to.deep.equal([]);
      backlog.wrote(1)();
      clock.pass(100);
    }
    expect(turn()).to.deep.equal(["others"]);
    expect(clock.pending).to.equal(0);
  });

  it("counts no more after that, however much of it nobody reads", () => {
    const { clock, backlog, wait, turn } = start();
    const deaf = backlog.wrote(1_000);
    wait("others");
    clock.pass(BACKLOG_WAIT_MS - 1);
    expect(turn()).to.deep.equal([]);
    clock.pass(1);
    expect(turn()).to.deep.equal(["others"]);
    // It counts no more, then or when it is read at last.
    const next = backlog.wrote(99);
    deaf();
    expect(backlog.hasRoom).to.equal(true);
    backlog.wrote(1);
    expect(backlog.hasRoom).to.equal(false);
    next();
    expect(backlog.hasRoom).to.equal(true);
  });

  it("has a turn of its own for who waits, also where there is room again by then", () => {
    const { backlog, wait, turn } = start();
    wait("at once");
    expect(turn()).to.deep.equal(["at once"]);
    backlog.wrote(100);
    wait("one");
    wait("the last one");
    backlog.wrote(1)();
    expect(turn()).to.deep.equal([]);
  });
});
