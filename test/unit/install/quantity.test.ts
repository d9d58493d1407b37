import { expect } from "chai";
import { canonicalQuantity } from "../../../src/install/quantity";

describe("a quantity as the API server stores it", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["1", "1"],
    ["1000m", "1"],
    ["1500m", "1500m"],
    ["1.5", "1500m"],
    ["0.5", "500m"],
    ["0.25", "250m"],
    ["0", "0"],
    ["2000", "2k"],
    ["1024Mi", "1Gi"],
    ["1.5Gi", "1536Mi"],
    ["256Mi", "256Mi"],
    ["0.5Ki", "512"],
    ["1000M", "1G"],
    ["128M", "128M"],
  ];
  for (const [written, kept] of cases)
    it(`${written} is ${kept}`, () => {
      expect(canonicalQuantity(written)).to.equal(kept);
      expect(canonicalQuantity(kept)).to.equal(kept);
    });

  it("is left alone where it is none, or finer than a thousandth", () => {
    for (const text of ["much", "1.0001", "-1", ""]) expect(canonicalQuantity(text)).to.equal(text);
  });
});
