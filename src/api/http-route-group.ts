import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** One named set of HTTP requests; absent parts match everything. */
export interface HttpRouteMatch {
  readonly name: string;
  /** RE2. */
  readonly pathRegex?: string;
  readonly methods?: readonly string[];
  /** Header to RE2: a map in the specification, a list of maps in OSM. */
  readonly headers?: Readonly<Record<string, string>> | readonly Readonly<Record<string, string>>[];
}

/** HTTPRouteGroup (`specs.smi-spec.io`, v1alpha3 and v1alpha4; earlier versions have `matches` at the top). */
export interface HttpRouteGroupSpec {
  readonly matches: readonly HttpRouteMatch[];
}

/** Most matches of a group: each is a route and a permission in every proxy concerned. */
const MAX_MATCHES = 50;

/** Methods that a match may name. */
const HTTP_METHODS: readonly string[] = [
  "*",
  "GET",
  "HEAD",
  "PUT",
  "POST",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
];

const headerMap: is.Check = (value, place) => {
  is.object({})(value, place);
  for (const [name, pattern] of Object.entries(is.fieldsOf(value))) {
    is.headerName(name, place);
    is.regex(pattern, place.at(name));
    // To be empty is not something that a header is asked for; Envoy refuses the question.
    if (pattern === "") place.at(name).error("must not be empty");
  }
};

const headers: is.Check = (value, place) => {
  (Array.isArray(value) ? is.list(headerMap, 0, 32) : headerMap)(value, place);
};

const match = is.object(
  {
    name: is.text(253),
    pathRegex: is.regex,
    methods: is.list(is.word(...HTTP_METHODS), 0, 16),
    headers,
  },
  ["name"],
);

const uniqueNames: is.Check = (value, place) => {
  const seen = new Set<unknown>();
  is.itemsOf(value).forEach((item, index) => {
    const { name } = is.fieldsOf(item);
    if (name !== undefined && seen.has(name))
      place
        .at(index)
        .at("name")
        .error(`repeats ${is.quote(name)}`);
    seen.add(name);
  });
};

const body = is.object({ matches: is.all(is.list(match, 0, MAX_MATCHES), uniqueNames) });

const check: is.Check = (value, place) => {
  const { spec } = is.fieldsOf(value);
  if (spec === undefined || spec === null) body(value, place);
  else body(spec, place.at("spec"));
};

/** What is wrong with the fields of an HTTPRouteGroup of any version. */
export function validateHttpRouteGroup(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
