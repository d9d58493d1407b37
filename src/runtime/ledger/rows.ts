/** What a replica says about the proxies connected to it, as rows: sent in full on connection, then as they change. */
import type { ProxyTrust, ReplicaTrust } from "../../certificate/root-proof";
import type { ObjectRef } from "../../model/object-ref";
import type { ObjectTally } from "../../xds/tally";

/** A connected proxy. */
export interface ProxyRow {
  /** `namespace/pod`. */
  readonly name: string;
  /** Newest generation of MeshConfig under which it has held everything it should. */
  readonly config: number;
}

/** A resource that proxies refused. */
export interface RefusedRow {
  readonly typeUrl: string;
  readonly name: string;
  readonly version: string;
  /** What the first of them said. */
  readonly message: string;
  readonly origins: readonly ObjectRef[];
  /** How many proxies. */
  readonly count: number;
  /** The first of them, `namespace/pod`. */
  readonly proxy: string;
}

/** How a connected proxy stands, to be shown: nothing depends on it. Times in epoch milliseconds. */
export interface StandRow {
  /** Since when it is connected to this replica. */
  readonly since: number;
  /** Since when it lacks something of what it should hold, refusals aside; absent: it holds everything. */
  readonly lateSince?: number;
  /** Version of Envoy, as the proxy says. */
  readonly envoy?: string;
  /** When its certificate is renewed; absent: it has none of this mesh. */
  readonly renewAt?: number;
  /** Keys of {@link ReplicaRows.refused} that it refuses, a few; absent: none. */
  readonly refused?: readonly string[];
}

/** All rows of one replica. */
export interface ReplicaRows {
  /** Generation of custom objects as compiled, by object. */
  readonly generation: ReadonlyMap<string, number>;
  /** Counts by object; an object without a row affects none of the replica's proxies. */
  readonly object: ReadonlyMap<string, ObjectTally>;
  /** By pod uid. */
  readonly proxy: ReadonlyMap<string, ProxyRow>;
  /** By type, name and version. */
  readonly refused: ReadonlyMap<string, RefusedRow>;
  /** Whom each proxy trusts and whose certificate it has, by pod uid. Apart from the rest: nothing else depends on it. */
  readonly trust: ReadonlyMap<string, ProxyTrust>;
  /** What the replica gives to proxies that connect now: one row, {@link GIVEN}; none from an older release. */
  readonly given: ReadonlyMap<string, ReplicaTrust>;
  /** By pod uid. */
  readonly stand: ReadonlyMap<string, StandRow>;
  /** The replica itself: one row, {@link GIVEN}; none from an older release. */
  readonly about: ReadonlyMap<string, { /** Release. */ readonly version: string }>;
}

/** Key of the one row of {@link ReplicaRows.given} and of {@link ReplicaRows.about}. */
export const GIVEN = "given";

/** The kinds of rows. */
const ROW_KINDS = [
  "generation",
  "object",
  "proxy",
  "refused",
  "trust",
  "given",
  "stand",
  "about",
] as const satisfies readonly (keyof ReplicaRows)[];
/** One of {@link ROW_KINDS}. */
type RowKind = (typeof ROW_KINDS)[number];

/** Rows of one kind that differ; null: gone. */
type Changes = Readonly<Partial<Record<RowKind, Readonly<Record<string, unknown>>>>>;

/** One message: everything, or what differs from what was sent before. */
export interface LedgerMessage {
  readonly full: boolean;
  readonly rows: Changes;
}

/** Rows as text, by which they are compared and sent. */
export type PrintedRows = ReadonlyMap<RowKind, ReadonlyMap<string, string>>;

/** Prints rows. */
export function printRows(rows: ReplicaRows): PrintedRows {
  return new Map(
    ROW_KINDS.map(kind => [
      kind,
      new Map([...rows[kind]].map(([key, row]) => [key, JSON.stringify(row)] as const)),
    ]),
  );
}

/** The message that leads from what was sent to what is; undefined when nothing differs. */
export function messageBetween(sent: PrintedRows | undefined, now: PrintedRows): string | undefined {
  const parts: string[] = [];
  for (const kind of ROW_KINDS) {
    const changes = changesBetween(sent?.get(kind), now.get(kind) ?? new Map<string, string>());
    if (changes.length > 0) parts.push(`${JSON.stringify(kind)}:{${changes.join(",")}}`);
  }
  if (sent !== undefined && parts.length === 0) return undefined;
  return `{"full":${sent === undefined ? "true" : "false"},"rows":{${parts.join(",")}}}`;
}

function changesBetween(
  before: ReadonlyMap<string, string> | undefined,
  now: ReadonlyMap<string, string>,
): readonly string[] {
  const changes: string[] = [];
  for (const [key, row] of now) {
    if (before?.get(key) !== row) changes.push(`${JSON.stringify(key)}:${row}`);
  }
  for (const key of before?.keys() ?? []) if (!now.has(key)) changes.push(`${JSON.stringify(key)}:null`);
  return changes;
}

/** Rows of a replica as they arrive; the sender is a pod of the same control plane, proven by its certificate. */
export class ReceivedRows implements ReplicaRows {
  readonly generation = new Map<string, number>();
  readonly object = new Map<string, ObjectTally>();
  readonly proxy = new Map<string, ProxyRow>();
  readonly refused = new Map<string, RefusedRow>();
  readonly trust = new Map<string, ProxyTrust>();
  readonly given = new Map<string, ReplicaTrust>();
  readonly stand = new Map<string, StandRow>();
  readonly about = new Map<string, { version: string }>();

  /** Takes in a message; returns what changed. */
  take(message: LedgerMessage): ReadonlyMap<RowKind, ReadonlySet<string>> {
    const changed = new Map<RowKind, Set<string>>();
    for (const kind of ROW_KINDS) {
      const rows = message.rows[kind] ?? {};
      const touched = new Set(Object.keys(rows));
      const own: Map<string, unknown> = this[kind];
      const before = message.full ? [...own.keys()] : [];
      for (const key of before) touched.add(key);
      for (const key of touched) {
        const row = rows[key] ?? null;
        if (row === null) own.delete(key);
        else own.set(key, row);
      }
      changed.set(kind, touched);
    }
    return changed;
  }
}
