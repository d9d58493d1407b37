import { expect } from "chai";
import { pathMatches } from "../../../src/policy/matching";
import { commonPath, narrowed } from "../../../src/policy/path-intersection";
import type { HttpMatch } from "../../../src/policy/types";

type Path = HttpMatch["path"];

const ANY: Path = { kind: "any" };
const prefix = (value: string): Path => ({ kind: "prefix", value });
const exact = (value: string): Path => ({ kind: "exact", value });
const regex = (value: string): Path => ({ kind: "regex", value });

describe("what two path matches have in common", () => {
  const rows: readonly (readonly [string, Path, Path, Path | undefined])[] = [
    ["everything and everything", ANY, ANY, ANY],
    ["everything and a prefix", ANY, prefix("/a"), prefix("/a")],
    ["everything and a path", ANY, exact("/a"), exact("/a")],
    ["everything and a pattern", ANY, regex("/a.*"), regex("/a.*")],
    ["a prefix and itself", prefix("/a"), prefix("/a"), prefix("/a")],
    ["a prefix and a longer one", prefix("/a"), prefix("/a/b"), prefix("/a/b")],
    ["two prefixes apart", prefix("/a"), prefix("/b"), undefined],
    ["prefixes that end alike", prefix("/a"), prefix("/b/a"), undefined],
    ["a path and a prefix of it", exact("/a/b"), prefix("/a"), exact("/a/b")],
    ["a path and a prefix that goes on", exact("/a"), prefix("/a/b"), undefined],
    ["a path and another", exact("/a"), exact("/b"), undefined],
    ["a path and itself", exact("/a"), exact("/a"), exact("/a")],
    ["a path and the prefix of the same text", exact("/a"), prefix("/a"), exact("/a")],
    ["a path and a pattern that it fits", exact("/a/1"), regex("/a/[0-9]"), exact("/a/1")],
    ["a path and a pattern that it does not fit", exact("/a/x"), regex("/a/[0-9]"), undefined],
    ["a pattern and itself", regex("/[ab]"), regex("/[ab]"), regex("/[ab]")],
    ["two patterns, which no match says", regex("/[ab]"), regex("/[bc]"), undefined],
    ["a pattern and a prefix, which no match says", regex("/a.*"), prefix("/a"), undefined],
    ["a pattern and the path of the same text", regex("/a"), exact("/a"), exact("/a")],
    ["a prefix and a pattern of the same text", prefix("/a"), regex("/a"), undefined],
  ];
  for (const [what, a, b, common] of rows) {
    it(what, () => {
      expect(commonPath(a, b)).to.deep.equal(common);
      expect(commonPath(b, a), "the other way round").to.deep.equal(common);
    });
  }

  it("is what fits both, where it is said at all", () => {
    const texts = ["/", "/a", "/a/b", "/a/1", "/b", "/b/a", "/ab"];
    const paths = [ANY, ...texts.flatMap(text => [prefix(text), exact(text), regex(`${text}[ab1]?`)])];
    for (const a of paths) {
      for (const b of paths) {
        const common = commonPath(a, b);
        if (common === undefined) continue;
        for (const text of texts) {
          const both = pathMatches(a, text) && pathMatches(b, text);
          expect(pathMatches(common, text), JSON.stringify([a, b, text])).to.equal(both);
        }
      }
    }
  });
});

describe("matches held to a path", () => {
  const match = (path: Path): HttpMatch => ({ path, methods: ["GET"], headers: [] });

  it("keep the rest of what they say, and are gone where nothing is left", () => {
    const matches = [match(ANY), match(prefix("/a/b")), match(prefix("/c"))];
    expect(narrowed(matches, prefix("/a"))).to.deep.equal([match(prefix("/a")), match(prefix("/a/b"))]);
    expect(narrowed([], ANY)).to.deep.equal([]);
  });
});
