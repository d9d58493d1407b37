import { parseDuration } from "../model/duration";
import type {
  Descriptor,
  DescriptorEntry,
  DescriptorHeader,
  GlobalHttpLimit,
  GlobalTcpLimit,
  LocalHttpLimit,
  LocalLimit,
  RateLimitService,
} from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText } from "./fields";
import { asNumber } from "./policy-object";

/** What a refused request is answered with when nothing else is said (RFC 6585 §4). */
const TOO_MANY_REQUESTS = 429;
/** Envoy's time limit for a question to a rate limit service. */
const DEFAULT_TIMEOUT_MS = 20;

function unitMs(unit: unknown): number {
  return unit === "hour" ? 3_600_000 : unit === "minute" ? 60_000 : 1_000;
}

/** A local limit of connections; undefined when none is written. */
export function localTcpLimitOf(written: unknown): LocalLimit | undefined {
  const { connections, unit, burst } = asObject(written);
  const count = asNumber(connections);
  return count === undefined ? undefined : { count, unitMs: unitMs(unit), burst: asNumber(burst) ?? 0 };
}

/** A local limit of requests; undefined when none is written. */
export function localHttpLimitOf(written: unknown): LocalHttpLimit | undefined {
  const limit = asObject(written);
  const count = asNumber(limit["requests"]);
  if (count === undefined) return undefined;
  return {
    count,
    unitMs: unitMs(limit["unit"]),
    burst: asNumber(limit["burst"]) ?? 0,
    status: asNumber(limit["responseStatusCode"]) ?? TOO_MANY_REQUESTS,
    headers: asArray(limit["responseHeadersToAdd"])
      .map(asObject)
      .map(({ name, value }) => ({ name: asText(name) ?? "", value: asText(value) ?? "" })),
  };
}

function serviceOf(limit: Json): RateLimitService {
  const { host, port } = asObject(limit["rateLimitService"]);
  return {
    host: (asText(host) ?? "").toLowerCase().replace(/[.]$/, ""),
    port: asPort(port) ?? 0,
    domain: asText(limit["domain"]) ?? "",
    timeoutMs: parseDuration(asText(limit["timeout"]) ?? "") ?? DEFAULT_TIMEOUT_MS,
    failOpen: limit["failOpen"] !== false,
  };
}

/** A global limit of connections; undefined when none is written. */
export function globalTcpLimitOf(written: unknown): GlobalTcpLimit | undefined {
  if (written === undefined || written === null) return undefined;
  const limit = asObject(written);
  return {
    ...serviceOf(limit),
    descriptors: asArray(limit["descriptors"]).map(descriptor =>
      asArray(asObject(descriptor)["entries"])
        .map(asObject)
        .map(({ key, value }) => ({ key: asText(key) ?? "", value: asText(value) ?? "" })),
    ),
  };
}

/** A global limit of requests; undefined when none is written. */
export function globalHttpLimitOf(written: unknown): GlobalHttpLimit | undefined {
  if (written === undefined || written === null) return undefined;
  const limit = asObject(written);
  return {
    ...serviceOf(limit),
    descriptors: descriptorsOf(limit["descriptors"]),
    xRateLimitHeaders: limit["enableXRateLimitHeaders"] === true,
    status: asNumber(limit["responseStatusCode"]) ?? TOO_MANY_REQUESTS,
  };
}

/** What is sent to a rate limit service for a request. */
export function descriptorsOf(written: unknown): readonly Descriptor[] {
  return asArray(written).map(descriptor =>
    asArray(asObject(descriptor)["entries"]).map(asObject).flatMap(entryOf),
  );
}

/** Exactly one of the four is given; anything else has been refused by validation. */
function entryOf(entry: Json): readonly DescriptorEntry[] {
  const { genericKey, remoteAddress, requestHeader, headerValueMatch } = entry;
  if (genericKey !== undefined) {
    const { key, value } = asObject(genericKey);
    return [{ kind: "genericKey", key: asText(key), value: asText(value) ?? "" }];
  }
  if (remoteAddress !== undefined) return [{ kind: "remoteAddress" }];
  if (requestHeader !== undefined) {
    const { name, key } = asObject(requestHeader);
    return [{ kind: "requestHeader", name: (asText(name) ?? "").toLowerCase(), key: asText(key) ?? "" }];
  }
  const match = asObject(headerValueMatch);
  return [
    {
      kind: "headerValueMatch",
      key: asText(match["key"]),
      value: asText(match["value"]) ?? "",
      headers: asArray(match["headers"]).map(asObject).flatMap(headerOf),
      expectMatch: match["expectMatch"] !== false,
    },
  ];
}

const COMPARISONS = ["exact", "prefix", "suffix", "regex", "contains"] as const;

function headerOf(header: Json): readonly DescriptorHeader[] {
  const name = (asText(header["name"]) ?? "").toLowerCase();
  if (typeof header["present"] === "boolean")
    return [{ name, kind: "present", value: String(header["present"]) }];
  const kind = COMPARISONS.find(comparison => typeof header[comparison] === "string");
  return kind === undefined ? [] : [{ name, kind, value: String(header[kind]) }];
}
