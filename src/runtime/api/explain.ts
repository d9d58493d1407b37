import type { Call } from "../../policy/decide";
import type { Engine } from "../engine";
import type { ExplainPage } from "./pages";
import { BadQuery } from "./serve";
import { livePods, workloadOf } from "./topology";

function needed(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value === null || value === "") throw new BadQuery(`${name} is missing`);
  return value;
}

/**
 * What happens to a request: `from` a pod (`namespace/name`) or workload (`namespace/Kind/name`), `to` a Service
 * (`namespace/name:port`), `method`, `path`, and `header` (`name: value`, any number). Throws {@link BadQuery}.
 */
export function explainPage(engine: Engine, query: URLSearchParams): ExplainPage {
  const [from, to] = [needed(query, "from"), needed(query, "to")];
  const pods = livePods(engine);
  const [, pod] = pods.find(([key, one]) => key === from || workloadOf(one) === from) ?? [];
  if (pod === undefined) throw new BadQuery(`from: there is no pod or workload ${from} in the mesh`);
  const [, service = "", port = ""] = /^(.+):(\d{1,5})$/.exec(to) ?? [];
  const found = engine.inventory.services.get(service);
  if (found === undefined) throw new BadQuery(`to: there is no Service ${to}, as namespace/name:port`);
  const dialled = dial(engine, { service, port: Number(port) });
  if (dialled === undefined) throw new BadQuery(`to: nobody serves ${to}`);
  const decision = engine.explain(pod.uid, { ...dialled, http: requestOf(query) });
  if (decision === undefined) throw new BadQuery(`from: ${from} is gone`);
  return { from, to, decision };
}

/** Where an application dials a Service; of a headless one the first pod. */
function dial(
  { inventory }: Engine,
  { service, port }: { readonly service: string; readonly port: number },
): Pick<Call, "address" | "port"> | undefined {
  const [address] = inventory.services.get(service)?.addresses ?? [];
  if (address !== undefined) return { address, port };
  for (const [key, { ips }] of inventory.pods) {
    const served = inventory
      .group(key)
      ?.served.find(({ frontends }) => frontends.some(one => one.service === service && one.port === port));
    if (served !== undefined && ips[0] !== undefined) return { address: ips[0], port: served.port };
  }
  return undefined;
}

function requestOf(query: URLSearchParams): NonNullable<Call["http"]> {
  const headers = query.getAll("header").map(text => {
    const at = text.indexOf(":");
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()] as const;
  });
  return {
    method: (query.get("method") ?? "GET").toUpperCase(),
    path: query.get("path") ?? "/",
    headers: Object.fromEntries(headers),
  };
}
