import fc from "fast-check";

/** Parts that are right by themselves. */
const COMMON = String.raw`a b z K s / 0 9 - _ ~ % = . ^ $ \. \/ \d \W \s \b \B \A \z \x41 \x{41} \x7f \07 |
  [abc] [^a-f0-9] []a] [[:alpha:]] [[:^digit:]] [\d-z] [^\W] (?i) (?s) (?U) (?:) ()`.split(/\s+/);

/** Parts that engines differ about, and wrong ones. */
const ODD = [
  ...String.raw`\- \Z \G \C \R \a \f \v \0 \1 \8 \x{e9} \x{10FFFF} \x4 \u0041 \pL \p{Greek} \P{^Lu} \pZ \p{ \X \K
  \e \cA \ \Qa.\E \Q* \E [^]a] [z-a] [[:foo:]] [a-\d] [\pL] [\Q]\E] [ ] [] [^] [a&&b] [\b] { } {,3} || ( )
  (?-i) (?m) (?x) (?i-s) (?) (?>a) (?#c) (?P=n) (?P>n) (?=a) (?!a) (?<=a) (?<!a) (?<n>a) (?P<n>a) (?P<m>b)
  (?'n'a) (?1) (?R) (*VERB)`.split(/\s+/),
  ...["\u00e9", "\u20ac", "\u{1f600}", "\t", "\n", "\u0000", "\u007f", "\u0130", " "],
];

const USUAL_REPEATS = ["", "", "", "", "", "", "", "*", "+", "?", "*?", "{3}", "{1,9}", "{0,500}", "{90}"];
const ODD_REPEATS =
  `** +* *+ ++ ?+ {0} {2,} {,2} {3,1} {100} {1000} {1001} {99999999999} {2}? {2}{3} {-1} {a} {33}`.split(" ");

const GROUPS: readonly (readonly [string, string])[] = [
  ["(", ")"],
  ["(?:", ")"],
  ["(?i:", ")"],
  ["(?s-i:", ")"],
  ["(?P<g>", ")"],
  ["(?<h>", ")"],
  ["(?:a|", ")"],
  ["[^", "]"],
];

const repeat = fc.oneof(
  { arbitrary: fc.constantFrom(...USUAL_REPEATS), weight: 30 },
  { arbitrary: fc.constantFrom(...ODD_REPEATS), weight: 1 },
);

/** Patterns as nobody writes them: well formed or not, small or huge, of this syntax or another's. */
export function randomPattern(): fc.Arbitrary<string> {
  const { pattern } = fc.letrec<{ pattern: string; part: string; group: string }>(tie => ({
    pattern: fc.array(tie("part"), { maxLength: 8 }).map(parts => parts.join("")),
    part: fc
      .tuple(
        fc.oneof(
          { maxDepth: 4 },
          { arbitrary: fc.constantFrom(...COMMON), weight: 40 },
          { arbitrary: fc.constantFrom(...ODD), weight: 2 },
          { arbitrary: tie("group"), weight: 8 },
        ),
        repeat,
      )
      .map(([atom, quantifier]) => atom + quantifier),
    group: fc
      .tuple(fc.constantFrom(...GROUPS), fc.array(tie("part"), { maxLength: 4 }))
      .map(([[open, close], parts]) => open + parts.join("") + close),
  }));
  return pattern;
}
