import type { HttpRequest } from "./decide";
import type { HeaderMatch, HttpMatch } from "./types";

/** Whether a request matches: path without its query, method and every header. */
export function matches(match: HttpMatch, request: HttpRequest): boolean {
  return (
    pathMatches(match.path, request.path.split("?")[0] ?? "") &&
    (match.methods.length === 0 || match.methods.includes(request.method)) &&
    match.headers.every(header => headerMatches(header, request))
  );
}

function pathMatches(path: HttpMatch["path"], given: string): boolean {
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
  try {
    return new RegExp(`^(?:${pattern})$`).test(text);
  } catch {
    return false;
  }
}
