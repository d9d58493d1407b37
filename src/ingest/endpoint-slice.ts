import type { Compiled } from "../model/diagnostic";
import type { MeshEndpointSlice, SliceEndpoint } from "../model/workload";
import { asArray, asObject, asPort, asText, metaOf } from "./fields";
import { clean } from "./projector";
import { transportOf } from "./service";

const LABEL_SERVICE_NAME = "kubernetes.io/service-name";

/** An EndpointSlice as the mesh sees it. */
export function ingestEndpointSlice(object: unknown): Compiled<MeshEndpointSlice> {
  const { namespace, name, labels } = metaOf(object);
  const slice = asObject(object);
  const type = slice["addressType"];
  return clean({
    namespace,
    name,
    service: labels[LABEL_SERVICE_NAME] ?? "",
    addressType: type === "IPv4" || type === "IPv6" ? type : "FQDN",
    ports: asArray(slice["ports"]).flatMap(portOf),
    endpoints: asArray(slice["endpoints"]).flatMap(endpointOf),
  });
}

function portOf(raw: unknown): MeshEndpointSlice["ports"] {
  const port = asObject(raw);
  const number = asPort(port["port"]);
  const transport = transportOf(port["protocol"]);
  if (number === undefined || transport === undefined) return [];
  return [{ name: asText(port["name"]) ?? "", port: number, transport }];
}

/** Only the first address counts: the API calls all addresses of an endpoint fungible, clients use the first. */
function endpointOf(raw: unknown): readonly SliceEndpoint[] {
  const endpoint = asObject(raw);
  const address = asText(asArray(endpoint["addresses"])[0]);
  if (address === undefined) return [];
  const target = asObject(endpoint["targetRef"]);
  const isPod = target["kind"] === "Pod";
  return [
    {
      address,
      // An absent condition means ready (discovery.k8s.io/v1 EndpointConditions).
      ready: asObject(endpoint["conditions"])["ready"] !== false,
      podUid: isPod ? asText(target["uid"]) : undefined,
      podName: isPod ? asText(target["name"]) : undefined,
      hostname: asText(endpoint["hostname"]),
      zone: asText(endpoint["zone"]),
    },
  ];
}
