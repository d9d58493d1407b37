import { contained, tellContained } from "../contained";
import { Backoff } from "../kube/backoff";
import type { Clock, LivePod, Log, Subscription } from "../ports";
import { ReceivedRows, type LedgerMessage, type RefusedRow, type ReplicaRows } from "./rows";
import type { FleetView } from "./sum";

/** A pod that serves ADS. */
export interface Replica {
  readonly uid: string;
  readonly name: string;
  /** `host:port` of its ledger. */
  readonly address: string;
  /** It takes new proxies: if it cannot be asked, the sum is not known. */
  readonly ready: boolean;
}

/** How a replica's ledger is subscribed to. */
export type Connect = (
  replica: Replica,
  handlers: { onMessage(message: LedgerMessage): void; onEnd(reason: string): void },
) => Subscription;

/** What a fleet is made of. */
export interface FleetOptions {
  readonly connect: Connect;
  /** Live proxies that should be connected, by pod uid. */
  readonly expected: () => ReadonlyMap<string, LivePod>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Objects whose counts may have changed, or all of them. */
export type ChangedObjects = ReadonlySet<string> | "all";

/**
 * What was known of a replica is kept for so long after its connection has ended, milliseconds. Connections end by their age
 * twice an hour, which is how new certificates and roots reach them, and the next one is there within a few tenths of a second.
 */
const KEEP_ROWS_MS = 3_000;

interface Link {
  replica: Replica;
  readonly backoff: Backoff;
  /** Of the present connection, or for a moment of the one before; undefined: nothing is known. */
  rows: ReceivedRows | undefined;
  connection: Subscription | undefined;
  retry: { cancel(): void } | undefined;
  /** Runs while rows of a connection that has ended are kept. */
  keeping: { cancel(): void } | undefined;
}

/**
 * The ledgers of all replicas, followed. A replica that is ready and cannot be asked makes the whole incomplete; so does
 * having none. What was known of a replica whose connection has ended, and cannot be had again at once, is forgotten: its
 * proxies may be anywhere.
 */
export class Fleet {
  private readonly links = new Map<string, Link>();
  private readonly changes = new Set<(changed: ChangedObjects) => void>();
  private readonly refusals = new Set<(refused: RefusedRow) => void>();
  private absent: ReadonlyMap<string, string> | undefined;

  constructor(private readonly options: FleetOptions) {}

  /** The replicas there are now; those that are not among them are forgotten. */
  setReplicas(replicas: readonly Replica[]): void {
    const byUid = new Map(replicas.map(replica => [replica.uid, replica] as const));
    for (const [uid, link] of [...this.links]) if (!byUid.has(uid)) this.drop(uid, link);
    for (const replica of replicas) {
      const known = this.links.get(replica.uid);
      if (known === undefined) this.add(replica);
      else this.update(known, replica);
    }
    this.changed("all");
  }

  /** To be called when the expected proxies changed. */
  expectedChanged(): void {
    this.changed("all");
  }

  view(): FleetView {
    const links = [...this.links.values()];
    const connected = links.flatMap(link => link.rows ?? []);
    const waiting = links.some(link => link.rows === undefined && link.replica.ready);
    return {
      replicas: connected,
      complete: connected.length > 0 && !waiting,
      missing: (this.absent ??= this.findMissing(connected)),
    };
  }

  /** The replicas there are, and what each has said; undefined: it cannot be asked. */
  replicas(): readonly { readonly replica: Replica; readonly rows: ReplicaRows | undefined }[] {
    return [...this.links.values()].map(({ replica, rows }) => ({ replica, rows }));
  }

  onChange(listener: (changed: ChangedObjects) => void): Subscription {
    this.changes.add(listener);
    return { close: () => this.changes.delete(listener) };
  }

  /** Called for every resource that a replica newly reports as refused, or by more proxies. */
  onRefusal(listener: (refused: RefusedRow) => void): Subscription {
    this.refusals.add(listener);
    return { close: () => this.refusals.delete(listener) };
  }

  stop(): void {
    for (const [uid, link] of [...this.links]) this.drop(uid, link);
    this.changes.clear();
    this.refusals.clear();
  }

  private findMissing(connected: readonly ReceivedRows[]): ReadonlyMap<string, string> {
    const missing = new Map<string, string>();
    for (const [uid, { namespace, name }] of this.options.expected()) {
      if (!connected.some(rows => rows.proxy.has(uid))) missing.set(uid, `${namespace}/${name}`);
    }
    return missing;
  }

  private changed(objects: ChangedObjects): void {
    if (objects === "all") this.absent = undefined;
    for (const listener of [...this.changes]) {
      contained(this.options.log, "counts have changed", () => {
        listener(objects);
      });
    }
  }

  private add(replica: Replica): void {
    const backoff = new Backoff(this.options.random);
    const nothing = { rows: undefined, connection: undefined, retry: undefined, keeping: undefined };
    const link: Link = { replica, backoff, ...nothing };
    this.links.set(replica.uid, link);
    this.update(link, replica);
  }

  private update(link: Link, replica: Replica): void {
    link.replica = replica;
    if (replica.ready && link.connection === undefined && link.retry === undefined) this.open(link);
  }

  private open(link: Link): void {
    const rows = new ReceivedRows();
    link.retry = undefined;
    try {
      link.connection = this.options.connect(link.replica, {
        onMessage: message => {
          this.take(link, rows, message);
        },
        onEnd: reason => {
          this.lost(link, reason);
        },
      });
    } catch (error) {
      tellContained(this.options.log, "the ledger of a replica cannot be asked", {
        replica: link.replica.name,
        error: String(error),
      });
      this.lost(link, String(error));
    }
  }

  private take(link: Link, rows: ReceivedRows, message: LedgerMessage): void {
    const touched = rows.take(message);
    const first = link.rows !== rows;
    link.rows = rows;
    stopKeeping(link);
    link.backoff.succeeded();
    const refused = touched.get("refused") ?? new Set<string>();
    for (const key of refused) this.tellRefusal(rows.refused.get(key));
    const whole = first || refused.size > 0 || (touched.get("proxy")?.size ?? 0) > 0;
    if (whole) this.changed("all");
    else this.changed(new Set([...(touched.get("object") ?? []), ...(touched.get("generation") ?? [])]));
  }

  private tellRefusal(row: RefusedRow | undefined): void {
    if (row === undefined) return;
    for (const listener of [...this.refusals]) {
      const tell = (): void => {
        listener(row);
      };
      contained(this.options.log, "a refusal is told", tell, { resource: row.name });
    }
  }

  private lost(link: Link, reason: string): void {
    link.connection?.close();
    link.connection = undefined;
    const { name, uid, ready } = link.replica;
    if (this.links.get(uid) !== link) return;
    this.options.log.debug("the ledger of a replica cannot be read", { replica: name, reason });
    const wait = link.backoff.failed();
    link.retry = this.options.clock.setTimeout(() => {
      link.retry = undefined;
      this.update(link, link.replica);
    }, wait);
    // It takes no proxies any more, or could not be asked again: there is nothing to wait for.
    if (!ready || link.rows === undefined || link.keeping !== undefined) this.forget(link);
    else {
      link.keeping = this.options.clock.setTimeout(() => {
        this.forget(link);
      }, KEEP_ROWS_MS);
    }
  }

  private forget(link: Link): void {
    stopKeeping(link);
    // Rows may have outlived a replica that is not ready by now: who counted its proxies must hear of it.
    const had = link.rows !== undefined;
    link.rows = undefined;
    if (had || link.replica.ready) this.changed("all");
  }

  private drop(uid: string, link: Link): void {
    this.links.delete(uid);
    link.retry?.cancel();
    stopKeeping(link);
    link.connection?.close();
  }
}

function stopKeeping(link: Link): void {
  link.keeping?.cancel();
  link.keeping = undefined;
}
