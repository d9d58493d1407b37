import type { HttpRouteGroup, RouteGroupMatch, TcpRoute, UdpRoute } from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText } from "./fields";
import { headOf, policyIngest } from "./policy-object";

const GROUP = "specs.smi-spec.io";

/** An HTTPRouteGroup of any version; its matches stand at the top before v1alpha3. */
export const ingestHttpRouteGroup = policyIngest<HttpRouteGroup>({
  group: GROUP,
  kind: "HTTPRouteGroup",
  top: true,
  itemLists: ["matches"],
  read: reading => ({
    ...headOf(reading),
    matches: reading.items("matches").map(({ json }) => matchOf(json)),
  }),
});

function matchOf(json: Json): RouteGroupMatch {
  const methods = asArray(json["methods"]).flatMap(method => asText(method)?.toUpperCase() ?? []);
  return {
    name: asText(json["name"]) ?? "",
    pathRegex: asText(json["pathRegex"]),
    methods: methods.includes("*") ? [] : [...new Set(methods)].sort(),
    headers: headersOf(json["headers"]),
  };
}

/** A map (the specification) or a list of maps (OSM's definition); in order of names, so that both read the same. */
function headersOf(headers: unknown): RouteGroupMatch["headers"] {
  return (Array.isArray(headers) ? asArray(headers) : [headers])
    .flatMap(map => Object.entries(asObject(map)))
    .flatMap(([name, pattern]) =>
      typeof pattern === "string" ? [{ name: name.toLowerCase(), pattern }] : [],
    )
    .sort((a, b) => compare(a.name, b.name) || compare(a.pattern, b.pattern));
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** A TCPRoute: without spec (before v1alpha4) and without ports it means all of them. */
export const ingestTcpRoute = policyIngest<TcpRoute>({
  group: GROUP,
  kind: "TCPRoute",
  read: reading => ({ ...headOf(reading), ports: portsOf(reading.body["matches"]) }),
});

/** The specification writes one object, some manifests a list; of a list each one counts, and one without ports means all. */
function portsOf(matches: unknown): readonly number[] {
  const lists = (Array.isArray(matches) ? asArray(matches) : [matches]).map(match =>
    asArray(asObject(match)["ports"]),
  );
  if (lists.some(list => list.length === 0)) return [];
  return [...new Set(lists.flat().flatMap(port => asPort(port) ?? []))].sort((a, b) => a - b);
}

/** A UDPRoute. */
export const ingestUdpRoute = policyIngest<UdpRoute>({ group: GROUP, kind: "UDPRoute", read: headOf });
