/**
 * Parts of our configuration: ours without one, and the minimal one with one, to see what that part costs. Never in production:
 * some of it is security.
 */
import { fromJson, toBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import type { EncodedResource } from "../../src/xds/resource";
import { encodeFragment } from "../../src/xds/wire";
import { envoyApi, resourceJson } from "../support/envoy-json";

/** A part that can be left out of ours, or added to the minimal configuration. */
export interface Part {
  readonly name: string;
  /** Fields, of whatever object has them. */
  readonly fields?: readonly string[];
  /** An HTTP filter. */
  readonly filter?: string;
  /** An access logger. */
  readonly logger?: string;
}

const LOGGERS = "envoy.access_loggers";
const FILTERS = "envoy.filters.http";

/** Everything that is looked at alone. Permission is a filter and what routes say to it. */
export const PARTS: readonly Part[] = [
  { name: "access log", logger: `${LOGGERS}.stdout` },
  { name: "request metrics", logger: `${LOGGERS}.stats` },
  { name: "permission", filter: `${FILTERS}.rbac`, fields: ["typedPerFilterConfig"] },
  { name: "filters that are off", filter: `${FILTERS}.fault` },
  { name: "retry of what no server has seen", fields: ["retryPolicy"] },
  { name: "reserved headers", fields: ["earlyHeaderMutationExtensions"] },
  {
    name: "path hygiene",
    fields: ["normalizePath", "mergeSlashes", "pathWithEscapedSlashesAction"],
  },
  {
    name: "caller's address and certificate",
    fields: [
      "useRemoteAddress",
      "xffNumTrustedHops",
      "forwardClientCertDetails",
      "setCurrentClientCertDetails",
    ],
  },
  { name: "time limits", fields: ["requestHeadersTimeout", "streamIdleTimeout", "timeout"] },
  {
    name: "breakers and keepalive",
    fields: ["circuitBreakers", "upstreamConnectionOptions"],
  },
  { name: "protocol of the caller", fields: ["typedExtensionProtocolOptions"] },
];

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy in which every object has been changed, from the inside to the outside. */
function mapped(value: JsonValue, change: (object: JsonObject) => JsonObject): JsonValue {
  if (Array.isArray(value)) return value.map(item => mapped(item, change));
  if (!isObject(value)) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, change)]));
  return change(copy);
}

function named(list: JsonValue | undefined, name: string | undefined): JsonObject[] {
  if (!Array.isArray(list) || name === undefined) return [];
  return list.filter(isObject).filter(one => one["name"] === name);
}

function remove(object: JsonObject, { fields = [], filter, logger }: Part): JsonObject {
  const copy = Object.fromEntries(Object.entries(object).filter(([field]) => !fields.includes(field)));
  for (const [field, name] of [
    ["httpFilters", filter],
    ["accessLog", logger],
  ] as const) {
    const list = copy[field];
    if (name !== undefined && Array.isArray(list))
      copy[field] = list.filter(one => !isObject(one) || one["name"] !== name);
  }
  return copy;
}

/** A resource without some parts; `tag` keeps its version apart from that of the whole. */
export function stripped(resource: EncodedResource, parts: readonly Part[], tag: string): EncodedResource {
  const whole = resourceJson(resource);
  return changed(
    resource,
    mapped(whole, object => parts.reduce(remove, object)),
    tag,
  );
}

/** The resource with another content. */
function changed(resource: EncodedResource, json: JsonValue, tag: string): EncodedResource {
  const typeName = resource.typeUrl.slice(resource.typeUrl.indexOf("/") + 1);
  const schema = envoyApi().getMessage(typeName);
  if (schema === undefined) throw new Error(`no message ${typeName}`);
  const body = toBinary(schema, fromJson(schema, json, { registry: envoyApi() }));
  const other = { ...resource, version: `${resource.version}-${tag}`, body };
  return { ...other, fragment: encodeFragment(other) };
}

/** What an object is, where both configurations have one of its kind. */
function kindOf(object: JsonObject): string | undefined {
  if ("httpFilters" in object) return "manager";
  if ("domains" in object) return "host";
  if ("match" in object && "route" in object) return "route";
  return "connectTimeout" in object && object["type"] !== "ORIGINAL_DST" ? "cluster" : undefined;
}

/** The first object of each kind that these resources hold; those of a Service before the catch-all's. */
function objectsOf(resources: readonly EncodedResource[]): ReadonlyMap<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  for (const resource of resources)
    mapped(resourceJson(resource), object => {
      const kind = kindOf(object);
      if (kind !== undefined && !found.has(kind)) found.set(kind, object);
      return object;
    });
  return found;
}

function add(object: JsonObject, ours: JsonObject, part: Part): JsonObject {
  const copy = { ...object };
  for (const field of part.fields ?? []) {
    const value = ours[field];
    if (value !== undefined) copy[field] = value;
  }
  const filters = copy["httpFilters"];
  if (Array.isArray(filters)) copy["httpFilters"] = [...named(ours["httpFilters"], part.filter), ...filters];
  const loggers = named(ours["accessLog"], part.logger);
  if (loggers.length > 0) {
    const there = copy["accessLog"];
    copy["accessLog"] = [...(Array.isArray(there) ? there : []), ...loggers];
  }
  const [action, ourAction] = [copy["route"], ours["route"]];
  if (isObject(action) && isObject(ourAction)) copy["route"] = add(action, ourAction, part);
  return copy;
}

/** A minimal bootstrap with some parts of ours, as one role has them. */
export function extended(
  bootstrap: JsonObject,
  ours: readonly EncodedResource[],
  parts: readonly Part[],
): JsonObject {
  const objects = objectsOf(ours);
  const value = mapped(bootstrap, object => {
    const own = objects.get(kindOf(object) ?? "");
    return own === undefined ? object : parts.reduce((sum, part) => add(sum, own, part), object);
  });
  // Counting is switched on by a runtime key, as in the bootstrap of injected pods.
  const layer = { name: "osm", staticLayer: { "osm.count_requests": 100 } };
  return { ...(value as JsonObject), layeredRuntime: { layers: [layer] } };
}
