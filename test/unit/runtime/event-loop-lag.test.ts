import { expect } from "chai";
import { watchEventLoop, type EventLoopLag } from "../../../src/runtime/event-loop-lag";
import { waitFor } from "../../support/wait";

/** Milliseconds. */
const LONG_MS = 30_000;
const STANDS_MS = 300;

describe("the delay of the event loop", () => {
  let lag: EventLoopLag | undefined;
  afterEach(() => {
    lag?.stop();
    lag = undefined;
  });
  const standStill = (): void => {
    const end = performance.now() + STANDS_MS;
    while (performance.now() < end);
  };
  /** Both histograms have begun to look. */
  const watching = async (keptMs: number): Promise<EventLoopLag> => {
    const begun = (lag = watchEventLoop(keptMs));
    await waitFor("a first look", () => begun.quantile(1) > 0, LONG_MS);
    return begun;
  };

  it("is told to everybody who reads it, however often", async () => {
    const begun = await watching(LONG_MS);
    standStill();
    await waitFor("the delay", () => begun.quantile(1) > STANDS_MS / 2_000, LONG_MS);
    for (const reader of ["one", "another", "a third"])
      expect(begun.quantile(1), reader).to.be.greaterThan(STANDS_MS / 2_000);
    expect(begun.quantile(0.5)).to.be.lessThan(begun.quantile(1));
  });

  it("is not lost when somebody reads before it could be seen, as a scrape that was given up does", async () => {
    const begun = await watching(LONG_MS);
    const read: number[] = [];
    // What waited is answered in the same turn, before the timers.
    setImmediate(() => {
      standStill();
      read.push(begun.quantile(1));
    });
    await waitFor("the delay", () => read.length === 1 && begun.quantile(1) > STANDS_MS / 2_000, LONG_MS);
  });

  it("is forgotten after a while", async () => {
    const begun = await watching(50);
    standStill();
    // A machine under load may be as late again, and is not for ever.
    await waitFor("calm", () => begun.quantile(1) < STANDS_MS / 2_000, LONG_MS);
  });
});
