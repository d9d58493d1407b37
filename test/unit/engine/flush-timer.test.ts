import { expect } from "chai";
import type { FlushTimer } from "../../../src/runtime/engine/flush-timer";
import { createFlushTimer } from "../../../src/runtime/engine/flush-timer";

/** A timer under hand: time moves only when a flush "takes" it or the test says so. */
function manual(): {
  timer: FlushTimer;
  state: { now: number; cost: number; flushes: number };
  soon: (() => void)[];
  later: { run: () => void; ms: number }[];
} {
  const state = { now: 1000, cost: 0, flushes: 0 };
  const soon: (() => void)[] = [];
  const later: { run: () => void; ms: number }[] = [];
  const timer = createFlushTimer({
    clock: {
      now: () => state.now,
      setTimeout: (run, ms) => {
        later.push({ run, ms });
        return { cancel: () => undefined };
      },
    },
    soon: run => soon.push(run),
    flush: () => {
      state.flushes++;
      state.now += state.cost;
    },
  });
  return { timer, state, soon, later };
}

describe("flush timer", () => {
  it("runs many requests of a turn as one flush at its end", () => {
    const { timer, state, soon } = manual();
    timer.request();
    timer.request();
    expect([state.flushes, soon.length]).to.deep.equal([0, 1]);
    soon[0]?.();
    expect(state.flushes).to.equal(1);
  });

  it("rests after a flush as long as it took, at most 50 ms", () => {
    const { timer, state, soon, later } = manual();
    for (const [cost, pause] of [
      [8, 8],
      [900, 50],
    ] as const) {
      state.cost = cost;
      timer.request();
      (soon.pop() ?? later.pop()?.run)?.();
      timer.request();
      expect(later.at(-1)?.ms).to.equal(pause);
      state.cost = 0;
      state.now += pause;
      later.pop()?.run();
    }
    timer.request();
    expect(soon, "no rest after a quick flush").to.have.length(1);
  });

  it("does not wait for a clock that jumped back", () => {
    const { timer, state, soon, later } = manual();
    state.cost = 20;
    timer.request();
    soon.pop()?.();
    state.now -= 3_600_000;
    timer.request();
    expect([soon.length, later.length]).to.deep.equal([1, 0]);
  });

  it("flushes at once when told, and not again for the same changes", () => {
    const { timer, state, soon } = manual();
    timer.flushNow();
    expect(state.flushes, "nothing was wanted").to.equal(0);
    timer.request();
    timer.flushNow();
    soon.pop()?.();
    expect(state.flushes).to.equal(1);
    timer.request();
    soon.pop()?.();
    expect(state.flushes).to.equal(2);
  });
});
