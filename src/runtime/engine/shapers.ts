import { apiKind } from "../../api/kinds";
import type { Catalog } from "../../catalog/index";
import type { Inputs } from "../../catalog/inputs";
import type { NodeGroup, View } from "../../catalog/node-groups";
import { nodeGroupKey, viewKey } from "../../catalog/node-groups";
import type { Cell, Family, Graph, Read, Watch } from "../../graph/graph";
import { objectRefKey, originsWithin } from "../../model/object-ref";
import type { Policy, Shown } from "../../policy/policy";
import { PARTS, shownKey } from "../../policy/policy";
import type { Leaf } from "../../policy/types";

/** Keys of custom objects ({@link objectRefKey}). */
export type ShaperKeys = ReadonlySet<string>;

/** The custom objects that the configuration of a pod's proxy comes from. */
export interface Shapers {
  /** By pod uid; none where there is no such proxy. */
  readonly ofPod: Family<string, ShaperKeys>;
  /** Compiles what {@link Shapers.ofPod} reads of these pods and what many of them share, one small part each step. */
  prepare(podUids: readonly string[]): Preparation;
}

/** Something that is compiled in steps. */
export interface Preparation {
  /** Compiles a little more; false: all is compiled. */
  step(): boolean;
  /** Lets go of what was compiled, where nothing else reads it. */
  close(): void;
}

const NOTHING: ShaperKeys = new Set();

/** Looks for what shapes pods, in the leaves of their groups. */
export function createShapers(inputs: Inputs, { nodeGroups }: Catalog, policy: Policy): Shapers {
  const { graph, pods } = inputs;
  const partsOf = shapersOfParts(graph, policy);
  const ofView = graph.family<View, ShaperKeys>({
    label: "shapers.view",
    keyOf: viewKey,
    compute: (read, view) => union(partsOf(read, view).map(part => read(part))),
    equals: sameKeys,
  });
  const ofGroup = graph.family<NodeGroup, ShaperKeys>({
    label: "shapers.group",
    keyOf: nodeGroupKey,
    compute: (read, group) => union([read(ofView(group.view)), customWithin(read(policy.own(group)))]),
    equals: sameKeys,
  });
  const groupOf = (read: Read, podUid: string): NodeGroup | undefined => {
    const [podKey] = read(pods.by("uid", podUid));
    return podKey === undefined ? undefined : read(nodeGroups.group(podKey));
  };
  const viewParts = graph.family<View, readonly Cell<ShaperKeys>[]>({
    label: "shapers.parts",
    keyOf: viewKey,
    compute: partsOf,
  });
  const viewOf = graph.family<string, View | undefined>({
    label: "shapers.viewOf",
    keyOf: podUid => podUid,
    compute: (read, podUid) => groupOf(read, podUid)?.view,
  });
  return {
    ofPod: graph.family({
      label: "shapers",
      keyOf: (podUid: string) => podUid,
      compute: (read, podUid) => {
        const group = groupOf(read, podUid);
        return group === undefined ? NOTHING : read(ofGroup(group));
      },
    }),
    prepare: podUids => prepare(graph, podUids, { viewOf, viewParts }),
  };
}

/** What shapes each thing that a view shows: a cell of its own, at which most changes end. */
function shapersOfParts(
  graph: Graph,
  policy: Policy,
): (read: Read, view: View) => readonly Cell<ShaperKeys>[] {
  const familyOf = (label: string, leaves: Family<Shown, readonly Leaf[]>): Family<Shown, ShaperKeys> =>
    graph.family({
      label: `shapers.${label}`,
      keyOf: shownKey,
      compute: (read, shown) => customWithin(read(leaves(shown))),
      equals: sameKeys,
    });
  const ofPod = familyOf("pod", policy.ofPod);
  const ofService = PARTS.map(part => ({ part, family: familyOf(part, policy.ofService[part]) }));
  return (read, view) => [
    ...ofService.flatMap(({ part, family }) => read(policy.services({ view, part })).map(family)),
    ...read(policy.pods(view)).map(ofPod),
  ];
}

interface Families {
  readonly viewOf: Family<string, View | undefined>;
  readonly viewParts: Family<View, readonly Cell<ShaperKeys>[]>;
}

function prepare(graph: Graph, podUids: readonly string[], families: Families): Preparation {
  const open: Watch<unknown>[] = [];
  const read = <T>(cell: Cell<T>): T | undefined => {
    const watch = graph.watch(cell, () => undefined);
    open.push(watch);
    try {
      return watch.read();
    } catch {
      // Whoever reads it is told.
      return undefined;
    }
  };
  const steps = inSteps(podUids, read, families);
  return {
    step: () => steps.next().done !== true,
    close: () => {
      graph.batch(() => {
        for (const watch of open.splice(0)) watch.close();
      });
    },
  };
}

/** Each view once. */
function* inSteps(
  podUids: readonly string[],
  read: <T>(cell: Cell<T>) => T | undefined,
  { viewOf, viewParts }: Families,
): Generator<undefined, void> {
  const seen = new Set<string>();
  for (const podUid of podUids) {
    const view = read(viewOf(podUid));
    yield;
    if (view === undefined || seen.has(viewKey(view))) continue;
    seen.add(viewKey(view));
    for (const part of read(viewParts(view)) ?? []) {
      read(part);
      yield;
    }
  }
}

function customWithin(leaves: readonly Leaf[]): ShaperKeys {
  const keys = new Set<string>();
  for (const leaf of leaves) {
    for (const origin of originsWithin(leaf)) {
      if (apiKind(origin.kind)?.group === origin.group) keys.add(objectRefKey(origin));
    }
  }
  return keys.size === 0 ? NOTHING : keys;
}

function union(sets: readonly ShaperKeys[]): ShaperKeys {
  const all = new Set<string>();
  for (const keys of sets) for (const key of keys) all.add(key);
  return all;
}

function sameKeys(before: ShaperKeys, after: ShaperKeys): boolean {
  return before.size === after.size && [...after].every(key => before.has(key));
}
