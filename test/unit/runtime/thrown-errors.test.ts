import { expect } from "chai";
import { verdict } from "../../support/verdict";
import { COMPILING } from "./thrown/compiling";
import { CERTIFICATES } from "./thrown/certificates";
import { INPUTS } from "./thrown/inputs";
import { OUTPUTS } from "./thrown/outputs";
import { STREAMS } from "./thrown/streams";
import { gathering, THROWN } from "./thrown/place";

const PLACES = [...INPUTS, ...COMPILING, ...STREAMS, ...CERTIFICATES, ...OUTPUTS];

describe("an error thrown by a single part of the control plane", () => {
  let held = 0;
  for (const { name, told, look } of PLACES) {
    it(`costs that alone, and is told: ${name}`, async () => {
      const lines: string[] = [];
      await look(gathering(lines));
      const own = lines.filter(line => line.includes(THROWN));
      expect(own, "the log").to.have.length.above(0);
      expect(own.join("\n")).to.contain(told);
      held += 1;
    });
  }

  after(() => {
    const figures = { count: PLACES.length, failed: PLACES.length - held, bound: "50 named places" };
    verdict("R-24: one error, everything else goes on", held === PLACES.length && held >= 50, figures);
  });
});
