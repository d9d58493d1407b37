/** `osm policy check-pods`: what one pod may send to another, port by port. */
import { ingestPod } from "../../ingest/pod";
import { identityKey } from "../../model/identity";
import type { KubeDocument } from "../offline/documents";
import type { MeshWorld } from "../offline/world";
import { metaOf } from "../../ingest/fields";
import { CommandError } from "../failure";
import type { Grant, InboundPort, Leaf, Permission } from "../../policy/types";
import { grantName, grantText, leafOf } from "./words";

/** What may be sent to one port. */
export interface PortPermission {
  readonly port: number;
  /** Who says so. */
  readonly by: string;
  /** Requests, or `connections`. */
  readonly allows: readonly string[];
}

/** What a pod may send to another. */
export interface PodPermission {
  readonly from: string;
  readonly to: string;
  readonly permissive: boolean;
  /** Ports at which something is allowed. */
  readonly ports: readonly PortPermission[];
  /** Why nothing can be. */
  readonly obstacle?: string;
}

function podNamed({ documents }: MeshWorld, text: string): KubeDocument {
  const key = text.includes("/") ? text : `default/${text}`;
  const found = documents.get(`Pod/${key}`);
  if (found === undefined) throw new CommandError(`there is no pod ${key} (expected NAMESPACE/POD)`);
  return found;
}

/** What the pod `from` may send to the pod `to`, both `namespace/name`. Throws {@link CommandError} for one that is not there. */
export function checkPods(world: MeshWorld, from: string, to: string): PodPermission {
  const [source, destination] = [podNamed(world, from), podNamed(world, to)];
  const { graph } = world.compiler.inputs;
  const client = graph.peek(world.compiler.description(metaOf(source).uid));
  const server = graph.peek(world.compiler.description(metaOf(destination).uid));
  const base = { from, to, permissive: server?.group.permissive === true, ports: [] };
  for (const [pod, found, text] of [
    [source, client, from],
    [destination, server, to],
  ] as const) {
    if (found !== undefined) continue;
    const why = world.whyNoSidecar(`Pod/${metaOf(pod).namespace}/${metaOf(pod).name}`);
    return { ...base, obstacle: `${text} has no sidecar: ${why ?? "it has none that counts"}` };
  }
  const listener = leafOf(server?.leaves ?? [], "inbound-listener");
  const identity = identityKey(ingestPod(source).value.identity);
  return {
    ...base,
    ports: (listener?.ports ?? []).flatMap(port => permissionsAt(server?.leaves ?? [], port, identity)),
  };
}

function permissionsAt(
  leaves: readonly Leaf[],
  served: InboundPort,
  identity: string,
): readonly PortPermission[] {
  const { port, handling } = served;
  if (handling.kind === "tcp") {
    const open = isOpen(served.permission);
    return open
      ? [opened(port, "connections")]
      : byTarget(port, served.grants ?? [], { identity, bytes: true });
  }
  const table = leafOf(leaves, "route-table", ({ name }) => name === handling.routeTable);
  const permissions = (table?.rules ?? []).map(({ permission }) => permission);
  if (permissions.some(isOpen)) return [opened(port, "every request")];
  const grants = permissions.flatMap(each => (each.kind === "grants" ? each.grants : []));
  return byTarget(port, grants, { identity, bytes: false });
}

function isOpen({ kind }: Permission): boolean {
  return kind === "any-mesh-identity" || kind === "anyone";
}

function opened(port: number, what: string): PortPermission {
  return { port, by: "permissive mode", allows: [what] };
}

/** Grants of an identity, those of one TrafficTarget together. */
function byTarget(
  port: number,
  grants: readonly Grant[],
  { identity, bytes }: { readonly identity: string; readonly bytes: boolean },
): readonly PortPermission[] {
  const targets = new Map<string, string[]>();
  for (const grant of grants.filter(each => each.identities.some(id => identityKey(id) === identity))) {
    const by = `TrafficTarget ${grantName(grant.name)?.target ?? grant.name}`;
    targets.set(by, [...(targets.get(by) ?? []), bytes ? "connections" : grantText(grant)]);
  }
  return [...targets].map(([by, allows]) => ({ port, by, allows }));
}
