import { canonicalCidrs } from "../model/canonical-cidr";
import { parseDuration } from "../model/duration";
import type { Egress, ExtensionService } from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText } from "./fields";
import { headOf, identityOf, policyIngest } from "./policy-object";

/** An Egress. */
export const ingestEgress = policyIngest<Egress>({
  group: "policy.openservicemesh.io",
  kind: "Egress",
  itemLists: ["sources", "ports"],
  read: reading => {
    const matches = asArray(reading.body["matches"]).map(asObject);
    const named = (kind: string): readonly string[] =>
      matches.filter(match => match["kind"] === kind).map(({ name }) => reading.own(name));
    return {
      ...headOf(reading),
      sources: reading.items("sources").map(({ json }) => identityOf(json, reading.namespace)),
      hosts: hostsOf(reading.body["hosts"]),
      ipAddresses: canonicalCidrs(asArray(reading.body["ipAddresses"]).flatMap(range => asText(range) ?? [])),
      ports: reading.items("ports").flatMap(({ json }) => portOf(json)),
      routeGroups: named("HTTPRouteGroup"),
      setting: named("UpstreamTrafficSetting")[0],
    };
  },
});

/** Host names as they are compared: lower case, without the dot that may end them, each once. */
export function hostsOf(hosts: unknown): readonly string[] {
  return [...new Set(asArray(hosts).flatMap(host => asText(host)?.toLowerCase().replace(/[.]$/, "") ?? []))];
}

const PROTOCOLS = ["http", "https", "tcp", "tcp-server-first"] as const;

function portOf(json: Json): Egress["ports"] {
  const number = asPort(json["number"]);
  const protocol = asText(json["protocol"])?.toLowerCase();
  if (number === undefined) return [];
  const known = PROTOCOLS.find(word => word === protocol);
  return known === undefined ? [] : [{ number, protocol: known }];
}

/** An ExtensionService. Unless it says HTTP/1.1, it is spoken to by gRPC, which needs HTTP/2. */
export const ingestExtensionService = policyIngest<ExtensionService>({
  group: "config.openservicemesh.io",
  kind: "ExtensionService",
  read: reading => ({
    ...headOf(reading),
    host: (asText(reading.body["host"]) ?? "").toLowerCase().replace(/[.]$/, ""),
    port: asPort(reading.body["port"]) ?? 0,
    http2: asText(reading.body["protocol"])?.toLowerCase() !== "http1",
    connectTimeoutMs: parseDuration(asText(asObject(reading.body)["connectTimeout"]) ?? ""),
  }),
});
