/**
 * Path patterns of SMI as matches. A pattern is RE2 over the path without its query; the mesh says whether it must fit the
 * beginning of a path (SMI: "anchored at the beginning", the default) or all of it (OSM's reading). Patterns that say no
 * more than a plain prefix or a plain path become that: cheaper, and readable in what people look at.
 */
import type { HeaderMatch, HttpMatch } from "./types";

/** How much of a path a pattern must fit. */
export type PathReading = "Prefix" | "Full";

/** Characters with a meaning in a pattern. */
const SPECIAL = /[\\.+*?()|[\]{}^$]/;
/** Printable ASCII: what a path consists of after normalisation, and what every engine reads the same way. */
const PLAIN = /^[\x21-\x7e]*$/;

/** The text that a pattern without any operator stands for; undefined when it has one. */
function literalOf(pattern: string): string | undefined {
  let text = "";
  for (let i = 0; i < pattern.length; i++) {
    let character = pattern.charAt(i);
    if (character === "\\") {
      i++;
      character = pattern.charAt(i);
      // Only an escaped punctuation character stands for itself in RE2.
      if (!/^[!-/:-@[-`{-~]$/.test(character)) return undefined;
    } else if (SPECIAL.test(character)) {
      return undefined;
    }
    text += character;
  }
  return PLAIN.test(text) ? text : undefined;
}

/** A pattern without anchors and without a last `.*`, and what those said. */
function partsOf(pattern: string): {
  readonly body: string;
  readonly open: boolean;
  readonly closed: boolean;
} {
  let body = pattern.startsWith("^") ? pattern.slice(1) : pattern;
  const closed = body.endsWith("$") && !endsEscaped(body.slice(0, -1));
  if (closed) body = body.slice(0, -1);
  const open = body.endsWith(".*") && !endsEscaped(body.slice(0, -2));
  if (open) body = body.slice(0, -2);
  return { body, open, closed };
}

/** An odd number of backslashes at the end escapes what follows. */
function endsEscaped(text: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*\\$/.test(text);
}

/**
 * The match of a path pattern (undefined: any path). Equal in meaning to the pattern for every path, which begins with `/`
 * and has no line break.
 */
export function pathMatch(pattern: string | undefined, reading: PathReading): HttpMatch["path"] {
  if (pattern === undefined) return { kind: "any" };
  const { body, open, closed } = partsOf(pattern);
  const literal = literalOf(body);
  if (literal !== undefined) {
    if (open || (reading === "Prefix" && !closed)) return beginningWith(literal);
    // No path is empty, and a proxy takes no exact match of nothing.
    if (literal !== "") return { kind: "exact", value: literal };
  }
  // An empty expression is no expression to a proxy.
  if (reading === "Full") return { kind: "regex", value: pattern === "" ? "(?:)" : pattern };
  return { kind: "regex", value: `(?:${pattern}).*` };
}

function beginningWith(text: string): HttpMatch["path"] {
  return text === "" || text === "/" ? { kind: "any" } : { kind: "prefix", value: text };
}

/** The match of a header pattern, which always means the whole value. */
export function headerMatch(name: string, pattern: string): HeaderMatch {
  const literal = literalOf(pattern);
  return literal === undefined || literal === ""
    ? { name, kind: "regex", value: pattern }
    : { name, kind: "exact", value: literal };
}
