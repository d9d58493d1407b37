import type { Endpoint, EndpointSetLeaf } from "../../policy/types";
import type { Party } from "../../model/owner";
import { socketAddress } from "../address";
import { partyMetadata } from "../request-metrics";
import type { ClusterLoadAssignment } from "../api/generated/envoy/config/endpoint/v3/endpoint";
import type {
  LbEndpoint,
  LocalityLbEndpoints,
} from "../api/generated/envoy/config/endpoint/v3/endpoint_components";

function lbEndpoint(host: string, port: number, party?: Party): LbEndpoint {
  return {
    hostIdentifier: { $case: "endpoint", value: { address: socketAddress(host, port) } },
    ...(party === undefined ? {} : { metadata: partyMetadata(party) }),
  };
}

/** One address for ever. */
export function staticEndpoint(cluster: string, host: string, port: number): ClusterLoadAssignment {
  return { clusterName: cluster, endpoints: [{ lbEndpoints: [lbEndpoint(host, port)] }] };
}

function locality(zone: string, endpoints: readonly Endpoint[]): LocalityLbEndpoints {
  return {
    ...(zone === "" ? {} : { locality: { zone } }),
    lbEndpoints: endpoints.map(({ address, port, party }) => lbEndpoint(address, port, party)),
  };
}

/** The endpoints of a cluster, one locality per zone, zones in order of name. */
export function endpointSet(leaf: EndpointSetLeaf): ClusterLoadAssignment {
  const zones = new Map<string, Endpoint[]>();
  for (const endpoint of leaf.endpoints) {
    const zone = endpoint.zone ?? "";
    const known = zones.get(zone);
    if (known === undefined) zones.set(zone, [endpoint]);
    else known.push(endpoint);
  }
  const names = [...zones.keys()].sort();
  return { clusterName: leaf.name, endpoints: names.map(zone => locality(zone, zones.get(zone) ?? [])) };
}
