/** Connections without a stream. Each costs what TLS and HTTP/2 keep for it, and nobody has use of it: none stays for long. */
import { isOver } from "../clock";
import type { Clock } from "../ports";

/** How long a connection may be without a stream, milliseconds. */
export interface StrayLimits {
  /** From when it is let in, the handshake's deadline of five seconds included. */
  readonly newConnectionMs: number;
  /** After its last stream: long enough for another try of its proxy. */
  readonly lonelyMs: number;
}

interface Connection {
  streams: number;
  /** When it is to be closed unless a stream comes, epoch milliseconds. */
  until: number;
}

/** Counts the streams of each connection. */
export class Strays {
  private readonly connections = new Map<string, Connection>();

  constructor(
    private readonly clock: Pick<Clock, "now">,
    private readonly limits: StrayLimits,
  ) {}

  /** A connection is let in. */
  began(peer: string): void {
    this.connections.set(peer, { streams: 0, until: this.clock.now() + this.limits.newConnectionMs });
  }

  /** A connection has ended. */
  ended(peer: string): void {
    this.connections.delete(peer);
  }

  /** A stream comes, whether or not it will be accepted; gives what is to be called at its end, once or more often. */
  stream(peer: string): () => void {
    const connection = this.connections.get(peer);
    if (connection === undefined) return () => undefined;
    connection.streams += 1;
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      connection.streams -= 1;
      connection.until = this.clock.now() + this.limits.lonelyMs;
    };
  }

  /** Whether it is open and without a stream. */
  isStray(peer: string): boolean {
    return this.connections.get(peer)?.streams === 0;
  }

  /** Those whose time without a stream is over. */
  *overdue(): Generator<string> {
    const now = this.clock.now();
    const longest = Math.max(this.limits.newConnectionMs, this.limits.lonelyMs);
    for (const [peer, { streams, until }] of this.connections)
      if (streams === 0 && isOver(until, now, longest)) yield peer;
  }
}
