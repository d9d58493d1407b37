/** What each proxy is told, and in what two worlds tell it differently. */
import type { NodeGroup } from "../../catalog/node-groups";
import {
  type EncodedResource,
  resourcesOf,
  type Snapshot,
  TYPE_URLS,
  type TypeUrl,
} from "../../xds/resource";
import type { MeshWorld } from "../offline/world";

/** A resource that is sent or taken back. */
export interface ResourceChange {
  /** cluster, endpoint, listener or route. */
  readonly type: string;
  readonly name: string;
  /** Of the resource as it is sent; 0 for one that is removed. */
  readonly bytes: number;
}

/** What becomes of the configuration of some proxies. */
export interface ProxyChange {
  /** `Kind/namespace/name` of what runs them. */
  readonly workload: string;
  /** `namespace/name`, sorted. */
  readonly pods: readonly string[];
  /** `new`: a proxy that is not there yet; `gone`: one that will not be there any more. */
  readonly change: "changed" | "new" | "gone";
  readonly added: readonly ResourceChange[];
  readonly changed: readonly ResourceChange[];
  readonly removed: readonly ResourceChange[];
  /** That each of them is sent. */
  readonly bytes: number;
}

/** A pod with a sidecar, and what its proxy is to have. */
interface Proxy {
  readonly pod: string;
  readonly workload: string;
  readonly snapshot: Snapshot;
}

/** Proxies of a world, by pod. */
export type Proxies = ReadonlyMap<string, Proxy>;

const TYPES = new Map<TypeUrl, string>(
  Object.entries(TYPE_URLS).map(([word, url]) => [url, word] as [TypeUrl, string]),
);

/** What the control plane would deliver in a world. */
export function proxiesIn({ compiler }: MeshWorld): Proxies {
  const { graph, pods } = compiler.inputs;
  return graph.batch(() => {
    const snapshotOf = (group: NodeGroup): Snapshot => graph.peek(compiler.snapshot(group));
    const found = new Map<string, Proxy>();
    for (const [key, { uid, namespace, workload }] of pods.rows) {
      const group = graph.peek(compiler.description(uid))?.group;
      if (group === undefined) continue;
      const pod = key.replace("/external:", "/");
      found.set(pod, {
        pod,
        workload: `${workload.kind}/${namespace}/${workload.name}`,
        snapshot: snapshotOf(group),
      });
    }
    return found;
  });
}

/** In what two worlds tell their proxies differently; pods of a workload that are told the same are one. */
export function proxyChanges(before: Proxies, after: Proxies): readonly ProxyChange[] {
  const changes = new Map<string, ProxyChange>();
  for (const pod of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const change = changeOf(before.get(pod), after.get(pod));
    if (change === undefined) continue;
    const key = JSON.stringify({ ...change, pods: [] });
    changes.set(key, { ...change, pods: [...(changes.get(key)?.pods ?? []), pod] });
  }
  return [...changes.values()].sort((a, b) => (a.workload < b.workload ? -1 : 1));
}

function resourcesIn(proxy: Proxy | undefined): ReadonlyMap<string, EncodedResource> {
  const all = [...(proxy?.snapshot.values() ?? [])].flatMap(set => [...resourcesOf(set)]);
  return new Map(all.map(resource => [`${resource.typeUrl}|${resource.name}`, resource]));
}

function changeOf(before: Proxy | undefined, after: Proxy | undefined): ProxyChange | undefined {
  const [was, is] = [resourcesIn(before), resourcesIn(after)];
  const added = [...is].filter(([key]) => !was.has(key)).map(([, resource]) => told(resource));
  const changed = [...is]
    .filter(([key, { version }]) => (was.get(key)?.version ?? version) !== version)
    .map(([, resource]) => told(resource));
  const removed = [...was]
    .filter(([key]) => !is.has(key))
    .map(([, resource]) => ({ ...told(resource), bytes: 0 }));
  const { pod, workload } = after ?? before ?? { pod: "", workload: "" };
  if (added.length + changed.length + removed.length === 0) return undefined;
  const change = before === undefined ? "new" : after === undefined ? "gone" : "changed";
  const bytes = [...added, ...changed].reduce((sum, resource) => sum + resource.bytes, 0);
  return {
    workload,
    pods: [pod],
    change,
    added: sorted(added),
    changed: sorted(changed),
    removed: sorted(removed),
    bytes,
  };
}

function told({ typeUrl, name, fragment }: EncodedResource): ResourceChange {
  return { type: TYPES.get(typeUrl) ?? typeUrl, name, bytes: fragment.length };
}

function sorted(resources: readonly ResourceChange[]): readonly ResourceChange[] {
  return [...resources].sort((a, b) => (`${a.type}|${a.name}` < `${b.type}|${b.name}` ? -1 : 1));
}
