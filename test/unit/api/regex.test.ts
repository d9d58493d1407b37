import { expect } from "chai";
import fc from "fast-check";
import { compileRegex, MAX_REGEX_LENGTH, regexFault } from "../../../src/api/regex";
import { randomPattern } from "../../support/random-pattern";

describe("regular expressions", () => {
  const good: readonly string[] = [
    "",
    "/",
    ".*",
    "/api/v1/.*",
    "^/books/[0-9]+$",
    "(?i)/BOOKS",
    "/a(?:b|c){2,3}?",
    "[[:alpha:]]+",
    String.raw`\d+\.\w*`,
    String.raw`\Q.*\E/x`,
    String.raw`\\p{Greek}`,
    String.raw`\x{41}`,
    "/a/".repeat(190),
    "(?:a{90}){0}b{0,100}[{0}]",
  ];
  for (const pattern of good) {
    it(`takes ${pattern.slice(0, 30)}`, () => {
      expect(regexFault(pattern)).to.equal(undefined);
    });
  }

  const bad: readonly (readonly [string, string])[] = [
    ["(?=a)", "must be a regular expression of RE2 syntax: invalid or unsupported Perl syntax"],
    ["(?<!a)b", "must be a regular expression of RE2 syntax"],
    [String.raw`(a)\1`, "must be a regular expression of RE2 syntax: invalid escape sequence"],
    ["a{1001}", "must be a regular expression of RE2 syntax: invalid repeat count"],
    ["((a{100}){100})", "must be a regular expression of RE2 syntax: invalid repeat count"],
    ["(?:(?:a{90}){0}){0,500}", "must be a regular expression of RE2 syntax: invalid repeat count"],
    ["K{90}(?s-i:-(?s){90}(?i){0,0}){0,500}", "must be a regular expression of RE2 syntax: invalid repeat"],
    ["a**", "must be a regular expression of RE2 syntax: invalid nested repetition"],
    ["[b-a]", "must be a regular expression of RE2 syntax: invalid character class range"],
    ["(a", "must be a regular expression of RE2 syntax: missing closing )"],
    ["a{1000}", "is too large: its program has 1002 instructions, at most 600 are allowed"],
    ["[^a-c]{400}", "is too large: its program has 802 instructions, at most 600 are allowed"],
    ["/caf\u00e9", "must have ASCII characters only"],
    ["a\nb", "must have ASCII characters only"],
    [String.raw`\pL`, String.raw`must not use Unicode classes like \pL`],
    [String.raw`\\\P{Greek}`, String.raw`must not use Unicode classes like \P{Greek}`],
    [String.raw`\x{10FFFF}`, String.raw`must have ASCII characters only, \x{10FFFF} is none`],
    [String.raw`\Qa`, "must be a regular expression of RE2 syntax: missing closing )"],
    ["a".repeat(MAX_REGEX_LENGTH + 1), "must have at most 1024 characters; it has 1025"],
  ];
  for (const [pattern, fault] of bad) {
    it(`refuses ${JSON.stringify(pattern.slice(0, 30))}`, () => {
      expect(regexFault(pattern) ?? "").to.satisfy(
        (text: string) => text.startsWith(fault),
        regexFault(pattern),
      );
      expect(compileRegex(pattern)).to.equal(undefined);
    });
  }

  it("compares whole texts", () => {
    const regex = compileRegex("/books|/shelves/[0-9]+");
    const outcomes = ["/books", "/books/1", "/shelves/12", "x/books"].map(text => regex?.matchesAll(text));
    expect(outcomes).to.deep.equal([true, false, true, false]);
  });

  it("judges any text within milliseconds, and by its form alone as the engine does", () => {
    let slowest = 0;
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 1_100 }), randomPattern()), pattern => {
        const start = performance.now();
        const fault = regexFault(pattern);
        slowest = Math.max(slowest, performance.now() - start);
        // A group around it keeps the fast path away.
        if (pattern.length < 200 && !pattern.includes("\\Q"))
          expect(regexFault(`(?:${pattern})`) === undefined, pattern).to.equal(fault === undefined);
      }),
      { numRuns: 2_000 },
    );
    expect(slowest).to.be.lessThan(5_000);
  });
});
