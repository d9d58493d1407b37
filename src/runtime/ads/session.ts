/** One authenticated ADS stream: reads requests at a limited rate, feeds the protocol, writes its responses. */
import { status } from "@grpc/grpc-js";
import type { Snapshot, ResourceSet } from "../../xds/resource";
import { TYPE_URLS } from "../../xds/resource";
import { tellContained } from "../contained";
import type { AuthenticatedProxy, Clock, Log, Subscription } from "../ports";
import { TokenBucket } from "../token-bucket";
import { Alarm } from "./alarm";
import type { AdsLimits } from "./limits";
import type { ByteStream } from "./service";

/** The protocol spoken on a stream; returns the responses to write. */
export interface Protocol {
  onRequest(bytes: Buffer, now: number): readonly Uint8Array[];
  onSnapshot(snapshot: Snapshot, now: number): readonly Uint8Array[];
  /** Called at the time that `wakeAt` names. */
  onTick(now: number): readonly Uint8Array[];
  readonly wakeAt: number | undefined;
  /** Since when a response is unanswered, epoch milliseconds. */
  readonly unansweredSince: number | undefined;
  /** The secrets to merge into the snapshot, possibly others until `refreshAt`. */
  secretsFor(secrets: ResourceSet, now: number): ResourceSet;
  /** When {@link Protocol.secretsFor} should be asked again. */
  readonly refreshAt: number | undefined;
}

/** A request that ends the stream. */
export class ProtocolViolation extends Error {
  constructor(
    readonly code: status,
    message: string,
  ) {
    super(message);
    this.name = "ProtocolViolation";
  }
}

/** What a session works with. */
export interface SessionContext {
  readonly call: ByteStream;
  readonly proxy: AuthenticatedProxy;
  readonly protocol: Protocol;
  readonly limits: AdsLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Counts bytes that are written; gives what is to be called once they are on the wire. */
  readonly wrote: (bytes: number) => () => void;
  /** Called after every step, for the ledger. */
  onStep(): void;
  /** `ours`: the server ends the stream, and the proxy has yet to read that. */
  onEnd(ours: boolean): void;
}

/** Beyond a pause of so many milliseconds responses are not counted. */
const COUNTED_PAUSE_MS = 1_000;

/** A running session. */
export class Session {
  readonly openedAt: number;
  bytesSent = 0;
  responsesSent = 0;
  private readonly bucket: TokenBucket;
  private readonly pace: TokenBucket;
  private readonly subscriptions: Subscription[] = [];
  private snapshot: Snapshot | undefined;
  private secrets: ResourceSet | undefined;
  private readonly tick: Alarm;
  private readonly refreshing: Alarm;
  private throttledSince: number | undefined;
  private resuming: { cancel(): void } | undefined;
  /** Of each response that is not on the wire yet: what is to be called when it is. */
  private readonly unsent = new Set<() => void>();
  private ended = false;

  constructor(readonly context: SessionContext) {
    const now = context.clock.now();
    this.openedAt = now;
    this.tick = new Alarm(context.clock, () => {
      this.step(() => context.protocol.onTick(context.clock.now()));
    });
    this.refreshing = new Alarm(context.clock, () => {
      this.refresh();
    });
    const { limits } = context;
    this.bucket = new TokenBucket(limits.requestRate, limits.requestBurst, now);
    this.pace = new TokenBucket(limits.updateRate, limits.updateBurst, now);
  }

  get proxy(): AuthenticatedProxy {
    return this.context.proxy;
  }

  get isEnded(): boolean {
    return this.ended;
  }

  /**
   * Starts reading. `subscribe` is told where configuration and secrets are to be delivered, and gives one subscription after the
   * other, so that those before one that fails are closed with the stream.
   */
  start(subscribe: (session: Session) => Iterable<Subscription>): void {
    const { call } = this.context;
    call.on("data", (bytes: Buffer) => {
      this.onData(bytes);
    });
    call.on("end", () => {
      this.end(status.OK, "closed by the proxy");
    });
    call.on("cancelled", () => {
      this.close(false);
    });
    try {
      for (const subscription of subscribe(this)) this.subscriptions.push(subscription);
    } catch (error) {
      this.failed(error);
    }
    // A subscription may have ended the stream in its first delivery.
    if (this.ended) this.unsubscribe();
  }

  /** Milliseconds that a change should wait, so that the proxy does not get more responses than it may, 0: none. */
  get pauseMs(): number {
    return this.pace.waitMs(this.context.clock.now());
  }

  /** New configuration for this proxy. */
  deliver(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.refresh();
  }

  /** New secrets of this identity. */
  deliverSecrets(secrets: ResourceSet): void {
    this.secrets = secrets;
    this.refresh();
  }

  /** Looks for what ends a stream with time. */
  sweep(now: number): void {
    const { proxy, protocol, limits } = this.context;
    const since = protocol.unansweredSince;
    if (proxy.expiresAt <= now) this.end(status.UNAUTHENTICATED, "the proof of identity has expired");
    else if (since !== undefined && now - since > limits.stalledMs) {
      this.end(status.UNAVAILABLE, "a response was not answered in time");
    }
  }

  /** Ends the stream with a status; what is already written still goes out. */
  end(code: status, details: string): void {
    if (this.ended) return;
    this.close(true);
    const { call } = this.context;
    if (code === status.OK) call.end();
    else call.emit("error", { code, details });
  }

  private close(ours: boolean): void {
    if (this.ended) return;
    this.ended = true;
    this.tick.set(undefined);
    this.refreshing.set(undefined);
    this.resuming?.cancel();
    this.unsubscribe();
    for (const sent of [...this.unsent]) sent();
    this.context.onEnd(ours);
  }

  private unsubscribe(): void {
    for (const subscription of this.subscriptions.splice(0)) subscription.close();
  }

  private refresh(): void {
    const { snapshot, secrets } = this;
    if (snapshot === undefined || secrets === undefined) return;
    const { clock, protocol } = this.context;
    this.step(() => {
      const now = clock.now();
      const merged = new Map(snapshot).set(TYPE_URLS.secret, protocol.secretsFor(secrets, now));
      return protocol.onSnapshot(merged, now);
    });
  }

  private onData(bytes: Buffer): void {
    if (this.ended) return;
    const { clock, protocol, call } = this.context;
    const now = clock.now();
    const early = this.bucket.take(now);
    if (early > 0) {
      this.throttle(early, now);
      call.pause();
      this.resuming?.cancel();
      this.resuming = clock.setTimeout(() => call.resume(), early);
    } else if (this.bucket.isHalfFull()) {
      // Not before: a stream that is held to its rate comes in time now and then, above all when timers are late.
      this.throttledSince = undefined;
    }
    this.step(() => protocol.onRequest(bytes, now));
  }

  private throttle(early: number, now: number): void {
    this.throttledSince ??= now;
    if (now + early - this.throttledSince > this.context.limits.throttledMs) {
      this.end(status.RESOURCE_EXHAUSTED, "too many requests");
    }
  }

  private step(run: () => readonly Uint8Array[]): void {
    if (this.ended) return;
    const { protocol, clock } = this.context;
    try {
      for (const response of run()) {
        this.spend(clock.now());
        this.bytesSent += response.length;
        this.responsesSent += 1;
        this.write(response);
      }
      this.tick.set(protocol.wakeAt);
      this.refreshing.set(protocol.refreshAt);
      this.context.onStep();
    } catch (error) {
      this.failed(error);
    }
  }

  private write(response: Uint8Array): void {
    const counted = this.context.wrote(response.length);
    const sent = (): void => {
      this.unsent.delete(sent);
      counted();
    };
    this.unsent.add(sent);
    this.context.call.write(response, sent);
  }

  /** Counts a response. The debt is bounded, so that a proxy that asks for much is told of changes all the same. */
  private spend(now: number): void {
    if (this.pace.waitMs(now) < COUNTED_PAUSE_MS) this.pace.take(now);
  }

  /** What goes wrong on a stream costs that stream. */
  failed(error: unknown): void {
    const { log, proxy } = this.context;
    const violation = error instanceof ProtocolViolation ? error : undefined;
    if (violation === undefined)
      tellContained(log, "an ADS stream failed", { pod: proxy.podName, error: String(error) });
    this.end(violation?.code ?? status.INTERNAL, violation?.message ?? "internal error");
  }
}
