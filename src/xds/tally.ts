/** How many proxies each policy object affects, and on how many of those it is in force: counted, never asked. */
import { objectRefKey, type ObjectRef } from "../model/object-ref";
import type { EncodedResource, Layer, Snapshot } from "./resource";

/**
 * Objects of which a proxy does not hold everything yet. `everything`: it has just come and holds nothing for sure.
 */
export type Lag = ReadonlySet<string> | "everything";

/** One connected proxy. */
export interface CountedProxy {
  /** `namespace/pod`. */
  readonly name: string;
  /** What it should hold; undefined: nothing has been compiled for it yet. */
  readonly target: Snapshot | undefined;
  readonly lag: Lag;
}

/** Proxies of one object. */
export interface ObjectTally {
  /** Proxies whose configuration the object shapes, or that still hold what it shaped. */
  readonly affected: number;
  /** Those that acknowledged exactly what it should be. */
  readonly programmed: number;
  /** Some of the others, by name. */
  readonly behind: readonly string[];
}

/** Names in {@link ObjectTally.behind}. */
const NAMED = 3;

const keysOfResource = new WeakMap<EncodedResource, readonly string[]>();
const keysOfLayer = new WeakMap<Layer, ReadonlySet<string>>();

function isPolicy(ref: ObjectRef): boolean {
  // Objects of Kubernetes itself have no status of ours; Services alone would be most of the count.
  return ref.group !== "";
}

/** Keys of the policy objects that shape a resource. */
export function objectsOf(resource: EncodedResource): readonly string[] {
  const known = keysOfResource.get(resource);
  if (known !== undefined) return known;
  const keys = resource.origins.filter(isPolicy).map(objectRefKey);
  keysOfResource.set(resource, keys);
  return keys;
}

/** Keys of the policy objects that shape some resource of a layer; found once per layer, however many share it. */
function objectsIn(layer: Layer): ReadonlySet<string> {
  const known = keysOfLayer.get(layer);
  if (known !== undefined) return known;
  const keys = new Set<string>();
  for (const resource of layer.values()) for (const key of objectsOf(resource)) keys.add(key);
  keysOfLayer.set(layer, keys);
  return keys;
}

/** Proxies with the same layers, which the same objects affect. */
interface Crowd {
  readonly objects: ReadonlySet<string>;
  size: number;
  /** Of these, those that have just come. */
  fresh: number;
  readonly freshNames: string[];
}

interface SharedCrowd extends Crowd {
  /** By the layers that are their own. */
  readonly own: Map<string, Crowd>;
}

interface Draft {
  affected: number;
  late: number;
  readonly behind: string[];
}

const ids = new WeakMap<Layer, number>();
let lastId = 0;

function idOf(layer: Layer): number {
  const known = ids.get(layer) ?? (lastId += 1);
  ids.set(layer, known);
  return known;
}

function crowdOf(layers: readonly Layer[]): Crowd {
  const objects = new Set<string>();
  for (const layer of layers) for (const key of objectsIn(layer)) objects.add(key);
  return { objects, size: 0, fresh: 0, freshNames: [] };
}

function join(crowd: Crowd, proxy: CountedProxy): void {
  crowd.size += 1;
  if (proxy.lag !== "everything") return;
  crowd.fresh += 1;
  if (crowd.freshNames.length < NAMED) crowd.freshNames.push(proxy.name);
}

/** The layers of a snapshot, what many proxies share apart from what few do. */
function layersOf(target: Snapshot): { readonly shared: readonly Layer[]; readonly own: readonly Layer[] } {
  const sets = [...target.values()];
  return {
    shared: sets.flatMap(set => set.layers.slice(0, 1)),
    own: sets.flatMap(set => set.layers.slice(1)),
  };
}

const keyOf = (layers: readonly Layer[]): string => layers.map(idOf).join(",");

/** A tally in the making. */
class Count {
  private readonly crowds = new Map<string, SharedCrowd>();
  private readonly drafts = new Map<string, Draft>();

  /** Takes in a proxy; what it lags behind with counts at once, what affects it when all are in. */
  add(proxy: CountedProxy): void {
    const { shared, own } = layersOf(proxy.target ?? new Map());
    const sharedKey = keyOf(shared);
    const crowd = this.crowds.get(sharedKey) ?? { ...crowdOf(shared), own: new Map<string, Crowd>() };
    this.crowds.set(sharedKey, crowd);
    const ownKey = keyOf(own);
    const part = crowd.own.get(ownKey) ?? crowdOf(own);
    crowd.own.set(ownKey, part);
    join(crowd, proxy);
    join(part, proxy);
    if (proxy.lag === "everything") return;
    for (const key of proxy.lag) {
      const draft = this.draft(key);
      draft.late += 1;
      if (draft.behind.length < NAMED) draft.behind.push(proxy.name);
      // It still holds what the object shaped, although it should not any more.
      if (!crowd.objects.has(key) && !part.objects.has(key)) draft.affected += 1;
    }
  }

  result(): ReadonlyMap<string, ObjectTally> {
    for (const crowd of this.crowds.values()) {
      for (const key of crowd.objects) this.count(key, crowd);
      for (const part of crowd.own.values()) this.countAll(part, crowd.objects);
    }
    return new Map(
      [...this.drafts].map(([key, { affected, late, behind }]) => [
        key,
        { affected, programmed: affected - late, behind: [...behind].sort() },
      ]),
    );
  }

  private countAll(crowd: Crowd, counted: ReadonlySet<string>): void {
    for (const key of crowd.objects) if (!counted.has(key)) this.count(key, crowd);
  }

  private count(key: string, crowd: Crowd): void {
    const draft = this.draft(key);
    draft.affected += crowd.size;
    draft.late += crowd.fresh;
    draft.behind.push(...crowd.freshNames.slice(0, Math.max(0, NAMED - draft.behind.length)));
  }

  private draft(key: string): Draft {
    const known = this.drafts.get(key) ?? { affected: 0, late: 0, behind: [] };
    this.drafts.set(key, known);
    return known;
  }
}

/** The tally of every policy object that affects some of these proxies, by {@link objectRefKey}. */
export function tallyOf(proxies: Iterable<CountedProxy>): ReadonlyMap<string, ObjectTally> {
  const count = new Count();
  for (const proxy of proxies) count.add(proxy);
  return count.result();
}
