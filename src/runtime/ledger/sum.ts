/** The sum over all replicas: how far the live proxies are with one object. */
import { objectRefKey } from "../../model/object-ref";
import type { ProxyProgress } from "../../status/conditions";
import type { RefusedRow, ReplicaRows } from "./rows";

/** What is known of all replicas. */
export interface FleetView {
  readonly replicas: readonly ReplicaRows[];
  /** False when a replica cannot be asked. */
  readonly complete: boolean;
  /** Live proxies that no replica is connected to: `namespace/pod` by uid. */
  readonly missing: ReadonlyMap<string, string>;
}

/** The object that is asked about. */
export interface CountedObject {
  /** Its key. */
  readonly key: string;
  readonly generation: number;
  /** It concerns all proxies, whatever shapes their configuration. */
  readonly everyProxy: boolean;
}

/** Names in {@link ProxyProgress.behind}. */
const NAMED = 3;

interface Counts {
  readonly affected: number;
  readonly programmed: number;
  readonly behind: readonly string[];
}

/** Unconnected proxies that an object shapes. */
export interface Away {
  readonly count: number;
  /** Some of them, `namespace/pod`. */
  readonly names: readonly string[];
}

const NOBODY: Away = { count: 0, names: [] };

/**
 * The unconnected proxies that each object shapes, by its key: summed once for all objects. `shapedBy` tells which objects the
 * configuration of a pod comes from; undefined: that is not known. Pods for which it gives the same set are looked through as one.
 */
export function awayByObject(
  missing: FleetView["missing"],
  shapedBy: (podUid: string) => ReadonlySet<string> | undefined,
): ReadonlyMap<string, Away> {
  const pods = new Map<ReadonlySet<string>, string[]>();
  for (const [uid, name] of missing) {
    const keys = shapedBy(uid);
    if (keys === undefined) continue;
    const alike = pods.get(keys);
    if (alike === undefined) pods.set(keys, [name]);
    else alike.push(name);
  }
  const sums = new Map<string, Away>();
  for (const [keys, alike] of pods) {
    for (const key of keys) {
      const { count, names } = sums.get(key) ?? NOBODY;
      const named = names.length < NAMED ? [...names, ...alike.slice(0, NAMED - names.length)] : names;
      sums.set(key, { count: count + alike.length, names: named });
    }
  }
  return sums;
}

/** Counts the proxies of an object. `byObject` tells of the unconnected ones, see {@link awayByObject}. */
export function progressOf(
  view: FleetView,
  object: CountedObject,
  byObject: ReadonlyMap<string, Away>,
): ProxyProgress {
  const { replicas, complete } = view;
  const parts = replicas.map(rows =>
    object.everyProxy ? countAll(rows, object) : countAffected(rows, object),
  );
  // While a replica cannot be asked, nobody knows who is away.
  const away = complete ? awayOf(view, object, byObject) : NOBODY;
  const behind = [
    ...parts.flatMap(part => part.behind),
    ...away.names.map(name => `${name} (not connected)`),
  ];
  return {
    affected: sum(parts.map(part => part.affected)) + away.count,
    programmed: sum(parts.map(part => part.programmed)),
    behind: behind.slice(0, NAMED),
    compiled: replicas.every(rows => (rows.generation.get(object.key) ?? -1) >= object.generation),
    complete,
    ...refusalsOf(replicas, object.key),
  };
}

function awayOf(
  { missing }: FleetView,
  { key, everyProxy }: CountedObject,
  byObject: ReadonlyMap<string, Away>,
): Away {
  if (!everyProxy) return byObject.get(key) ?? NOBODY;
  return { count: missing.size, names: [...missing.values()].slice(0, NAMED) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

function countAffected({ object }: ReplicaRows, { key }: CountedObject): Counts {
  return object.get(key) ?? { affected: 0, programmed: 0, behind: [] };
}

function countAll({ proxy }: ReplicaRows, { generation }: CountedObject): Counts {
  const late = [...proxy.values()].filter(({ config }) => config < generation);
  const behind = late.slice(0, NAMED).map(({ name }) => name);
  return { affected: proxy.size, programmed: proxy.size - late.length, behind };
}

/** The same proxy may refuse several resources of an object: the most that refused one of them is what counts. */
function refusalsOf(
  replicas: readonly ReplicaRows[],
  key: string,
): Pick<ProxyProgress, "refused" | "refusal"> {
  let refused = 0;
  let first: RefusedRow | undefined;
  for (const rows of replicas) {
    const about = [...rows.refused.values()].filter(row =>
      row.origins.some(ref => objectRefKey(ref) === key),
    );
    refused += Math.max(0, ...about.map(row => row.count));
    first ??= about[0];
  }
  return first === undefined ? { refused } : { refused, refusal: refusalText(first) };
}

/** What a proxy refused, and its words. */
export function refusalText({ proxy, typeUrl, name, message }: RefusedRow): string {
  return `${proxy} refused ${typeUrl.split(".").at(-1) ?? typeUrl} "${name}": ${message}`;
}
