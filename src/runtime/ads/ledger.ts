/** The sum over this replica's streams: who is connected, who holds the newest configuration, what was refused. */
import { identityKey } from "../../model/identity";
import { objectRefKey, type ObjectRef } from "../../model/object-ref";
import type { DiffCache } from "../../xds/diff";
import { isSynced, standingOf, type TypeStanding } from "../../xds/ledger";
import type { StreamState } from "../../xds/stream";
import { contained } from "../contained";
import type { AuthenticatedProxy, Log } from "../ports";

/** One connected proxy. */
export interface ProxyStanding {
  readonly podUid: string;
  readonly podName: string;
  /** `namespace/account`. */
  readonly identity: string;
  /** Epoch milliseconds. */
  readonly connectedAt: number;
  readonly synced: boolean;
  readonly bytesSent: number;
  readonly types: readonly TypeStanding[];
}

/** A refused resource version with the proxies that refused it. */
export interface RefusedResource {
  readonly typeUrl: string;
  readonly name: string;
  readonly version: string;
  /** What the first of them said. */
  readonly message: string;
  readonly origins: readonly ObjectRef[];
  readonly podUids: readonly string[];
}

/** What status is computed from. */
export interface LedgerSummary {
  /** Pods with at least one stream to this replica. */
  readonly connected: number;
  /** Those that hold everything of their newest configuration. */
  readonly synced: number;
  readonly refused: readonly RefusedResource[];
}

/** Read access to the ledger. */
export interface Ledger {
  summary(): LedgerSummary;
  /** Full standing of every proxy, for the debug port; computed on demand. */
  proxies(): readonly ProxyStanding[];
  /** Refusals that concern an object, e.g. for its `Programmed` condition. */
  refusedOf(origin: ObjectRef): readonly RefusedResource[];
  /** All refusals. */
  refusals(): readonly RefusedResource[];
  /** The newest stream of each pod. */
  newest(): Iterable<LedgerStream>;
  readonly diffs: DiffCache;
  /** Called soon after something changed, many changes at once. */
  onChange(listener: () => void): { close(): void };
}

/** A delta stream as the ledger sees it. */
export interface LedgerStream {
  readonly proxy: AuthenticatedProxy;
  readonly openedAt: number;
  readonly bytesSent: number;
  /** Version that the proxy says it is of; a claim, only to be shown. */
  readonly build?: string | undefined;
  /** Root of the control plane that its handshake was shown alone; null: another could verify it; undefined: not known. */
  readonly root?: string | null;
  /** With the newest configuration as its snapshot, also while some of that is kept back. Another object if it changed. */
  readonly state: StreamState;
}

/** The ledger of one server. `defer` runs a function at the end of the turn. */
export class StreamLedger implements Ledger {
  private readonly listeners = new Set<() => void>();
  private announced = false;

  constructor(
    private readonly streams: () => Iterable<LedgerStream>,
    readonly diffs: DiffCache,
    private readonly defer: (run: () => void) => void,
    private readonly log: Log,
  ) {}

  /** Something may have changed. */
  touch(): void {
    if (this.announced || this.listeners.size === 0) return;
    this.announced = true;
    this.defer(() => {
      this.announced = false;
      for (const listener of [...this.listeners]) contained(this.log, "streams have moved", listener);
    });
  }

  onChange(listener: () => void): { close(): void } {
    this.listeners.add(listener);
    return { close: () => this.listeners.delete(listener) };
  }

  summary(): LedgerSummary {
    const newest = [...this.newest()];
    const synced = newest.filter(({ state }) => isSynced(state, this.diffs)).length;
    return { connected: newest.length, synced, refused: this.refusals() };
  }

  proxies(): readonly ProxyStanding[] {
    return [...this.streams()].map(({ proxy, openedAt, bytesSent, state }) => ({
      podUid: proxy.podUid,
      podName: proxy.podName,
      identity: identityKey(proxy.identity),
      connectedAt: openedAt,
      synced: isSynced(state, this.diffs),
      bytesSent,
      types: standingOf(state, this.diffs),
    }));
  }

  refusedOf(origin: ObjectRef): readonly RefusedResource[] {
    const key = objectRefKey(origin);
    return this.refusals().filter(refused => refused.origins.some(ref => objectRefKey(ref) === key));
  }

  newest(): Iterable<LedgerStream> {
    const byPod = new Map<string, LedgerStream>();
    for (const stream of this.streams()) {
      const { podUid } = stream.proxy;
      const other = byPod.get(podUid);
      if (other === undefined || other.openedAt <= stream.openedAt) byPod.set(podUid, stream);
    }
    return byPod.values();
  }

  refusals(): readonly RefusedResource[] {
    const found = new Map<string, RefusedResource & { readonly podUids: string[] }>();
    for (const { proxy, state } of this.newest()) {
      for (const type of state.types.values()) {
        for (const { name, version, message, origins } of type.rejected.values()) {
          const key = `${type.typeUrl} ${name} ${version}`;
          const entry = found.get(key) ?? {
            typeUrl: type.typeUrl,
            name,
            version,
            message,
            origins,
            podUids: [],
          };
          entry.podUids.push(proxy.podUid);
          found.set(key, entry);
        }
      }
    }
    return [...found.values()];
  }
}
