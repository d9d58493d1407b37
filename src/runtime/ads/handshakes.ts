/**
 * What each connection was shown of the control plane's root. A rotation of it is proven by handshakes against a chain of the
 * new root alone; who cannot follow such a chain yet is shown, the next time, one that the old root verifies too.
 */
import type { Clock } from "../ports";

/** Which chain a connection is shown. */
export type Shown = "alone" | "crossed";

interface Handshake {
  readonly address: string;
  /** When the connection began, epoch milliseconds. */
  readonly at: number;
  /** The root that was shown alone; null: another could verify the chain. */
  readonly root: string | null;
  /** A call has come, so the client believed. */
  believed: boolean;
}

/** How long an address that did not follow a chain is shown the other one, milliseconds. */
const LENIENT_MS = 60_000;
/** Addresses that are remembered; beyond it the oldest are forgotten, and tried again. */
const MOST_LENIENT = 10_000;

/** The handshakes of a server's open connections. */
export class Handshakes {
  private readonly open = new Map<string, Handshake>();
  /** Addresses that did not follow the new root alone, and until when they are not asked to; the earliest first. */
  private readonly lenient = new Map<string, number>();
  private root: string | null = null;
  private isCrossed = false;

  constructor(private readonly clock: Clock) {}

  /** From now on the root shown is this one; `isCrossed`: there is a chain that the root before it verifies. */
  present(root: string | undefined, isCrossed: boolean): void {
    if (root !== this.root) this.lenient.clear();
    this.root = root ?? null;
    this.isCrossed = isCrossed;
  }

  /** A connection begins: what to show it. */
  begin(peer: string, address: string): Shown {
    const shown = this.isCrossed && this.isLenient(address) ? "crossed" : "alone";
    const root = shown === "alone" ? this.root : null;
    this.open.set(peer, { address, at: this.clock.now(), root, believed: false });
    return shown;
  }

  /** A call has come over a connection. */
  believed(peer: string): void {
    const handshake = this.open.get(peer);
    if (handshake !== undefined) handshake.believed = true;
  }

  /**
   * A connection has ended. `received`: bytes that its client has sent; one that has sent none (a check of health, say) was
   * shown nothing that it could have refused.
   */
  ended(peer: string, received: number): void {
    const handshake = this.open.get(peer);
    this.open.delete(peer);
    if (handshake === undefined || handshake.believed || !this.isCrossed || received === 0) return;
    if (handshake.root !== null) this.spare(handshake.address);
  }

  /** Addresses that are remembered, for a while. */
  get spared(): number {
    return this.lenient.size;
  }

  /** The root that a connection has verified alone; null: none, as another was, or is, shown along with it. */
  rootOf(peer: string): string | null {
    return this.open.get(peer)?.root ?? null;
  }

  /** Whether the connection should be made anew, so that it is shown the present root alone. */
  isStale(peer: string): boolean {
    const handshake = this.open.get(peer);
    return handshake !== undefined && handshake.root !== this.root && !this.isLenient(handshake.address);
  }

  /** Whether a connection is so old that its client may have fetched another certificate since. */
  isOld(peer: string): boolean {
    const handshake = this.open.get(peer);
    return handshake !== undefined && this.clock.now() - handshake.at >= LENIENT_MS;
  }

  private spare(address: string): void {
    const now = this.clock.now();
    this.lenient.delete(address);
    for (const [oldest, until] of this.lenient) {
      if (now < until && this.lenient.size < MOST_LENIENT) break;
      this.lenient.delete(oldest);
    }
    this.lenient.set(address, now + LENIENT_MS);
  }

  private isLenient(address: string): boolean {
    const until = this.lenient.get(address) ?? 0;
    if (this.clock.now() < until) return true;
    this.lenient.delete(address);
    return false;
  }
}
