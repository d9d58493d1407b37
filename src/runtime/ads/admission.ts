/** In which order waiting connections are let in: by turns of the addresses they come from, so that no address can keep the others out. */
import type { Socket } from "node:net";
import { SIDECAR_CONNECT_TIMEOUT_MS } from "../../model/mesh-words";
import { isOver } from "../clock";
import type { Clock } from "../ports";
import { TokenBucket } from "../token-bucket";
import type { AdsLimits } from "./limits";

/** What is left of a sidecar's patience must do for a handshake when both sides are busy, milliseconds. */
const HANDSHAKE_MS = 500;
/**
 * Longest wait of a connection, milliseconds. What has waited longer has been given up, which nobody is told of who does not read,
 * or would be during its handshake: a turn for nothing either way.
 */
const LONGEST_WAIT_MS = SIDECAR_CONNECT_TIMEOUT_MS - HANDSHAKE_MS;
/** How often those that wait are looked at, milliseconds. */
const LOOK_MS = 250;

/** What admission works with. */
export interface AdmissionOptions {
  readonly limits: Pick<AdsLimits, "connectRate" | "connectBurst" | "pendingPerAddress">;
  readonly clock: Clock;
  /** Takes over a connection; called at once or later, never for one that has closed. */
  admit(socket: Socket): void;
}

/**
 * Connections that wait for their turn, which costs no more than a socket, and those that have been let in and are not settled yet.
 * A connection that goes while it waits costs the others nothing; one that has waited for a second and a half is closed.
 */
export class Admission {
  private readonly bucket: TokenBucket;
  /** By address, the one whose turn it is first. No address without a socket. */
  private readonly waiting = new Map<string, Set<Socket>>();
  /** As {@link waiting}, of addresses of which as many are let in and not settled as may be. */
  private readonly held = new Map<string, Set<Socket>>();
  /** By address: let in, and not settled. */
  private readonly pending = new Map<string, Set<Socket>>();
  private readonly arrivals = new WeakMap<Socket, number>();
  private pacing = false;
  private looking = false;

  constructor(private readonly options: AdmissionOptions) {
    const { limits, clock } = options;
    this.bucket = new TokenBucket(limits.connectRate, limits.connectBurst, clock.now());
  }

  /** A new connection; `address` is where it comes from. */
  arrive(address: string, socket: Socket): void {
    this.arrivals.set(socket, this.options.clock.now());
    const line = this.isFull(address) ? this.held : this.waiting;
    const own = line.get(address) ?? new Set();
    line.set(address, own.add(socket));
    if (!this.pacing) this.pump();
    this.lookLater();
  }

  /** A connection has proven to be of use; unknown ones are ignored. */
  settle(address: string, socket: Socket): void {
    remove(this.pending, address, socket);
    const own = this.isFull(address) ? undefined : this.held.get(address);
    if (own === undefined) return;
    this.held.delete(address);
    this.waiting.set(address, own);
    if (!this.pacing) this.pump();
  }

  /** A connection has closed; unknown ones are ignored. */
  leave(address: string, socket: Socket): void {
    remove(this.waiting, address, socket);
    remove(this.held, address, socket);
    this.settle(address, socket);
  }

  /**
   * In order of arrival, but for an address with more than a few that wait, the newest: who has waited for long has given up, and
   * of many that say nothing those who wait for nothing are the oldest.
   */
  private nextOf(own: ReadonlySet<Socket>): Socket | undefined {
    const all = [...own];
    return all.length > this.options.limits.pendingPerAddress ? all.at(-1) : all[0];
  }

  private isFull(address: string): boolean {
    return (this.pending.get(address)?.size ?? 0) >= this.options.limits.pendingPerAddress;
  }

  private lookLater(): void {
    if (this.looking || this.held.size + this.waiting.size === 0) return;
    this.looking = true;
    this.options.clock.setTimeout(() => {
      this.looking = false;
      const now = this.options.clock.now();
      const hasWaited = (socket: Socket): boolean =>
        isOver((this.arrivals.get(socket) ?? 0) + LONGEST_WAIT_MS, now, LONGEST_WAIT_MS);
      for (const own of [...this.held.values(), ...this.waiting.values()])
        for (const socket of own) if (hasWaited(socket)) socket.destroy();
      this.lookLater();
    }, LOOK_MS);
  }

  private pump(): void {
    const { clock, limits } = this.options;
    while (this.waiting.size > 0 && this.bucket.tryTake(clock.now())) this.admitNext();
    this.lookLater();
    this.pacing = this.waiting.size > 0;
    if (!this.pacing) return;
    clock.setTimeout(
      () => {
        this.pump();
      },
      Math.ceil(1000 / limits.connectRate),
    );
  }

  private admitNext(): void {
    for (const [address, own] of this.waiting) {
      // To the end of the line: the next turn is another address's.
      this.waiting.delete(address);
      const socket = this.nextOf(own);
      if (socket === undefined) return;
      own.delete(socket);
      this.pending.set(address, (this.pending.get(address) ?? new Set()).add(socket));
      if (own.size > 0) (this.isFull(address) ? this.held : this.waiting).set(address, own);
      this.options.admit(socket);
      return;
    }
  }
}

function remove(line: Map<string, Set<Socket>>, address: string, socket: Socket): void {
  const own = line.get(address);
  own?.delete(socket);
  if (own?.size === 0) line.delete(address);
}
