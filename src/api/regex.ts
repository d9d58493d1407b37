import { RE2JS } from "re2js";

/** Longest pattern, characters. */
export const MAX_REGEX_LENGTH = 1_024;

/**
 * Largest program of a pattern, as {@link programSize} counts. The sidecar takes up to 1,000 (its bootstrap says so); the
 * greatest difference seen between the two counts is a factor of 1.5.
 */
const MAX_PROGRAM = 600;

/**
 * Literals, escaped punctuation and dots, each at most once repeated: valid by its form, with a program no longer than twice
 * the pattern. Most patterns are of this form, and the engine takes a thousand times as long to say so.
 */
const PLAIN = /^\^?(?:(?:[A-Za-z0-9/_~:@!&=;,% .-]|\\[./+*?()|[\]{}^$\\-])[*+?]?)*\$?$/;
/** Longest pattern of that form that is surely within {@link MAX_PROGRAM}. */
const MAX_PLAIN_LENGTH = 280;

/**
 * Why a pattern cannot be used; undefined when it can. The judge is RE2 itself (its JavaScript form), less what Envoy's
 * RE2 reads otherwise: that one works on bytes, so there are no characters beyond ASCII and no Unicode classes.
 * The sentence follows the name of the field.
 */
export function regexFault(pattern: string): string | undefined {
  if (pattern.length > MAX_REGEX_LENGTH)
    return `must have at most ${MAX_REGEX_LENGTH} characters; it has ${pattern.length}`;
  if (pattern.length <= MAX_PLAIN_LENGTH && PLAIN.test(pattern)) return undefined;
  return beyondBytes(pattern) ?? programFault(pattern);
}

function beyondBytes(pattern: string): string | undefined {
  // A route is configuration that people read; a control character in it is a mistake.
  if (!/^[\t -~]*$/.test(pattern)) return "must have ASCII characters only";
  // An escaped backslash in front is passed over as a pair.
  for (const [escape] of pattern.matchAll(/\\(?:[pP](?:\{[^}]*\}|.)?|x\{[^}]*\}?|.)/g)) {
    if (/^\\[pP]/.test(escape)) return `must not use Unicode classes like ${escape}`;
    const [, digits] = /^\\x\{([^}]*)\}?$/.exec(escape) ?? [];
    if (digits !== undefined && Number.parseInt(digits, 16) > 0x7f)
      return `must have ASCII characters only, ${escape} is none`;
  }
  return undefined;
}

/** A repetition that never takes place. */
const NEVER = /\{0(?:,0)?\}/g;

function programFault(pattern: string): string | undefined {
  try {
    // A quotation without end would swallow what the mesh writes behind the pattern.
    const whole = pattern.includes("\\Q") ? `(?:${pattern})` : pattern;
    if (whole !== pattern) RE2JS.compile(pattern);
    // RE2 counts what repeats within `{0}` as well; its JavaScript form does not look there. Once counts like never.
    const once = whole.replaceAll(NEVER, "{1}");
    if (once !== whole) RE2JS.compile(once);
    const size = programSize(RE2JS.compile(whole));
    return size <= MAX_PROGRAM
      ? undefined
      : `is too large: its program has ${size} instructions, at most ${MAX_PROGRAM} are allowed`;
  } catch (error) {
    return `must be a regular expression of RE2 syntax: ${reasonOf(error)}`;
  }
}

/**
 * Instructions as Envoy's engine has them: one per range of bytes, where this one has one per class of characters. A dot
 * is two ranges, because a line break is none of it.
 */
function programSize(regex: RE2JS): number {
  const { inst } = (regex.re2Input as unknown as Compiled).prog;
  return inst.reduce((size, { runes }) => size + Math.max(1, byteRanges(runes ?? [])), 0);
}

/** What is read of the engine's inside; its version is pinned. */
interface Compiled {
  readonly prog: { readonly inst: readonly { readonly runes?: readonly number[] }[] };
}

/** Pairs of first and last code point, of which only the first 256 are bytes. */
function byteRanges(runes: readonly number[]): number {
  return runes.filter((rune, index) => index % 2 === 0 && rune <= 0xff).length;
}

/** The engine's own words, which quote the part that it stumbled over. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^error parsing regexp: /, "").slice(0, 120);
}

/** A pattern that texts are held against. */
export interface Regex {
  /** Whether the whole text matches, as Envoy compares. */
  matchesAll(text: string): boolean;
}

/** A usable pattern, compiled; undefined for one that {@link regexFault} refuses. */
export function compileRegex(pattern: string): Regex | undefined {
  if (regexFault(pattern) !== undefined) return undefined;
  const compiled = RE2JS.compile(pattern);
  return { matchesAll: text => compiled.testExact(text) };
}
