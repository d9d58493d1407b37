/** Our configuration with a part of it left out, to see what that part costs. Never in production: some of it is security. */
import { fromJson, toBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import type { EncodedResource } from "../../src/xds/resource";
import { encodeFragment } from "../../src/xds/wire";
import { envoyApi, resourceJson } from "../support/envoy-json";

/** A part that can be left out. */
export interface Part {
  readonly name: string;
  /** A copy of a resource without it. */
  readonly without: (value: JsonValue) => JsonValue;
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy in which every object has been changed, from the inside to the outside. */
function mapped(value: JsonValue, change: (object: JsonObject) => JsonObject): JsonValue {
  if (Array.isArray(value)) return value.map(item => mapped(item, change));
  if (!isObject(value)) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, change)]));
  return change(copy);
}

function withoutFields(name: string, ...fields: readonly string[]): Part {
  const without = (value: JsonValue): JsonValue =>
    mapped(value, object =>
      Object.fromEntries(Object.entries(object).filter(([field]) => !fields.includes(field))),
    );
  return { name, without };
}

function withoutHttpFilter(filter: string): Part {
  const without = (value: JsonValue): JsonValue =>
    mapped(value, object => {
      const filters = object["httpFilters"];
      if (!Array.isArray(filters)) return object;
      return { ...object, httpFilters: filters.filter(one => !isObject(one) || one["name"] !== filter) };
    });
  return { name: `HTTP filter ${filter}`, without };
}

/** Names of all HTTP filters that the resources have but for the router. */
function httpFiltersOf(resources: readonly EncodedResource[]): readonly string[] {
  const names = new Set<string>();
  for (const resource of resources) {
    mapped(resourceJson(resource), object => {
      const filters = object["httpFilters"];
      if (Array.isArray(filters))
        for (const one of filters)
          if (isObject(one) && typeof one["name"] === "string" && !one["name"].endsWith(".router"))
            names.add(one["name"]);
      return object;
    });
  }
  return [...names].sort();
}

/** Everything of these resources that can be left out alone. */
export function partsOf(resources: readonly EncodedResource[]): readonly Part[] {
  return [
    withoutFields("access log and request metrics", "accessLog"),
    withoutFields("tracing", "tracing"),
    withoutFields(
      "header changes",
      "requestHeadersToAdd",
      "requestHeadersToRemove",
      "responseHeadersToAdd",
      "responseHeadersToRemove",
    ),
    withoutFields(
      "path and header hygiene",
      "normalizePath",
      "mergeSlashes",
      "pathWithEscapedSlashesAction",
      "stripTrailingHostDot",
    ),
    withoutFields("rules of routes", "typedPerFilterConfig"),
    withoutFields("outlier detection and circuit breakers", "circuitBreakers", "outlierDetection"),
    withoutFields("client certificate forwarding", "forwardClientCertDetails", "setCurrentClientCertDetails"),
    ...httpFiltersOf(resources).map(withoutHttpFilter),
  ];
}

/** A resource without some parts; `tag` keeps its version apart from that of the whole. */
export function stripped(resource: EncodedResource, parts: readonly Part[], tag: string): EncodedResource {
  const typeName = resource.typeUrl.slice(resource.typeUrl.indexOf("/") + 1);
  const schema = envoyApi().getMessage(typeName);
  if (schema === undefined) throw new Error(`no message ${typeName}`);
  let json: JsonValue = resourceJson(resource);
  for (const part of parts) json = part.without(json);
  const body = toBinary(schema, fromJson(schema, json, { registry: envoyApi() }));
  const changed = { ...resource, version: `${resource.version}-${tag}`, body };
  return { ...changed, fragment: encodeFragment(changed) };
}
