import type { Compiled } from "../model/diagnostic";
import type { MeshService, ServicePort, TransportProtocol } from "../model/workload";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText, asTextMap, metaOf } from "./fields";
import { clean } from "./projector";

/** A transport protocol's name; absent means TCP, an unknown one is undefined. */
export function transportOf(value: unknown): TransportProtocol | undefined {
  const name = value ?? "TCP";
  return name === "TCP" || name === "UDP" || name === "SCTP" ? name : undefined;
}

/** A Service as the mesh sees it. */
export function ingestService(object: unknown): Compiled<MeshService> {
  const { namespace, name } = metaOf(object);
  const spec = asObject(asObject(object)["spec"]);
  const selector = asTextMap(spec["selector"]);
  const kind = kindOf(spec);
  return clean({
    namespace,
    name,
    kind,
    addresses: kind === "clusterIP" ? addressesOf(spec) : [],
    ports: asArray(spec["ports"]).flatMap(portOf),
    selector: Object.keys(selector).length === 0 ? undefined : selector,
  });
}

function kindOf(spec: Json): MeshService["kind"] {
  if (spec["type"] === "ExternalName") return "externalName";
  return spec["clusterIP"] === "None" ? "headless" : "clusterIP";
}

function addressesOf(spec: Json): readonly string[] {
  const all = asArray(spec["clusterIPs"]).flatMap(ip => asText(ip) ?? []);
  const single = asText(spec["clusterIP"]);
  return all.length > 0 || single === undefined ? [...new Set(all)] : [single];
}

function portOf(raw: unknown): readonly ServicePort[] {
  const port = asObject(raw);
  const number = asPort(port["port"]);
  const transport = transportOf(port["protocol"]);
  if (number === undefined || transport === undefined) return [];
  return [
    {
      name: asText(port["name"]) ?? "",
      port: number,
      targetPort: asPort(port["targetPort"]) ?? asText(port["targetPort"]) ?? number,
      transport,
      appProtocol: asText(port["appProtocol"]),
    },
  ];
}
