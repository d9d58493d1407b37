import { expect } from "chai";
import { PLACES as COUNTED, type Place } from "../../../src/runtime/contained";
import { verdict } from "../../support/verdict";
import { COMPILING } from "./thrown/compiling";
import { CERTIFICATES } from "./thrown/certificates";
import { INPUTS } from "./thrown/inputs";
import { OUTPUTS } from "./thrown/outputs";
import { STREAMS } from "./thrown/streams";
import { gathering, THROWN } from "./thrown/place";

const PLACES = [...INPUTS, ...COMPILING, ...STREAMS, ...CERTIFICATES, ...OUTPUTS];

/** What is counted there is thrown by no collaborator that a test could give: only what is around them is shown here. */
const ELSEWHERE: readonly Place[] = [
  "answer of the read-only API",
  "sweep of a stream",
  "the rotation has moved",
];

describe("an error thrown by a single part of the control plane", () => {
  let held = 0;
  const counted = new Set<string>();
  for (const { name, told, look } of PLACES) {
    it(`costs that alone, and is told: ${name}`, async () => {
      const lines: string[] = [];
      await look(gathering(lines, counted));
      const own = lines.filter(line => line.includes(THROWN));
      expect(own, "the log").to.have.length.above(0);
      expect(own.join("\n")).to.contain(told);
      held += 1;
    });
  }

  it("is counted, by each place that the metric has", () => {
    expect([...counted, ...ELSEWHERE]).to.have.members(COUNTED);
  });

  after(() => {
    const figures = { count: PLACES.length, failed: PLACES.length - held, bound: "50 named places" };
    verdict("R-24: one error, everything else goes on", held === PLACES.length && held >= 50, figures);
  });
});
