import { trusts, type ProxyTrust, type ReplicaTrust } from "../../certificate/root-proof";
import { SDS_PEERS, SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../model/mesh-words";
import { objectRefKey, type ObjectRef } from "../../model/object-ref";
import type { DiffCache } from "../../xds/diff";
import { heldOf, isSettled, isSynced, lagOf } from "../../xds/ledger";
import { TYPE_URLS } from "../../xds/resource";
import type { StreamState } from "../../xds/stream";
import { tallyOf, type Lag } from "../../xds/tally";
import type { LedgerStream, RefusedResource } from "../ads/ledger";
import type { EngineReports } from "../engine/reports";
import { contained } from "../contained";
import type { Clock, Log, Subscription } from "../ports";
import { leafDue, leafRoot } from "../secrets/leaf-version";
import {
  GIVEN,
  messageBetween,
  printRows,
  type PrintedRows,
  type ProxyRow,
  type RefusedRow,
  type ReplicaRows,
  type StandRow,
} from "./rows";

/** What the ADS server tells of its streams. */
export interface StreamSource {
  /** The newest stream of each pod. */
  newest(): Iterable<LedgerStream>;
  readonly diffs: DiffCache;
  refusals(): readonly RefusedResource[];
  /** Called soon after a stream came, went or moved. */
  onChange(listener: () => void): Subscription;
}

/** What a replica's ledger is made of. */
export interface ReplicaLedgerOptions {
  readonly streams: StreamSource;
  readonly engine: Pick<EngineReports, "generations" | "onCompiled">;
  /** The object that concerns every proxy. */
  readonly meshConfig: ObjectRef;
  /** What is given to proxies that connect now; undefined: nobody rotates roots here. */
  readonly given?: () => ReplicaTrust;
  /** Trust domains that the configuration delivered last accepts; undefined: nobody rotates roots here. */
  readonly domains?: () => readonly string[];
  /** Release of this replica, to be shown. */
  readonly version?: string;
  readonly clock: Clock;
  /** Told of what cannot be counted or sent; default: nobody. */
  readonly log?: Log;
}

/** Counting is put off this long, so that acknowledgements of a whole fleet are counted at once; milliseconds. */
const COUNT_AFTER_MS = 25;
/** Counting takes at most this share of the time, however many objects and proxies there are and change. */
const COUNT_SHARE = 0.1;

interface Known {
  readonly openedAt: number;
  readonly state: StreamState;
  readonly lag: Lag;
  readonly row: ProxyRow;
  readonly trust: ProxyTrust;
  readonly stand: StandRow;
  /** Trust domains of the last configuration that it has held in full, as JSON, to be compared. */
  readonly domains: string;
}

/** What the configuration delivered last stands for. */
interface Delivered {
  /** Generation of MeshConfig. */
  readonly config: number;
  /** Trust domains, as JSON. */
  readonly domains: string;
}

/** The ledger of this replica, as rows that others subscribe to. */
export class ReplicaLedger {
  private readonly watchers = new Set<Watcher>();
  private readonly subscriptions: readonly Subscription[];
  private readonly meshConfig: string;
  private known = new Map<string, Known>();
  private timer: { cancel(): void } | undefined;
  private lastCountMs = 0;

  constructor(private readonly options: ReplicaLedgerOptions) {
    this.meshConfig = objectRefKey(options.meshConfig);
    const look = (): void => {
      if (this.watchers.size > 0) this.countSoon();
    };
    this.subscriptions = [options.streams.onChange(look), options.engine.onCompiled(look)];
  }

  /**
   * Sends the ledger as it is now, and then every change, until closed. `send` returns false when it wants no more for
   * now; it is sent what has changed meanwhile after {@link ReplicaLedger.resume}.
   */
  watch(send: (message: string) => boolean): Subscription {
    const watcher: Watcher = { send, sent: undefined, full: false };
    this.watchers.add(watcher);
    this.countSoon();
    return {
      close: () => {
        this.watchers.delete(watcher);
        // Nobody asks, so streams that go would be remembered for good.
        if (this.watchers.size === 0) this.known.clear();
      },
    };
  }

  /** Whoever wanted no more takes messages again. */
  resume(): void {
    for (const watcher of this.watchers) watcher.full = false;
    this.countSoon();
  }

  /** Counts now. */
  rows(): ReplicaRows {
    const { streams, engine } = this.options;
    const generation = engine.generations();
    const now = {
      config: generation.get(this.meshConfig) ?? 0,
      domains: JSON.stringify(this.options.domains?.() ?? []),
    };
    const next = new Map<string, Known>();
    for (const stream of streams.newest()) {
      const { podUid, podName } = stream.proxy;
      // What cannot be counted has no row, and so is waited for: it must not be taken for what it was.
      const count = (): void => {
        next.set(podUid, this.look(stream, this.known.get(podUid), now));
      };
      contained(this.options.log, "count of a proxy", count, { pod: podName });
    }
    this.known = next;
    const proxies = [...next.values()];
    return {
      generation,
      object: tallyOf(
        proxies.map(({ state, lag, row }) => ({ name: row.name, target: state.snapshot, lag })),
      ),
      proxy: new Map([...next].map(([uid, { row }]) => [uid, row])),
      refused: this.refused(next),
      trust: new Map([...next].map(([uid, { trust }]) => [uid, trust])),
      given: new Map(this.options.given === undefined ? [] : [[GIVEN, this.options.given()]]),
      stand: new Map([...next].map(([uid, { stand }]) => [uid, stand])),
      about: new Map(this.about),
    };
  }

  /** What is given to proxies has changed, which no stream need tell. */
  givenChanged(): void {
    if (this.watchers.size > 0) this.countSoon();
  }

  stop(): void {
    this.timer?.cancel();
    for (const subscription of this.subscriptions) subscription.close();
    this.watchers.clear();
  }

  private look(stream: LedgerStream, before: Known | undefined, now: Delivered): Known {
    const { proxy, state, openedAt } = stream;
    if (before !== undefined && isStill(before, stream, now)) return before;
    const { diffs } = this.options.streams;
    const name = `${proxy.identity.namespace}/${proxy.podName}`;
    // A new stream may be of a new process, which holds nothing.
    const earlier =
      before?.openedAt === openedAt
        ? { config: before.row.config, domains: before.domains }
        : { config: 0, domains: "[]" };
    const settled = isSettled(state, diffs);
    const { config } = settled ? now : earlier;
    // What was refused may be the very listener that has to know another trust domain.
    const { domains } = settled && isSynced(state, diffs) ? now : earlier;
    const trust = { ...trustOf(name, stream), ...this.accepted(domains) };
    const stand = standOf(stream, settled ? undefined : this.lateSince(before));
    return { openedAt, state, lag: lagOf(state, diffs), row: { name, config }, trust, stand, domains };
  }

  private lateSince(before: Known | undefined): number {
    return before?.stand.lateSince ?? this.options.clock.now();
  }

  private get about(): readonly (readonly [string, { version: string }])[] {
    const { version } = this.options;
    return version === undefined ? [] : [[GIVEN, { version }]];
  }

  private accepted(domains: string): Pick<ProxyTrust, "domains"> {
    return this.options.domains === undefined ? {} : { domains: JSON.parse(domains) as readonly string[] };
  }

  private refused(proxies: ReadonlyMap<string, Known>): ReadonlyMap<string, RefusedRow> {
    return new Map(
      this.options.streams.refusals().map(({ typeUrl, name, version, message, origins, podUids }) => {
        const proxy = podUids.map(uid => proxies.get(uid)?.row.name).find(known => known !== undefined) ?? "";
        const row = { typeUrl, name, version, message, origins, count: podUids.length, proxy };
        return [refusalKey(typeUrl, row), row];
      }),
    );
  }

  private countSoon(): void {
    const { clock } = this.options;
    const wait = Math.max(COUNT_AFTER_MS, this.lastCountMs / COUNT_SHARE);
    this.timer ??= clock.setTimeout(() => {
      this.timer = undefined;
      if (this.watchers.size === 0) return;
      const start = clock.now();
      const now = printRows(this.rows());
      for (const watcher of [...this.watchers]) {
        contained(this.options.log, "watcher of the ledger", () => {
          tell(watcher, now);
        });
      }
      this.lastCountMs = clock.now() - start;
    }, wait);
  }
}

/** Version of the roots that a proxy trusts as a client and as a server: those in both, where it asks for both. */
function trustedBy(state: StreamState): string | null | undefined {
  const asked = [SDS_ROOT_CERT, SDS_PEERS]
    .map(name => heldOf(state, TYPE_URLS.secret, name))
    .filter(version => version !== undefined);
  const held = asked.filter(version => version !== null);
  const [first, ...rest] = held;
  if (first === undefined || held.length < asked.length) return asked.length === 0 ? undefined : null;
  const roots = first.split("+").filter(root => rest.every(version => trusts(version, root)));
  return roots.join("+");
}

function trustOf(name: string, { state, root }: LedgerStream): ProxyTrust {
  const trust = trustedBy(state);
  const leaf = heldOf(state, TYPE_URLS.secret, SDS_SERVICE_CERT);
  return {
    name,
    ...(root === undefined ? {} : { own: root }),
    ...(trust === undefined ? {} : { trust }),
    ...(leaf === undefined ? {} : { issuer: leaf && leafRoot(leaf) }),
  };
}

function isStill(before: Known, { state, root }: LedgerStream, now: Delivered): boolean {
  const isSame = before.state === state && before.trust.own === root;
  return isSame && before.row.config === now.config && before.domains === now.domains;
}

/** Refusals that are named of one proxy. */
const MOST_REFUSED = 3;

function refusalKey(typeUrl: string, { name, version }: { name: string; version: string }): string {
  return `${typeUrl} ${name} ${version}`;
}

function standOf({ openedAt, build, state }: LedgerStream, late: number | undefined): StandRow {
  const renewAt = leafDue(heldOf(state, TYPE_URLS.secret, SDS_SERVICE_CERT) ?? "");
  const refused = [...state.types.values()]
    .flatMap(({ typeUrl, rejected }) => [...rejected.values()].map(one => refusalKey(typeUrl, one)))
    .slice(0, MOST_REFUSED);
  return {
    since: openedAt,
    ...(late === undefined ? {} : { lateSince: late }),
    ...(build === undefined ? {} : { envoy: build }),
    ...(renewAt === undefined ? {} : { renewAt }),
    ...(refused.length === 0 ? {} : { refused }),
  };
}

interface Watcher {
  readonly send: (message: string) => boolean;
  sent: PrintedRows | undefined;
  full: boolean;
}

function tell(watcher: Watcher, now: PrintedRows): void {
  if (watcher.full) return;
  const message = messageBetween(watcher.sent, now);
  if (message !== undefined) watcher.full = !watcher.send(message);
  // Not before: what could not be sent is still to be told.
  watcher.sent = now;
}
