import { tellContained } from "../contained";
import type { KubeClient, KubeObject, WatchEvent } from "../kube";
import { KubeError } from "../kube";
import type { Clock, Log } from "../ports";
import { withQuery } from "./client";
import { isExpired, isNotFound } from "./errors";
import { Outage } from "./outage";
import { WatchState, type Change, type Projection } from "./watch-state";

/** One kind (or one named object) to follow. */
export interface InformerSource<V> extends Projection<V> {
  /** Name for logs and metrics, like `EndpointSlice`. */
  readonly kind: string;
  /** Path of the collection, like `/api/v1/pods`. */
  readonly path: string;
  /** Restricts the collection, like `metadata.name=osm-ca-bundle`. */
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
}

/** What an informer works with. */
export interface InformerOptions<V> {
  readonly kube: KubeClient;
  readonly source: InformerSource<V>;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  readonly log: Log;
  /** Called synchronously, in order. Must not throw; if it does, the object is skipped and the informer lives on. */
  readonly onChange: (change: Change<V>) => void;
  /** Life of one watch request in seconds; the server ends it and sends a bookmark 2 s before. Default 10. */
  readonly watchSeconds?: number;
  /** Objects per list page. Default 250 (a page must not hold the event loop for long). */
  readonly pageSize?: number;
}

/** Counters of one informer since its start. */
export interface InformerStats {
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  /** Events dropped because something newer was known. */
  readonly stale: number;
  readonly failures: number;
  /** Watches cut because the server was silent for too long. */
  readonly stalls: number;
}

/** A running informer. */
export interface Informer<V> {
  readonly kind: string;
  /** Resolves after the first complete list; never rejects (it pends while the API server is away). */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  /** Values by key. */
  readonly values: () => ReadonlyMap<string, V>;
  readonly get: (key: string) => V | undefined;
  /** Milliseconds since the API server was last heard of; grows while it is away. */
  staleness(): number;
  stats(): InformerStats;
  /** Lists everything anew now, as if the watch could not be resumed. What is known stays until the list is complete. */
  relist(): void;
  /** Ends all requests; no further change is reported. */
  stop(): void;
}

/** Silence beyond the watch's own life that proves a dead link: with 10 s watches at most 12 s in all. */
const GRACE_MS = 2_000;
/** After so many refusals in a row without any progress, a list is tried instead of resuming. */
const RELIST_AFTER = 5;

/** Starts following a kind at once. See {@link InformerOptions}. */
export function startInformer<V>(options: InformerOptions<V>): Informer<V> {
  const loop = new InformerLoop(options);
  void loop.run();
  return loop;
}

interface ListPage {
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly KubeObject[] | null;
}

class InformerLoop<V> implements Informer<V> {
  readonly synced: Promise<void>;
  isSynced = false;
  private readonly state: WatchState<V>;
  private readonly outage: Outage;
  private readonly stopping = new AbortController();
  private readonly counts = { lists: 0, watches: 0, events: 0, stale: 0, failures: 0, stalls: 0 };
  private resolveSynced: () => void = () => undefined;
  private heard: number;
  private lastWarning = -Infinity;
  /** Answers that were errors since the last progress. */
  private refusals = 0;
  private relistAsked = false;
  /** Cuts the watch that runs. */
  private cut: () => void = () => undefined;

  constructor(private readonly options: InformerOptions<V>) {
    this.synced = new Promise(resolve => (this.resolveSynced = resolve));
    this.outage = new Outage(options.random);
    this.heard = options.clock.now();
    this.state = new WatchState<V>(
      options.source,
      change => {
        this.report(change);
      },
      (key, error) => {
        tellContained(options.log, "an object could not be read", {
          kind: this.kind,
          object: key,
          error: String(error),
        });
      },
    );
  }

  get kind(): string {
    return this.options.source.kind;
  }

  readonly values = (): ReadonlyMap<string, V> => this.state.values();
  readonly get = (key: string): V | undefined => this.state.get(key);

  staleness(): number {
    return Math.max(0, this.options.clock.now() - this.heard);
  }

  stats(): InformerStats {
    return { ...this.counts };
  }

  stop(): void {
    this.stopping.abort();
  }

  relist(): void {
    this.relistAsked = true;
    this.cut();
  }

  async run(): Promise<void> {
    let mustList = true;
    while (!this.isStopped()) {
      try {
        mustList ||= this.relistAsked;
        this.relistAsked = false;
        if (mustList) await this.list();
        mustList = false;
        await this.watch();
      } catch (error) {
        if (this.isStopped()) return;
        const expired = isExpired(error);
        if (error instanceof KubeError && error.status !== 0) this.refusals += 1;
        mustList ||= expired || this.refusals >= RELIST_AFTER;
        await this.pause(error);
      }
    }
  }

  private isStopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Lists all pages at the newest state (no resourceVersion: never an older cache of another API server). */
  private async list(): Promise<void> {
    this.counts.lists += 1;
    this.state.beginList();
    let next = "";
    let version = "";
    do {
      const page = await this.fetchPage(next);
      if (this.isStopped()) return;
      this.state.page(page.items ?? []);
      version = page.metadata.resourceVersion ?? version;
      next = page.metadata.continue ?? "";
    } while (next !== "");
    if (!this.state.endList(version)) {
      throw new KubeError(0, "StaleList", `${this.kind}: list ${version} is older than what has been seen`);
    }
    this.refusals = 0;
    this.markSynced();
  }

  private async fetchPage(next: string): Promise<ListPage> {
    const query: Record<string, string> = { limit: String(this.options.pageSize ?? 250) };
    if (next !== "") query["continue"] = next;
    try {
      const page = await this.options.kube.get<ListPage>(this.pathWith(query));
      this.heardNow();
      return page;
    } catch (error) {
      // The kind is not served. What was known stays known: forgetting policies because a definition is missing for
      // a moment would open or close the mesh. For start-up it counts as "there is none".
      if (isNotFound(error)) this.markSynced();
      throw error;
    }
  }

  private markSynced(): void {
    if (this.isSynced) return;
    this.isSynced = true;
    this.resolveSynced();
  }

  /** One watch request from where we are; returns when the server ended it in good order, throws otherwise. */
  private async watch(): Promise<void> {
    // Asked for while the list was running: what it has read may be older than the question.
    if (this.relistAsked) return;
    const seconds = this.options.watchSeconds ?? 10;
    const watch = new AbortController();
    const abort = (): void => {
      watch.abort();
    };
    this.stopping.signal.addEventListener("abort", abort, { once: true });
    this.cut = abort;
    const deadline = this.guardAgainstSilence(seconds * 1_000 + GRACE_MS, abort);
    const faults: KubeError[] = [];
    this.counts.watches += 1;
    try {
      await this.options.kube.watch(
        this.watchPath(seconds),
        event => {
          deadline.heard();
          const fault = this.take(event);
          if (fault === undefined) return;
          faults.push(fault);
          abort();
        },
        watch.signal,
      );
      this.judgeEnd(faults[0], deadline);
    } finally {
      deadline.cancel();
      this.stopping.signal.removeEventListener("abort", abort);
    }
  }

  private judgeEnd(fault: KubeError | undefined, deadline: SilenceGuard): void {
    if (fault !== undefined) throw fault;
    if (this.isStopped() || this.relistAsked) return;
    if (deadline.expired())
      throw new KubeError(0, "Silent", `${this.kind}: the watch was silent for too long`);
    // A server that ends watches as soon as they begin must not be asked again without a pause.
    if (deadline.events() === 0 && deadline.age() < 1_000) {
      throw new KubeError(0, "ShortWatch", `${this.kind}: the watch ended at once`);
    }
    this.progress();
  }

  /** Handles one event; a fault ends the watch. */
  private take(event: WatchEvent): KubeError | undefined {
    this.counts.events += 1;
    const outcome = this.state.event(event);
    switch (outcome) {
      case "expired":
        return new KubeError(
          410,
          "Expired",
          `${this.kind}: ${this.state.resourceVersion} is too old to resume`,
        );
      case "error":
        return new KubeError(500, "WatchError", `${this.kind}: ${String(event.object["message"])}`);
      case "stale":
        this.counts.stale += 1;
        return undefined;
      case "bookmark":
      case "changed":
      case "unchanged":
        this.progress();
        return undefined;
    }
  }

  private progress(): void {
    this.refusals = 0;
    this.heardNow();
    this.outage.over();
  }

  private heardNow(): void {
    this.heard = this.options.clock.now();
  }

  /**
   * Calls `cut` when nothing arrived for `ms`. One timer for the whole watch: it is moved by looking at the time of
   * the last event, because setting a timer for each of thousands of events costs more than the events.
   */
  private guardAgainstSilence(ms: number, cut: () => void): SilenceGuard {
    const { clock } = this.options;
    const start = clock.now();
    let last = start;
    let events = 0;
    let expired = false;
    const arm = (wait: number): { cancel(): void } =>
      clock.setTimeout(() => {
        const silent = clock.now() - last;
        if (silent < ms) {
          // Silent for less than no time: the clock was put back.
          timer = arm(Math.min(ms, ms - silent));
          return;
        }
        expired = true;
        this.counts.stalls += 1;
        cut();
      }, wait);
    let timer = arm(ms);
    return {
      heard: () => {
        last = clock.now();
        events += 1;
      },
      events: () => events,
      age: () => clock.now() - start,
      expired: () => expired,
      cancel: () => {
        timer.cancel();
      },
    };
  }

  private report(change: Change<V>): void {
    try {
      this.options.onChange(change);
    } catch (error) {
      // Our own bug in a reader: it costs this change, never the informer and with it everything else.
      const key = change.type === "reset" ? "" : change.key;
      tellContained(this.options.log, "a reader of changes failed", {
        kind: this.kind,
        object: key,
        error: String(error),
      });
    }
  }

  private async pause(error: unknown): Promise<void> {
    this.counts.failures += 1;
    this.warn(error);
    await this.sleep(this.outage.waitAfter(error));
  }

  /** Says what is wrong when it begins, then once a minute. */
  private warn(error: unknown): void {
    const now = this.options.clock.now();
    if (now - this.lastWarning < 60_000) return;
    this.lastWarning = now;
    const message = error instanceof Error ? error.message : String(error);
    this.options.log.warn("cannot follow the API server for a moment", {
      kind: this.kind,
      error: message,
      staleMs: this.staleness(),
    });
  }

  private sleep(ms: number): Promise<void> {
    return new Promise(resolve => {
      if (this.isStopped()) {
        resolve();
        return;
      }
      const wake = (): void => {
        timer.cancel();
        this.stopping.signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = this.options.clock.setTimeout(wake, ms);
      this.stopping.signal.addEventListener("abort", wake, { once: true });
    });
  }

  private pathWith(query: Readonly<Record<string, string>>): string {
    const { path, fieldSelector, labelSelector } = this.options.source;
    return withQuery(path, {
      ...query,
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    });
  }

  private watchPath(seconds: number): string {
    return this.pathWith({
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.state.resourceVersion,
      timeoutSeconds: String(seconds),
    });
  }
}

/** The deadline of one watch. */
interface SilenceGuard {
  heard(): void;
  events(): number;
  /** Milliseconds since the request. */
  age(): number;
  expired(): boolean;
  cancel(): void;
}
