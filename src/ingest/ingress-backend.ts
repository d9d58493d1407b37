import { canonicalCidrs } from "../model/canonical-cidr";
import type { IngressBackend } from "../model/traffic";
import { hostsOf } from "./egress";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText } from "./fields";
import type { Reading } from "./policy-object";
import { headOf, policyIngest } from "./policy-object";

/** An IngressBackend. */
export const ingestIngressBackend = policyIngest<IngressBackend>({
  group: "policy.openservicemesh.io",
  kind: "IngressBackend",
  itemLists: ["backends"],
  read: reading => {
    const sources = asArray(reading.body["sources"]).map(asObject);
    const named = (kind: string): readonly string[] =>
      sources.filter(source => source["kind"] === kind).flatMap(({ name }) => asText(name) ?? []);
    return {
      ...headOf(reading),
      backends: reading.items("backends").flatMap(({ json }) => backendOf(json, reading)),
      services: sources
        .filter(source => source["kind"] === "Service")
        .map(({ namespace, name }) => `${asText(namespace) ?? ""}/${asText(name) ?? ""}`),
      ipRanges: canonicalCidrs(named("IPRange")),
      principals: named("AuthenticatedPrincipal"),
      routeGroups: asArray(reading.body["matches"]).map(match => reading.own(asObject(match)["name"])),
    };
  },
});

function backendOf(json: Json, reading: Reading): IngressBackend["backends"] {
  const port = asObject(json["port"]);
  const number = asPort(port["number"]);
  if (number === undefined) return [];
  const tls = asObject(json["tls"]);
  return [
    {
      service: reading.own(json["name"]),
      port: number,
      tls:
        asText(port["protocol"])?.toLowerCase() === "https"
          ? {
              verifyClient: tls["skipClientCertValidation"] !== true,
              sniHosts: hostsOf(tls["sniHosts"]),
            }
          : undefined,
    },
  ];
}
