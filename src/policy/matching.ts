import { compileRegex } from "../api/regex";
import type { HttpRequest } from "./decide";
import type { HeaderMatch, HttpMatch } from "./types";

/** Every request. */
export const ANY_REQUEST: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };

/** A part of a request that a match speaks of. */
export type RequestPart = "path" | "method" | "header";

/** Whether a request matches: path without its query, method and every header. */
export function matches(match: HttpMatch, request: HttpRequest): boolean {
  return differences(match, request).length === 0;
}

/** In which parts a request is not what a match wants; empty: it matches. */
export function differences(match: HttpMatch, request: HttpRequest): readonly RequestPart[] {
  const found: RequestPart[] = [];
  if (!pathMatches(match.path, request.path.split(/[?#]/)[0] ?? "")) found.push("path");
  if (match.methods.length > 0 && !match.methods.includes(request.method)) found.push("method");
  if (!match.headers.every(header => headerMatches(header, request))) found.push("header");
  return found;
}

/** Whether a path without its query fits. */
export function pathMatches(path: HttpMatch["path"], given: string): boolean {
  switch (path.kind) {
    case "any":
      return given.startsWith("/");
    case "prefix":
      return given.startsWith(path.value);
    case "exact":
      return given === path.value;
    case "regex":
      return fullMatch(path.value, given);
  }
}

function headerMatches({ name, kind, value }: HeaderMatch, { headers }: HttpRequest): boolean {
  const wanted = name.toLowerCase();
  const found = Object.entries(headers).find(([given]) => given.toLowerCase() === wanted);
  if (found === undefined) return false;
  return kind === "exact" ? found[1] === value : fullMatch(value, found[1]);
}

/** A pattern that cannot be read matches nothing; where it came from, it was reported. */
function fullMatch(pattern: string, text: string): boolean {
  return compileRegex(pattern)?.matchesAll(text) === true;
}
