/**
 * What each connection was shown of the control plane's root. A rotation of it is proven by handshakes against a chain of the
 * new root alone; who cannot follow such a chain yet is shown, the next time, one that the old root verifies too.
 */
import type { Clock } from "../ports";

/** Which chain a connection is shown. */
export type Shown = "alone" | "crossed";

interface Handshake {
  readonly address: string;
  /** The root that was shown alone; null: another could verify the chain. */
  readonly root: string | null;
  /** A call has come, so the client believed. */
  believed: boolean;
}

/** How long an address that did not follow a chain is shown the other one, milliseconds. */
const LENIENT_MS = 60_000;

/** The handshakes of a server's open connections. */
export class Handshakes {
  private readonly open = new Map<string, Handshake>();
  /** Addresses that did not follow the new root alone, and until when they are not asked to. */
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
    this.open.set(peer, { address, root: shown === "alone" ? this.root : null, believed: false });
    return shown;
  }

  /** A call has come over a connection. */
  believed(peer: string): void {
    const handshake = this.open.get(peer);
    if (handshake !== undefined) handshake.believed = true;
  }

  /** A connection has ended. */
  ended(peer: string): void {
    const handshake = this.open.get(peer);
    this.open.delete(peer);
    if (handshake === undefined || handshake.believed || !this.isCrossed) return;
    if (handshake.root !== null) this.lenient.set(handshake.address, this.clock.now() + LENIENT_MS);
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

  private isLenient(address: string): boolean {
    const until = this.lenient.get(address) ?? 0;
    if (this.clock.now() < until) return true;
    this.lenient.delete(address);
    return false;
  }
}
