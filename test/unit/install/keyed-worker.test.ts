import { expect } from "chai";
import { systemClock } from "../../../src/runtime/clock";
import { KeyedWorker } from "../../../src/runtime/control-plane/keyed-worker";
import { watchedLog } from "../../support/told-errors";
import { waitFor } from "../../support/wait";

interface Gate {
  readonly open: () => void;
  readonly passed: Promise<void>;
}

function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>(resolve => (open = resolve));
  return { open, passed };
}

const worker = (work: (key: string) => Promise<void>, parallel = 4): KeyedWorker =>
  new KeyedWorker({ clock: systemClock, random: () => 0, log: watchedLog, work, parallel });

describe("work by key", () => {
  it("runs a key once more when it was asked for meanwhile, however often", async () => {
    const first = gate();
    let runs = 0;
    const w = worker(async () => {
      runs += 1;
      if (runs === 1) await first.passed;
    });
    for (let i = 0; i < 100; i += 1) w.enqueue("a");
    first.open();
    await waitFor("rest", () => w.pending === 0);
    expect(runs).to.equal(2);
  });

  it("never runs a key twice at the same time, and several keys side by side", async () => {
    const running = new Map<string, number>();
    let most = 0;
    const w = worker(async key => {
      const count = (running.get(key) ?? 0) + 1;
      running.set(key, count);
      expect(count).to.equal(1);
      most = Math.max(
        most,
        [...running.values()].reduce((sum, n) => sum + n, 0),
      );
      await new Promise(resolve => setImmediate(resolve));
      running.set(key, 0);
    }, 3);
    for (let i = 0; i < 50; i += 1) for (const key of ["a", "b", "c", "d", "e"]) w.enqueue(key);
    await waitFor("rest", () => w.pending === 0);
    expect(most).to.equal(3);
  });

  it("tries a failure again until it succeeds, and others are not held up by it", async () => {
    let failures = 0;
    const done: string[] = [];
    const w = worker(key => {
      if (key === "bad" && failures < 3) {
        failures += 1;
        return Promise.reject(new Error("not yet"));
      }
      done.push(key);
      return Promise.resolve();
    }, 1);
    w.enqueue("bad");
    w.enqueue("good");
    await waitFor("rest", () => w.pending === 0);
    expect(done).to.deep.equal(["good", "bad"]);
  });

  it("starts nothing after it was stopped", async () => {
    let runs = 0;
    const w = worker(() => {
      runs += 1;
      return Promise.reject(new Error("always"));
    });
    w.enqueue("a");
    await waitFor("the first run", () => runs === 1);
    w.stop();
    w.enqueue("a");
    expect(w.pending).to.equal(0);
    expect(runs).to.equal(1);
  });
});
