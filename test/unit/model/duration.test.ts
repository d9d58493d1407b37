import { expect } from "chai";
import fc from "fast-check";
import { Duration } from "../../../src/envoy/api/generated/google/protobuf/duration";
import { milliseconds } from "../../../src/envoy/duration";
import { LONGEST_DURATION_MS, parseDuration } from "../../../src/model/duration";
import { aDuration } from "../../support/random-terms";

describe("durations", () => {
  const rows: readonly (readonly [string, number | undefined, string | undefined])[] = [
    ["0", 0, "0s+0ns"],
    ["1.001s", 1_001, "1s+1000000ns"],
    ["2.01s", 2_010, "2s+10000000ns"],
    ["1h30m", 5_400_000, "5400s+0ns"],
    ["4.1h", 14_760_000, "14760s+0ns"],
    ["9us", 0.009, "0s+9000ns"],
    ["0.5ns", 5e-7, "0s+1ns"],
    ["2562047h", LONGEST_DURATION_MS, "9223369200s+0ns"],
    ["2562047h1s", undefined, undefined],
    ["9999999h", undefined, undefined],
    ["-1s", undefined, undefined],
    ["1", undefined, undefined],
    ["1s ", undefined, undefined],
    ["", undefined, undefined],
  ];
  for (const [text, ms, made] of rows)
    it(`${JSON.stringify(text)} is ${ms === undefined ? "none" : (made ?? "")}`, () => {
      const parsed = parseDuration(text);
      if (ms === undefined) expect(parsed).to.equal(undefined);
      else {
        expect(parsed).to.be.closeTo(ms, 1e-6);
        const { seconds, nanos } = milliseconds(parsed ?? NaN);
        expect(`${seconds}s+${nanos}ns`).to.equal(made);
      }
    });

  it("can all be encoded, and are what was written to the nanosecond", () => {
    fc.assert(
      fc.property(aDuration, text => {
        const ms = parseDuration(text);
        if (ms === undefined) return;
        const made = milliseconds(ms);
        expect(() => Duration.encode(made).finish(), text).not.to.throw();
        const { seconds = NaN, nanos = NaN } = made;
        expect(nanos).to.be.within(0, 999_999_999);
        expect(seconds * 1_000 + nanos / 1e6).to.be.closeTo(ms, Math.max(1e-6, ms * 1e-15));
      }),
      { numRuns: 5_000 },
    );
    for (let tenths = 1; tenths < 20_000; tenths += 1)
      for (const unit of ["ms", "s", "m", "h"])
        Duration.encode(milliseconds(parseDuration(`${tenths / 10}${unit}`) ?? NaN)).finish();
  });

  it("are the longest where what is made of them is longer", () => {
    expect(milliseconds(10 * LONGEST_DURATION_MS)).to.deep.equal({ seconds: 9_223_369_200, nanos: 0 });
  });
});
