/** The ADS server: TLS, proof of identity, limits, one session per stream. */
import { Server, status } from "@grpc/grpc-js";
import { createDiffCache } from "../../xds/diff";
import type { Snapshot } from "../../xds/resource";
import { isSettled } from "../../xds/ledger";
import type { StreamState } from "../../xds/stream";
import { createDeltaDecoder } from "../../xds/wire";
import type {
  AuthenticatedProxy,
  Authenticator,
  Clock,
  ConfigSource,
  Log,
  PodDirectory,
  SecretSource,
  Subscription,
} from "../ports";
import { contained } from "../contained";
import { Backlog } from "./backlog";
import { Barrier } from "./barrier";
import { listen, type Listener } from "./connections";
import type { ServingMaterial } from "./credentials";
import { Entrance, type EntranceOptions } from "./entrance";
import { certificateOf, tokenOf } from "./evidence";
import { StreamLedger, type Ledger, type LedgerStream } from "./ledger";
import { Openings } from "./openings";
import { channelOptions, DEFAULT_ADS_LIMITS, type AdsLimits } from "./limits";
import { containedObserver, Convergence, type AdsObserver, type News } from "./observer";
import { DeltaProtocol, SotwProtocol, type OnRejection } from "./protocols";
import { isRefusal, refusalOf, StreamRefused } from "./refusal";
import { AGGREGATED_DISCOVERY, type ByteStream } from "./service";
import { Session, type Protocol } from "./session";

/** How often streams are looked at for expiry and stalls, milliseconds. */
const SWEEP_MS = 1_000;
/** How long a stream that is cut may take to read its status before the connection is reset, milliseconds. */
const CUT_GRACE_MS = 5_000;

/** Time for a status to be read before its connection is closed, milliseconds. */
const HANG_UP_MS = 100;

/** At most this share of the streams is ended in each {@link SWEEP_MS} for the sake of a new handshake. */
const ANEW_SHARE = 0.05;

const NO_NEWS: News = new Map();

/** What the server works with. */
export interface AdsOptions extends EntranceOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly config: ConfigSource;
  readonly secrets: SecretSource;
  readonly pods: PodDirectory;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly log: Log;
  /** News that the configuration that is being delivered follows from; default: never any. */
  readonly news?: () => News;
  /** Streams of this replica; 0 is unlimited (MeshConfig `maxDataPlaneConnections`). */
  readonly maxStreams?: number;
  readonly limits?: Partial<AdsLimits>;
}

/** Counters since the start. */
export interface AdsStats {
  readonly streams: number;
  readonly connections: number;
  readonly responses: number;
  readonly bytes: number;
  /** Streams that were not accepted, by the name of the gRPC status they were answered with. */
  readonly refusedStreams: Readonly<Record<string, number>>;
  readonly rejections: number;
  /** Streams of proxies that had been here before. */
  readonly reconnects: number;
  /** Of the refused streams, those of proxies that were too many. */
  readonly tooMany: number;
  /** Differences computed: one per change and shared part, however many streams there are. */
  readonly diffs: number;
}

/** A running server. */
export interface AdsServer {
  readonly port: number;
  readonly ledger: Ledger;
  stats(): AdsStats;
  /** New connections see this certificate and trust. */
  setServing(material: ServingMaterial): void;
  setMaxStreams(maxStreams: number): void;
  /** Tells what happens on the streams from now on. There is one observer. */
  observe(observer: AdsObserver): void;
  /** Accepts nothing new and sends all proxies elsewhere, spread over `graceMs`. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts serving; resolves when the port is open. */
export async function startAds(options: AdsOptions): Promise<AdsServer> {
  const server = new RunningServer(options);
  await server.start();
  return server;
}

class RunningServer implements AdsServer {
  private readonly limits: AdsLimits;
  private readonly entrance: Entrance;
  private readonly grpc: Server;
  private readonly diffs = createDiffCache();
  private readonly decode = createDeltaDecoder();
  private readonly sessions = new Set<Session>();
  private readonly deltas = new Map<Session, DeltaProtocol>();
  private readonly calls = new WeakMap<Session, ByteStream>();
  private readonly byPod = new Map<string, Set<Session>>();
  /** Streams whose proof is a token. */
  private readonly byToken = new WeakSet<ByteStream>();
  private readonly barrier: Barrier<Session>;
  /** Of streams that are kept from something, so that who counts them sees the same object until something changes. */
  private readonly measured = new WeakMap<
    StreamState,
    { readonly wanted: Snapshot; readonly state: StreamState }
  >();
  private readonly openings: Openings;
  private readonly backlog: Backlog;
  readonly ledger: StreamLedger;
  private listener: Listener | undefined;
  private sweeper: { cancel(): void } | undefined;
  private maxStreams: number;
  private leaving = false;
  private readonly totals = { responses: 0, bytes: 0, rejections: 0, reconnects: 0, tooMany: 0 };
  /** Live pods that have been here. */
  private readonly known = new Set<string>();
  private readonly convergence = new Convergence<Session>();
  private observer: AdsObserver | undefined;
  private readonly refusedStreams: Record<string, number> = {};

  constructor(private readonly options: AdsOptions) {
    this.limits = { ...DEFAULT_ADS_LIMITS, ...options.limits };
    this.openings = new Openings(this.limits);
    this.backlog = new Backlog({ clock: options.clock, later: setImmediate });
    this.maxStreams = options.maxStreams ?? 0;
    this.entrance = new Entrance(options);
    this.grpc = new Server(channelOptions(this.limits));
    this.grpc.addService(AGGREGATED_DISCOVERY, {
      DeltaAggregatedResources: (call: ByteStream) => {
        void this.open(call, "delta");
      },
      StreamAggregatedResources: (call: ByteStream) => {
        void this.open(call, "sotw");
      },
    });
    this.ledger = new StreamLedger(
      () => this.ledgerStreams(),
      this.diffs,
      run => setImmediate(run),
      options.log,
    );
    this.barrier = new Barrier({
      clock: options.clock,
      diffs: this.diffs,
      stateOf: session => this.deltas.get(session)?.state,
      deliver: (session, snapshot) => {
        session.deliver(snapshot);
      },
      pauseMs: session => session.pauseMs,
      room: this.backlog,
      soon: queueMicrotask,
      failed: (session, error) => {
        session.failed(error);
      },
    });
    options.pods.onGone(uid => {
      this.known.delete(uid);
      this.endPod(uid, status.PERMISSION_DENIED, "the pod is gone");
    });
  }

  async start(): Promise<void> {
    this.entrance.open(this.grpc);
    const { host, port, clock } = this.options;
    this.listener = await listen({
      host,
      port,
      clock,
      limits: this.limits,
      onConnection: socket => {
        this.entrance.admit(socket);
      },
    });
    this.sweep();
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  stats(): AdsStats {
    const open = [...this.sessions];
    return {
      ...this.totals,
      refusedStreams: { ...this.refusedStreams },
      responses: open.reduce((sum, s) => sum + s.responsesSent, this.totals.responses),
      bytes: open.reduce((sum, s) => sum + s.bytesSent, this.totals.bytes),
      streams: this.sessions.size,
      connections: this.listener?.open ?? 0,
      diffs: this.diffs.computed,
    };
  }

  setServing(material: ServingMaterial): void {
    this.entrance.present(material);
    this.ledger.touch();
  }

  setMaxStreams(maxStreams: number): void {
    this.maxStreams = maxStreams;
  }

  observe(observer: AdsObserver): void {
    this.observer = containedObserver(observer, this.options.log);
  }

  async drain(graceMs: number): Promise<void> {
    this.leaving = true;
    this.listener?.stop();
    this.entrance.drain(graceMs);
    const open = [...this.sessions];
    const pace = graceMs / Math.max(1, open.length);
    for (const [index, session] of open.entries()) {
      this.options.clock.setTimeout(() => {
        session.end(status.UNAVAILABLE, "this replica is shutting down");
      }, pace * index);
    }
    await new Promise<void>(resolve => this.options.clock.setTimeout(resolve, graceMs));
  }

  async close(): Promise<void> {
    this.leaving = true;
    this.sweeper?.cancel();
    this.listener?.stop();
    for (const session of [...this.sessions])
      session.end(status.UNAVAILABLE, "this replica is shutting down");
    await new Promise<void>(resolve => setImmediate(resolve));
    this.grpc.forceShutdown();
    this.listener?.destroyAll();
  }

  private async open(call: ByteStream, kind: "delta" | "sotw"): Promise<void> {
    const client = { gone: false };
    const over = this.entrance.strays.stream(call.getPeer());
    call.once("cancelled", over).once("cancelled", () => (client.gone = true));
    const evidence = this.takeEvidence(call);
    this.entrance.handshakes.believed(call.getPeer());
    try {
      const proxy = await this.options.authenticator.authenticate(evidence);
      if (client.gone) return;
      this.admit(proxy);
      this.listener?.settle(call.getPeer());
      this.run(call, proxy, kind, over);
    } catch (error) {
      over();
      const refusal = refusalOf(error);
      const code = status[refusal.code];
      this.refusedStreams[code] = (this.refusedStreams[code] ?? 0) + 1;
      const { log } = this.options;
      const peer = call.getPeer();
      log.warn("refused an ADS stream", { peer, reason: refusal.details });
      if (!isRefusal(error)) log.error("an ADS stream could not be opened", { peer, error: String(error) });
      if (!client.gone) call.emit("error", refusal);
      if (!this.byToken.has(call)) this.hangUp(call);
      else if (refusal.code !== status.UNAVAILABLE) this.hangUp(call, "stray");
    }
  }

  /** The token goes with its check: it must not stay in memory for as long as the stream lasts. */
  private takeEvidence(call: ByteStream): Parameters<Authenticator["authenticate"]>[0] {
    const bearerToken = tokenOf(call);
    call.metadata.remove("authorization");
    if (bearerToken !== undefined) this.byToken.add(call);
    const peer = call.getPeer();
    // Whoever has proven himself may wait for his pod, and is not in the way of those who have not; he cannot do so any number of times.
    const onProven = (podUid: string): void => {
      this.openings.take(podUid, this.options.clock.now());
      this.listener?.settle(peer);
    };
    return { bearerToken, clientCertificate: certificateOf(call), remoteAddress: peer, onProven };
  }

  /**
   * Who proves himself by the handshake cannot prove anything else on the same connection: it is closed once the status has
   * gone out, so that the next stream comes with the certificate that he has then. Of one who was refused by his token it is
   * closed when it is a stray: it holds memory for nothing, and another replica may have room.
   */
  private hangUp(call: ByteStream, which: "any" | "stray" = "any"): void {
    const peer = call.getPeer();
    const { strays } = this.entrance;
    this.options.clock.setTimeout(() => {
      if (which === "any" || strays.isStray(peer)) this.listener?.destroy(peer);
    }, HANG_UP_MS);
  }

  /** Throws when there are too many streams; makes room for the pod's newest stream by ending its oldest. */
  private admit({ podUid }: AuthenticatedProxy): void {
    if (this.leaving) throw new StreamRefused(status.UNAVAILABLE, "this replica is shutting down");
    if (this.maxStreams > 0 && this.sessions.size >= this.maxStreams) {
      this.totals.tooMany += 1;
      throw new StreamRefused(
        status.RESOURCE_EXHAUSTED,
        "this replica serves as many proxies as it is allowed to",
      );
    }
    const siblings = [...(this.byPod.get(podUid) ?? [])];
    if (siblings.length >= this.limits.streamsPerPod) {
      siblings[0]?.end(status.RESOURCE_EXHAUSTED, "replaced by a newer stream of the same pod");
    }
  }

  /** `over` is called at the stream's end. */
  private run(call: ByteStream, proxy: AuthenticatedProxy, kind: "delta" | "sotw", over: () => void): void {
    const log = this.options.log;
    const fields = { pod: proxy.podName, namespace: proxy.identity.namespace, peer: call.getPeer() };
    const refused: OnRejection = (typeUrl, { name, version, message }) => {
      this.totals.rejections += 1;
      log.warn("a proxy refused a resource", {
        ...fields,
        typeUrl,
        resource: name,
        version,
        reason: message,
      });
    };
    const delta = new DeltaProtocol(this.diffs, refused, () => this.observer, this.decode);
    const protocol: Protocol = kind === "delta" ? delta : new SotwProtocol();
    const session: Session = new Session({
      call,
      proxy,
      protocol,
      limits: this.limits,
      clock: this.options.clock,
      log,
      wrote: bytes => this.backlog.wrote(bytes),
      onStep: () => {
        this.barrier.moved(session);
        this.tellConvergence(session);
        this.ledger.touch();
      },
      onEnd: ours => {
        over();
        this.forget(session);
        if (ours) this.cutIfUnread(call);
        if (ours && !this.byToken.has(call)) this.hangUp(call);
      },
    });
    this.sessions.add(session);
    this.calls.set(session, call);
    if (kind === "delta") this.deltas.set(session, delta);
    const siblings = this.byPod.get(proxy.podUid) ?? new Set();
    this.byPod.set(proxy.podUid, siblings.add(session));
    if (this.known.has(proxy.podUid)) this.totals.reconnects += 1;
    this.known.add(proxy.podUid);
    log.debug("an ADS stream opened", fields);
    session.start(() => this.subscriptionsOf(session, kind));
    // The pod may have gone while its proof was being checked.
    if (this.options.pods.byUid(proxy.podUid) === undefined) {
      session.end(status.PERMISSION_DENIED, "the pod is gone");
    }
  }

  private *subscriptionsOf(session: Session, kind: "delta" | "sotw"): Generator<Subscription> {
    const { secrets, config, news } = this.options;
    yield secrets.subscribe(session.proxy.identity, set => {
      session.deliverSecrets(set);
    });
    yield config.subscribe(session.proxy, snapshot => {
      if (kind === "delta") this.convergence.begin(session, news?.() ?? NO_NEWS);
      this.barrier.take(session, snapshot);
    });
  }

  private tellConvergence(session: Session): void {
    const state = this.convergence.isOpen(session) ? this.deltas.get(session)?.state : undefined;
    if (state === undefined || !isSettled(this.meant(state, this.barrier.wanted(session)), this.diffs))
      return;
    const now = this.options.clock.now();
    for (const [kind, since] of this.convergence.end(session)) this.observer?.converged(kind, now - since);
  }

  private forget(session: Session): void {
    this.sessions.delete(session);
    this.convergence.end(session);
    this.deltas.delete(session);
    this.barrier.ended(session);
    this.totals.responses += session.responsesSent;
    this.totals.bytes += session.bytesSent;
    const { podUid } = session.proxy;
    const siblings = this.byPod.get(podUid);
    siblings?.delete(session);
    if (siblings?.size === 0) this.byPod.delete(podUid);
    this.ledger.touch();
  }

  /** A proxy that does not read the end of its stream is not waited for: its connection is reset. */
  private cutIfUnread(call: ByteStream): void {
    const peer = call.getPeer();
    this.options.clock.setTimeout(() => {
      if (!call.writableFinished && !call.cancelled) this.listener?.destroy(peer);
    }, CUT_GRACE_MS);
  }

  private endPod(uid: string, code: status, details: string): void {
    for (const session of [...(this.byPod.get(uid) ?? [])]) session.end(code, details);
  }

  private sweep(): void {
    const { clock, log } = this.options;
    // First: whatever comes of this look, there is a next one.
    this.sweeper = clock.setTimeout(() => {
      this.sweep();
    }, SWEEP_MS);
    const now = clock.now();
    for (const session of [...this.sessions]) {
      const look = (): void => {
        session.sweep(now);
      };
      contained(log, "sweep of a stream", look, { pod: session.proxy.podName });
    }
    this.shakeHandsAnew();
    for (const peer of [...this.entrance.strays.overdue()]) this.listener?.destroy(peer);
    this.openings.forget(now);
  }

  /** Connections that were shown another root are closed, a few at a time: their proxies come again at once. */
  private shakeHandsAnew(): void {
    let left = Math.ceil(this.sessions.size * ANEW_SHARE);
    for (const session of [...this.sessions]) {
      const call = this.calls.get(session);
      if (call === undefined || !this.entrance.isStale(call, this.provedBy)) continue;
      session.end(status.UNAVAILABLE, "the control plane has another root");
      this.hangUp(call);
      left -= 1;
      if (left <= 0) return;
    }
  }

  /** What its handshake was shown alone. */
  private rootOf(session: Session): string | null {
    const call = this.calls.get(session);
    return call === undefined ? null : this.entrance.rootOf(call, this.provedBy);
  }

  /** The client certificate that a stream was opened by; undefined: it was by a token. */
  private readonly provedBy = (call: ByteStream): Uint8Array | undefined =>
    this.byToken.has(call) ? undefined : certificateOf(call);

  private *ledgerStreams(): Generator<LedgerStream> {
    for (const [session, { state, build }] of this.deltas) {
      const { proxy, openedAt, bytesSent } = session;
      const root = this.rootOf(session);
      const measured = this.meant(state, this.barrier.wanted(session));
      yield { proxy, openedAt, bytesSent, build, root, state: measured };
    }
  }

  /** A stream that is kept from something is measured by that too: what it has not got is not in force. */
  private meant(state: StreamState, wanted: Snapshot | undefined): StreamState {
    if (wanted === undefined || state.snapshot === undefined) return state;
    const known = this.measured.get(state);
    if (known?.wanted === wanted) return known.state;
    const measured = { ...state, snapshot: new Map([...state.snapshot, ...wanted]) };
    this.measured.set(state, { wanted, state: measured });
    return measured;
  }
}
