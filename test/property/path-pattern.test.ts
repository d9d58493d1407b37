import { expect } from "chai";
import fc from "fast-check";
import { compileRegex } from "../../src/api/regex";
import { matches } from "../../src/policy/matching";
import { headerMatch, pathMatch } from "../../src/policy/path-pattern";

const scale = Number(process.env["OSM_TEST_RUNS"] ?? "1");

const piece = fc.constantFrom(
  ..."/ /a /b a ab . \\. .* .+ \\.* \\\\ \\\\.* ^ $ \\$ \\^ a? a* b+ [ab] [^/]* (a|b) | (?i)a \\d \\- \\/ - _ ~ %41 {2} a{2} \\Qa.\\E \\bx (?:/a)".split(
    " ",
  ),
);
const pattern = fc
  .tuple(
    fc.constantFrom("", "^", "/", "^/"),
    fc.array(piece, { maxLength: 5 }),
    fc.constantFrom("", "$", ".*", ".*$"),
  )
  .map(([front, middle, back]) => `${front}${middle.join("")}${back}`);
const path = fc
  .array(fc.constantFrom("/", "a", "b", ".", "\\", "$", "^", "x", "-", "1", "A", "%41", ".*"), {
    maxLength: 7,
  })
  .map(parts => `/${parts.join("")}`);

const request = (given: string) => ({ method: "GET", path: given, headers: {} });

describe("path patterns", () => {
  for (const reading of ["Prefix", "Full"] as const) {
    it(`mean as a match what they mean as an expression, read as ${reading}`, () => {
      let simple = 0;
      let fits = 0;
      fc.assert(
        fc.property(pattern, path, (written, given) => {
          const whole = compileRegex(reading === "Full" ? written : `(?:${written}).*`);
          fc.pre(whole !== undefined && compileRegex(written) !== undefined);
          const match = pathMatch(written, reading);
          if (match.kind !== "regex") simple++;
          const wanted = whole.matchesAll(given);
          if (wanted) fits++;
          expect(matches({ path: match, methods: [], headers: [] }, request(given)), written).to.equal(
            wanted,
          );
        }),
        {
          numRuns: 8_000 * scale,
          examples: [
            ["", "/a"],
            ["^", "/a"],
            [".*", "/"],
            ["/", "/x"],
            ["/a\\.*", "/a."],
            ["/a\\\\.*", "/a\\b"],
            ["/a$", "/ab"],
            ["/a\\$", "/a$"],
            ["/a|/b$", "/bx"],
            ["^/a|b", "/ab"],
          ],
        },
      );
      expect(simple, "patterns without an expression").to.be.greaterThan(500 * scale);
      expect(fits, "paths that fit").to.be.greaterThan(500 * scale);
    }).timeout(60_000 * Math.max(1, scale));
  }

  it("of headers mean the whole value", () => {
    fc.assert(
      fc.property(pattern, path, (written, value) => {
        const whole = compileRegex(written);
        fc.pre(whole !== undefined && written !== "");
        const match = headerMatch("x", written);
        expect(
          matches(
            { path: { kind: "any" }, methods: [], headers: [match] },
            { ...request("/"), headers: { x: value } },
          ),
        ).to.equal(whole.matchesAll(value));
      }),
      { numRuns: 5_000 * scale },
    );
  }).timeout(60_000 * Math.max(1, scale));

  it("become a prefix or a path where they say no more", () => {
    const rows = [
      [undefined, { kind: "any" }, { kind: "any" }],
      [".*", { kind: "any" }, { kind: "any" }],
      ["/", { kind: "any" }, { kind: "exact", value: "/" }],
      ["/books", { kind: "prefix", value: "/books" }, { kind: "exact", value: "/books" }],
      ["^/v1\\.0/.*", { kind: "prefix", value: "/v1.0/" }, { kind: "prefix", value: "/v1.0/" }],
      ["/books$", { kind: "exact", value: "/books" }, { kind: "exact", value: "/books" }],
      ["/b[ou]y", { kind: "regex", value: "(?:/b[ou]y).*" }, { kind: "regex", value: "/b[ou]y" }],
      ["", { kind: "any" }, { kind: "regex", value: "(?:)" }],
    ] as const;
    for (const [written, prefix, full] of rows) {
      expect(pathMatch(written, "Prefix"), written).to.deep.equal(prefix);
      expect(pathMatch(written, "Full"), written).to.deep.equal(full);
    }
  });
});
