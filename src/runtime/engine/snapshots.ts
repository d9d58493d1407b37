import type { NodeGroup, View } from "../../catalog/node-groups";
import { nodeGroupKey, viewKey } from "../../catalog/node-groups";
import { sameElements } from "../../graph/equality";
import type { Family, Graph, Read } from "../../graph/graph";
import type { Part, Policy, Shown } from "../../policy/policy";
import { partOf, shownKey } from "../../policy/policy";
import type { Leaf } from "../../policy/types";
import type { EncodedResource, Layer, ResourceSet, Snapshot } from "../../xds/resource";
import { resourceSet, TYPE_URLS } from "../../xds/resource";
import { tellContained } from "../contained";
import type { Log } from "../ports";

/** Makes bytes of a leaf; undefined when it cannot (a fault of ours, reported by the encoder's owner). */
export type Encode = (leaf: Leaf) => EncodedResource | undefined;

/** Parts of which a group has something of its own. */
const GROUP_PARTS = ["cluster", "listener", "route"] as const satisfies readonly Part[];

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

/** Encodes the leaves it is given; equal leaves share one cell, so they are encoded once. */
type EncodeAll = (read: Read, leaves: readonly Leaf[]) => readonly EncodedResource[];

function createEncoder(graph: Graph, encode: Encode): EncodeAll {
  const encoded = graph.family<Leaf, EncodedResource | undefined>({
    label: "encoded",
    keyOf: leaf => JSON.stringify(leaf),
    compute: (_read, leaf) => encode(leaf),
  });
  return (read, leaves) => leaves.flatMap(leaf => read(encoded(leaf)) ?? []);
}

/** What a view shows, one layer per part. */
function createViewLayers(
  graph: Graph,
  {
    policy,
    encodeAll,
    log,
  }: { readonly policy: Policy; readonly encodeAll: EncodeAll; readonly log: Log | undefined },
): Family<{ readonly view: View; readonly part: Part }, Layer> {
  const encodedFamily = (label: string, leaves: Family<Shown, readonly Leaf[]>) =>
    graph.family<Shown, readonly EncodedResource[]>({
      label: `encoded.${label}`,
      keyOf: shownKey,
      compute: (read, shown) => encodeAll(read, read(leaves(shown))),
      // A fault of ours costs what is shown of this one; it stays as it was. Where it never was (a replica that has just started),
      // the error goes on: to leave a Service out would send its calls past the mesh, and proxies keep what they have.
      rescue: (error, shown, last) => {
        tellContained(log, "not compiled, it stays as it was", { of: shownKey(shown), part: label, error });
        return last;
      },
      equals: sameElements,
    });
  const ofPod = encodedFamily("pod", policy.ofPod);
  const ofService = {
    cluster: encodedFamily("cluster", policy.ofService.cluster),
    endpoint: encodedFamily("endpoint", policy.ofService.endpoint),
    route: encodedFamily("route", policy.ofService.route),
    listener: encodedFamily("listener", policy.ofService.listener),
  };
  return graph.family<{ view: View; part: Part }, Layer>({
    label: "viewLayer",
    keyOf: ({ view, part }) => `${part}|${viewKey(view)}`,
    compute: (read, { view, part }) => {
      const services = read(policy.services({ view, part })).flatMap(shown => read(ofService[part](shown)));
      if (part !== "listener") return layerOf(services);
      return layerOf([...services, ...read(policy.pods(view)).flatMap(shown => read(ofPod(shown)))]);
    },
    equals: sameLayer,
  });
}

/**
 * Snapshots by node group, made of shared parts: each leaf is encoded once whoever uses it (its cell is keyed by the
 * leaf's content), a view's resources of one type are one layer for all groups that see the view.
 */
export function createSnapshots(
  graph: Graph,
  policy: Policy,
  encode: Encode,
  log?: Log,
): Family<NodeGroup, Snapshot> {
  const encodeAll = createEncoder(graph, encode);
  const viewLayer = createViewLayers(graph, { policy, encodeAll, log });
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
    keyOf: viewKey,
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
  /** Apart from the snapshot, because endpoints change most often and these do not change with them. */
  const groupSets = graph.family<NodeGroup, readonly ResourceSet[]>({
    label: "groupSets",
    keyOf: nodeGroupKey,
    compute: (read, group) => GROUP_PARTS.map(part => read(set({ group, part }))),
    equals: sameElements,
  });
  return graph.family<NodeGroup, Snapshot>({
    label: "snapshot",
    keyOf: nodeGroupKey,
    compute: (read, group) => {
      const sets = [read(endpointSet(group.view)), ...read(groupSets(group))];
      return new Map(sets.map(own => [own.typeUrl, own] as const));
    },
  });
}
