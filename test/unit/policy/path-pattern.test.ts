import { expect } from "chai";
import { headerMatch, pathMatch } from "../../../src/policy/path-pattern";
import type { HttpMatch } from "../../../src/policy/types";

type Path = HttpMatch["path"];
const ANY: Path = { kind: "any" };
const prefix = (value: string): Path => ({ kind: "prefix", value });
const exact = (value: string): Path => ({ kind: "exact", value });
const regex = (value: string): Path => ({ kind: "regex", value });

// That each means the same as its expression is shown by test/property/path-pattern.test.ts; here is which are made plain.
describe("a path pattern as a match", () => {
  const rows: readonly (readonly [string | undefined, Path, Path])[] = [
    [undefined, ANY, ANY],
    ["", ANY, regex("(?:)")],
    ["^", ANY, regex("^")],
    ["$", regex("(?:$).*"), regex("$")],
    [".*", ANY, ANY],
    ["/", ANY, exact("/")],
    ["/.*", ANY, ANY],
    ["/.*$", ANY, ANY],
    ["/books", prefix("/books"), exact("/books")],
    ["^/books", prefix("/books"), exact("/books")],
    ["/books$", exact("/books"), exact("/books")],
    ["^/books$", exact("/books"), exact("/books")],
    ["/books.*", prefix("/books"), prefix("/books")],
    ["/books.*$", prefix("/books"), prefix("/books")],
    ["/a\\.b", prefix("/a.b"), exact("/a.b")],
    ["/a\\/b\\-c\\~", prefix("/a/b-c~"), exact("/a/b-c~")],
    ["/a\\\\", prefix("/a\\"), exact("/a\\")],
    ["/a\\$", prefix("/a$"), exact("/a$")],
    ["/a\\\\$", exact("/a\\"), exact("/a\\")],
    ["/a\\.*", regex("(?:/a\\.*).*"), regex("/a\\.*")],
    ["/a\\\\.*", prefix("/a\\"), prefix("/a\\")],
    ["/a\\d", regex("(?:/a\\d).*"), regex("/a\\d")],
    ["/a\\0", regex("(?:/a\\0).*"), regex("/a\\0")],
    ["/a\\Qb", regex("(?:/a\\Qb).*"), regex("/a\\Qb")],
    ["/a\\_", prefix("/a_"), exact("/a_")],
    ["/a b", regex("(?:/a b).*"), regex("/a b")],
    ["/ä", regex("(?:/ä).*"), regex("/ä")],
    ["/~!", prefix("/~!"), exact("/~!")],
    ["/a|/b", regex("(?:/a|/b).*"), regex("/a|/b")],
  ];
  for (const [written, begins, whole] of rows) {
    it(`of ${written ?? "nothing"}`, () => {
      expect(pathMatch(written, "Prefix"), "as a beginning").to.deep.equal(begins);
      expect(pathMatch(written, "Full"), "as the whole").to.deep.equal(whole);
    });
  }

  it("stays an expression for each character that has a meaning", () => {
    for (const character of [".", "+", "*", "?", "(", ")", "|", "[", "]", "{", "}", "^", "$"]) {
      const written = `/a${character}b`;
      expect(pathMatch(written, "Full"), character).to.deep.equal(regex(written));
    }
  });
});

describe("a header pattern as a match", () => {
  it("is the whole value, plain where it has no operator and is not empty", () => {
    expect(headerMatch("x", "chief")).to.deep.equal({ name: "x", kind: "exact", value: "chief" });
    expect(headerMatch("x", "a\\.b")).to.deep.equal({ name: "x", kind: "exact", value: "a.b" });
    expect(headerMatch("x", "a.b")).to.deep.equal({ name: "x", kind: "regex", value: "a.b" });
    expect(headerMatch("x", "")).to.deep.equal({ name: "x", kind: "regex", value: "" });
  });
});
