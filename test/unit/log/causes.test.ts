import { expect } from "chai";
import { Writable } from "node:stream";
import { systemClock } from "../../../src/runtime/clock";
import { createLog, type RootLog } from "../../../src/runtime/log";
import { CauseBound, LINES_A_SECOND, MAX_CAUSES } from "../../../src/runtime/log/causes";
import type { Clock } from "../../../src/runtime/ports";
import { TurnedClock } from "../../support/turned-clock";
import { verdict } from "../../support/verdict";

interface Printed {
  readonly level: string;
  readonly component: string;
  readonly message: string;
  readonly n?: number;
  readonly like?: string;
  readonly leftOut?: number;
}

function capture(clock: Pick<Clock, "now" | "setTimeout">): { log: RootLog; lines: Printed[] } {
  const lines: Printed[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(String(chunk)) as Printed);
      done();
    },
  });
  return { log: createLog({ level: "debug", clock, stream, component: "osm" }), lines };
}

/** Numbers of lines that were left out, by the cause they are told of. */
const toldOf = (lines: readonly Printed[]): readonly (readonly [string, number])[] =>
  lines.flatMap(({ like, leftOut }) => (leftOut === undefined ? [] : [[like ?? "?", leftOut] as const]));

const times = (count: number, act: (n: number) => void): void => {
  for (let n = 0; n < count; n += 1) act(n);
};

describe("lines a second of one cause (S-05)", () => {
  it("are printed as they come while they are few", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(10, () => {
      times(LINES_A_SECOND, n => {
        log.warn("refused", { n });
      });
      clock.pass(1_000);
    });
    const all = Array.from({ length: 10 * LINES_A_SECOND }, (_, index) => index % LINES_A_SECOND);
    expect(lines.map(({ n }) => n)).to.deep.equal(all);
    expect(clock.pending).to.equal(0);
  });

  it("are the first ones, and a line that says how many were left out when the second is over", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(10_000, n => {
      log.child("ads").warn("refused", { n });
    });
    expect(lines.map(({ n }) => n)).to.deep.equal([...Array(LINES_A_SECOND).keys()]);
    clock.pass(999);
    expect(lines).to.have.length(LINES_A_SECOND);
    clock.pass(1);
    expect(lines.at(-1)).to.deep.include({
      level: "warn",
      component: "ads",
      message: "lines like this were left out",
      like: "refused",
      leftOut: 10_000 - LINES_A_SECOND,
    });
    expect(clock.pending).to.equal(0);
  });

  it("do not grow in a flood without an end, and none is lost without a count", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    let said = 0;
    let most = 0;
    let before = 0;
    times(60_000, n => {
      log.error("failed", { n });
      said += 1;
      if (n % 1_000 !== 999) return;
      clock.pass(1_000);
      most = Math.max(most, lines.length - before);
      before = lines.length;
    });
    const leftOut = toldOf(lines).reduce((sum, [, count]) => sum + count, 0);
    const printed = lines.filter(({ message }) => message === "failed").length;
    const pass = printed + leftOut === said && most <= LINES_A_SECOND + 1;
    verdict("lines a second of one cause in a flood (S-05)", pass, {
      count: said,
      failed: said - printed - leftOut,
      leftOut,
      bound: `${LINES_A_SECOND} lines and one that counts; most seen ${most}`,
    });
    expect(pass).to.equal(true);
  });

  it("are counted apart by level, component and message, not by fields", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(LINES_A_SECOND + 10, n => {
      log.warn("one", { n });
      log.error("one", { n });
      log.warn("other", { n });
      log.child("ads").warn("one", { n });
    });
    expect(lines).to.have.length(4 * LINES_A_SECOND);
    clock.pass(1_000);
    const told = lines.slice(4 * LINES_A_SECOND);
    expect(told.map(({ level, component, like }) => `${level} ${component} ${like ?? ""}`)).to.deep.equal([
      "warn osm one",
      "error osm one",
      "warn osm other",
      "warn ads one",
    ]);
    expect(new Set(told.map(({ leftOut }) => leftOut))).to.deep.equal(new Set([10]));
  });

  it("are all printed at level debug", () => {
    const { log, lines } = capture(new TurnedClock());
    times(1_000, n => {
      log.debug("an ADS stream opened", { n });
    });
    expect(lines).to.have.length(1_000);
  });

  it("are told of before the next line of the cause where the timer is late", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(LINES_A_SECOND + 5, () => {
      log.warn("refused");
    });
    clock.jump(1_500);
    log.warn("refused", { n: 7 });
    expect(toldOf(lines)).to.deep.equal([["refused", 5]]);
    expect(lines.at(-1)?.n).to.equal(7);
    clock.pass(10_000);
    expect(toldOf(lines)).to.have.length(1);
    expect(clock.pending).to.equal(0);
  });

  it("begin anew when the clock is set back, and what was left out is told", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(LINES_A_SECOND + 5, () => {
      log.warn("refused");
    });
    clock.jump(-3_600_000);
    times(LINES_A_SECOND, () => {
      log.warn("refused");
    });
    expect(lines.filter(({ message }) => message === "refused")).to.have.length(2 * LINES_A_SECOND);
    expect(toldOf(lines)).to.deep.equal([["refused", 5]]);
  });

  it("are waited for again when a timer comes a moment before the wall clock's second is over", () => {
    const clock = new TurnedClock();
    const { log, lines } = capture(clock);
    times(LINES_A_SECOND + 1, () => {
      log.warn("refused");
    });
    clock.pass(500);
    clock.jump(-2);
    clock.pass(501);
    expect(toldOf(lines)).to.deep.equal([]);
    clock.pass(1);
    expect(toldOf(lines)).to.deep.equal([["refused", 1]]);
    expect(clock.pending).to.equal(0);
  });

  it("are bounded together where messages are made up, by level, in bounded memory", () => {
    const clock = new TurnedClock();
    const told: (readonly [string, string, number])[] = [];
    const bound = new CauseBound<"warn" | "error">({
      clock,
      leftOut: ({ severity, message }, count) => told.push([severity, message, count]),
    });
    let printed = 0;
    times(100_000, n => {
      if (bound.admits({ severity: "warn", component: "c", message: `made up ${n}` })) printed += 1;
    });
    expect(printed).to.equal(MAX_CAUSES + LINES_A_SECOND);
    expect(bound.size).to.equal(MAX_CAUSES + 1);
    expect(bound.admits({ severity: "error", component: "c", message: "matters" })).to.equal(true);
    clock.pass(1_000);
    expect(told).to.deep.equal([["warn", "other causes", 100_000 - MAX_CAUSES - LINES_A_SECOND]]);
    expect(bound.size).to.equal(0);
    expect(bound.admits({ severity: "warn", component: "c", message: "made up 1" })).to.equal(true);
    expect(bound.size).to.equal(1);
  });

  it("keep no process alive", () => {
    const running = (): number =>
      process.getActiveResourcesInfo().filter(resource => resource === "Timeout").length;
    const { log, lines } = capture(systemClock);
    const before = running();
    times(LINES_A_SECOND + 1, () => {
      log.warn("refused");
    });
    expect(lines).to.have.length(LINES_A_SECOND);
    expect(running()).to.equal(before);
  });
});
