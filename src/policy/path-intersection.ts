/** What two path matches have in common, as far as a match can say it. */
import { pathMatches } from "./matching";
import type { HttpMatch } from "./types";

type Path = HttpMatch["path"];

/**
 * The paths that fit both; undefined: there are none, or no match says which (two patterns, a pattern and a prefix).
 * Whoever asks then leaves the rule as it is.
 */
export function commonPath(a: Path, b: Path): Path | undefined {
  if (a.kind === "any") return b;
  if (b.kind === "any") return a;
  if (a.kind === b.kind && a.value === b.value) return a;
  return within(a, b) ?? within(b, a);
}

/** The first path, where all that fits it fits the other as well. */
function within(inner: Path, outer: Path): Path | undefined {
  switch (inner.kind) {
    case "any":
    case "regex":
      return undefined;
    case "exact":
      return pathMatches(outer, inner.value) ? inner : undefined;
    case "prefix":
      return outer.kind === "prefix" && inner.value.startsWith(outer.value) ? inner : undefined;
  }
}

/** Matches held to a path as well. */
export function narrowed(matches: readonly HttpMatch[], path: Path): readonly HttpMatch[] {
  return matches.flatMap(match => {
    const common = commonPath(match.path, path);
    return common === undefined ? [] : [{ ...match, path: common }];
  });
}
