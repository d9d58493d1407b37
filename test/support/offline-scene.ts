/** The way of `osm explain` through objects, for tests that have them at hand. */
import { explainWithin } from "../../src/cli/explain/explain";
import type { Explanation } from "../../src/cli/explain/request";
import { createAddresses } from "../../src/cli/offline/addresses";
import { readDocuments } from "../../src/cli/offline/documents";
import { createMeshWorld, type MeshWorld } from "../../src/cli/offline/world";
import { stringify } from "yaml";
import type { TestObject } from "./objects";
import { podName } from "./scene";
import type { Answer, ResolvedCall } from "./scene-calls";

/** The world that the command makes of objects, as if they stood in a file. */
export function offlineWorld(objects: readonly TestObject[]): MeshWorld {
  const text = objects.map(object => stringify(object)).join("---\n");
  const documents = readDocuments(text, { source: "given.yaml", namespace: "default" });
  return createMeshWorld(documents, {
    meshName: "osm",
    osmNamespace: "osm-system",
    addresses: createAddresses(),
  });
}

const WORDS: Readonly<Partial<Record<ResolvedCall["scheme"], string>>> = { "server-first": "tcp" };

/** What the command says to a call of a scene, dialled by its address, or by a name as it is written. */
export function explained(world: MeshWorld, call: ResolvedCall, to?: string): Explanation {
  const { scheme, address, port, path, method, headers, serverName } = call;
  const host = serverName.includes(":") ? `[${serverName}]` : serverName;
  const url = `${WORDS[scheme] ?? scheme}://${host}:${port}`;
  return explainWithin(world, {
    from: `pod/${podName(call.from)}`,
    to: to ?? url,
    ...(to === undefined ? { address } : {}),
    namespace: "default",
    method,
    path,
    headers,
  });
}

/** The answer in the words of `calls.yaml`: of the most likely case. */
export function saidBy({ cases, request }: Explanation): Answer {
  const [first] = cases;
  if (first === undefined) throw new Error("no case");
  const http = !request.startsWith("a T");
  if (first.outcome === "passthrough" || first.outcome === "refused") return first.outcome;
  if (first.outcome === "delivered") return http ? 200 : "answered";
  return http && first.status !== undefined ? first.status : "refused";
}
