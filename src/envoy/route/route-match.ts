import type { HeaderMatch, HttpMatch } from "../../policy/types";
import { type HeaderMatcher, type RouteMatch } from "../api/generated/envoy/config/route/v3/route_components";
import type { StringMatcher } from "../api/generated/envoy/type/matcher/v3/string";

/** The whole value, byte for byte. */
export function exact(value: string): StringMatcher {
  return { matchPattern: { $case: "exact", value } };
}

/** RE2, of the whole value. */
export function regex(value: string): StringMatcher {
  return { matchPattern: { $case: "safeRegex", value: { regex: value } } };
}

function header(name: string, matcher: StringMatcher): HeaderMatcher {
  return { name, headerMatchSpecifier: { $case: "stringMatch", value: matcher } };
}

/** Header names are case-insensitive and lower case in Envoy; `host` is the `:authority` of HTTP/2. */
function headerMatch(match: HeaderMatch): HeaderMatcher {
  const lower = match.name.toLowerCase();
  const name = lower === "host" ? ":authority" : lower;
  return header(name, match.kind === "exact" ? exact(match.value) : regex(match.value));
}

function methods(names: readonly string[]): HeaderMatcher[] {
  const [first] = names;
  if (first === undefined) return [];
  if (names.length === 1) return [header(":method", exact(first))];
  const alternatives = names.map(name => name.replace(/[^A-Za-z0-9_-]/g, "\\$&")).join("|");
  return [header(":method", regex(alternatives))];
}

function path(match: HttpMatch["path"]): NonNullable<RouteMatch["pathSpecifier"]> {
  switch (match.kind) {
    case "any":
      return { $case: "prefix", value: "/" };
    case "prefix":
      return { $case: "prefix", value: match.value };
    case "exact":
      return { $case: "path", value: match.value };
    case "regex":
      return { $case: "safeRegex", value: { regex: match.value } };
  }
}

/**
 * Method and headers of a match. A header that is there several times fits when one of its values does, in routes as in
 * permissions (Envoy looks at each value for itself since 1.37).
 */
export function headerMatchers(match: HttpMatch): HeaderMatcher[] {
  return [...methods(match.methods), ...match.headers.map(headerMatch)];
}

/** One match as Envoy states it. `prefix` is a prefix of characters; regular expressions match the whole value. */
export function routeMatch(match: HttpMatch): RouteMatch {
  return {
    pathSpecifier: path(match.path),
    headers: headerMatchers(match),
  };
}
