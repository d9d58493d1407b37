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

/** Counts the proxies of an object. `shapedBy` tells which objects the configuration of an unconnected pod comes from. */
export function progressOf(
  view: FleetView,
  object: CountedObject,
  shapedBy: (podUid: string) => ReadonlySet<string>,
): ProxyProgress {
  const { replicas, complete, missing } = view;
  const parts = replicas.map(rows =>
    object.everyProxy ? countAll(rows, object) : countAffected(rows, object),
  );
  // While a replica cannot be asked, nobody knows who is away.
  const away = complete
    ? [...missing].filter(([uid]) => object.everyProxy || shapedBy(uid).has(object.key))
    : [];
  const behind = [
    ...parts.flatMap(part => part.behind),
    ...away.map(([, name]) => `${name} (not connected)`),
  ];
  return {
    affected: sum(parts.map(part => part.affected)) + away.length,
    programmed: sum(parts.map(part => part.programmed)),
    behind: behind.slice(0, NAMED),
    compiled: replicas.every(rows => (rows.generation.get(object.key) ?? -1) >= object.generation),
    complete,
    ...refusalsOf(replicas, object.key),
  };
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
