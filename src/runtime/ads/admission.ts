/** In which order waiting connections are let in: by turns of the addresses they come from, so that no address can keep the others out. */
import type { Socket } from "node:net";
import type { Clock } from "../ports";
import { TokenBucket, type AdsLimits } from "./limits";

/** What admission works with. */
export interface AdmissionOptions {
  readonly limits: Pick<AdsLimits, "connectRate" | "connectBurst">;
  readonly clock: Clock;
  /** Takes over a connection; called at once or later, never for one that has closed. */
  admit(socket: Socket): void;
}

/** Connections that wait for their turn. A connection that goes while it waits costs the others nothing. */
export class Admission {
  private readonly bucket: TokenBucket;
  /** By address, the one whose turn it is first; in order of arrival within an address. No address without a socket. */
  private readonly waiting = new Map<string, Set<Socket>>();
  private pacing = false;

  constructor(private readonly options: AdmissionOptions) {
    const { limits, clock } = options;
    this.bucket = new TokenBucket(limits.connectRate, limits.connectBurst, clock.now());
  }

  /** A new connection; `address` is where it comes from. */
  arrive(address: string, socket: Socket): void {
    const own = this.waiting.get(address) ?? new Set();
    this.waiting.set(address, own.add(socket));
    if (!this.pacing) this.pump();
  }

  /** A connection has closed; unknown ones are ignored. */
  leave(address: string, socket: Socket): void {
    const own = this.waiting.get(address);
    own?.delete(socket);
    if (own?.size === 0) this.waiting.delete(address);
  }

  private pump(): void {
    const { clock, limits } = this.options;
    while (this.waiting.size > 0 && this.bucket.tryTake(clock.now())) this.admitNext();
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
      const [socket] = own;
      if (socket === undefined) return;
      own.delete(socket);
      if (own.size > 0) this.waiting.set(address, own);
      this.options.admit(socket);
      return;
    }
  }
}
