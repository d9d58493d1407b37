import type { NodeGroup, View } from "../../catalog/node-groups";
import { nodeGroupKey } from "../../catalog/node-groups";
import { sameElements } from "../../graph/equality";
import type { Family, Graph, Read } from "../../graph/graph";
import type { Part, Policy, Source } from "../../policy/policy";
import { partOf, PARTS } from "../../policy/policy";
import type { Leaf } from "../../policy/types";
import type { EncodedResource, Layer, ResourceSet, Snapshot, TypeUrl } from "../../xds/resource";
import { resourceSet, TYPE_URLS } from "../../xds/resource";

/** Makes bytes of a leaf; undefined when it cannot (a fault of ours, reported by the encoder's owner). */
export type Encode = (leaf: Leaf) => EncodedResource | undefined;

const EMPTY: Layer = new Map();

function sameLayer(before: Layer, after: Layer): boolean {
  if (before.size !== after.size) return false;
  for (const [name, resource] of after) if (before.get(name) !== resource) return false;
  return true;
}

/** Names are unique by construction; if two ever meet, the first in source order stays. */
function layerOf(resources: Iterable<EncodedResource>): Layer {
  const layer = new Map<string, EncodedResource>();
  for (const resource of resources) if (!layer.has(resource.name)) layer.set(resource.name, resource);
  return layer.size === 0 ? EMPTY : layer;
}

/**
 * Snapshots by node group, made of shared parts: each leaf is encoded once whoever uses it (its cell is keyed by the
 * leaf's content), a view's resources of one type are one layer for all groups that see the view.
 */
export function createSnapshots(graph: Graph, policy: Policy, encode: Encode): Family<NodeGroup, Snapshot> {
  const encoded = graph.family<Leaf, EncodedResource | undefined>({
    label: "encoded",
    keyOf: leaf => JSON.stringify(leaf),
    compute: (_read, leaf) => encode(leaf),
  });
  const encodeAll = (read: Read, leaves: readonly Leaf[]): readonly EncodedResource[] =>
    leaves.flatMap(leaf => read(encoded(leaf)) ?? []);

  const shared = graph.family<{ source: Source; part: Part }, readonly EncodedResource[]>({
    label: "sharedEncoded",
    keyOf: ({ source, part }) => `${part}|${source.kind}|${source.key}`,
    compute: (read, key) => encodeAll(read, read(policy.shared(key))),
    equals: sameElements,
  });
  const viewLayer = graph.family<{ view: View; part: Part }, Layer>({
    label: "viewLayer",
    keyOf: ({ view, part }) => `${part}|${view.kind}`,
    compute: (read, { view, part }) =>
      layerOf(read(policy.sources({ view, part })).flatMap(source => read(shared({ source, part })))),
    equals: sameLayer,
  });
  const ownLayer = graph.family<{ group: NodeGroup; part: Part }, Layer>({
    label: "ownLayer",
    keyOf: ({ group, part }) => `${part}|${nodeGroupKey(group)}`,
    compute: (read, { group, part }) =>
      layerOf(
        encodeAll(
          read,
          read(policy.own(group)).filter(leaf => partOf(leaf) === part),
        ),
      ),
    equals: sameLayer,
  });
  const endpointSet = graph.family<View, ResourceSet>({
    label: "endpointSet",
    keyOf: view => view.kind,
    compute: (read, view) => resourceSet(TYPE_URLS.endpoint, read(viewLayer({ view, part: "endpoint" }))),
  });
  const set = graph.family<{ group: NodeGroup; part: Part }, ResourceSet>({
    label: "resourceSet",
    keyOf: ({ group, part }) => `${part}|${nodeGroupKey(group)}`,
    compute: (read, { group, part }) =>
      resourceSet(
        TYPE_URLS[part],
        read(viewLayer({ view: group.view, part })),
        read(ownLayer({ group, part })),
      ),
  });
  return graph.family<NodeGroup, Snapshot>({
    label: "snapshot",
    keyOf: nodeGroupKey,
    compute: (read, group) =>
      new Map(
        PARTS.map((part): [TypeUrl, ResourceSet] => [
          TYPE_URLS[part],
          read(part === "endpoint" ? endpointSet(group.view) : set({ group, part })),
        ]),
      ),
  });
}
