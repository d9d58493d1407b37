import { chmodSync, rmSync } from "node:fs";
import net from "node:net";
import type { LinkFault } from "./plan";

/** Bytes of a slow link each {@link SLOW_MS}. */
const SLOW_BYTES = 4_096;
const SLOW_MS = 20;

interface Pair {
  readonly ends: readonly [net.Socket, net.Socket];
}

/** Carries connections to where `target` leads at the time, and can be disturbed. TLS passes as it is. */
export class Link {
  private readonly server: net.Server;
  private readonly pairs = new Set<Pair>();
  private fault: LinkFault | undefined;

  /** `target`: a new connection to the other side; undefined: there is nobody, and the caller is refused. */
  constructor(private readonly target: () => net.Socket | undefined) {
    this.server = net.createServer(client => {
      this.accept(client);
    });
  }

  /** Listens at a port of loopback, or a socket of the file system that anybody may use. */
  listen(at: number | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      const ready = (): void => {
        if (typeof at === "string") chmodSync(at, 0o777);
        resolve();
      };
      if (typeof at === "string") {
        rmSync(at, { force: true });
        this.server.listen(at, ready);
      } else this.server.listen(at, "127.0.0.1", ready);
    });
  }

  /** Connections that are open. */
  get open(): number {
    return this.pairs.size;
  }

  /** Begins to disturb. A reset is over at once; the others last until {@link Link.heal}. */
  disturb(fault: LinkFault): void {
    if (fault === "reset") {
      this.reset();
      return;
    }
    this.fault = fault;
  }

  /** What was silent is reset, as by a network that is there again and does not know it. */
  heal(): void {
    if (this.fault === "half-open") this.reset();
    this.fault = undefined;
  }

  /** Ends everything. */
  close(): void {
    this.server.close();
    this.reset();
  }

  /** Resets what is open. */
  reset(): void {
    for (const { ends } of [...this.pairs]) for (const end of ends) resetEnd(end);
  }

  private accept(client: net.Socket): void {
    const upstream = this.target();
    if (upstream === undefined) {
      client.on("error", () => undefined);
      client.destroy();
      return;
    }
    const pair: Pair = { ends: [client, upstream] };
    this.pairs.add(pair);
    this.carry(client, upstream, pair);
    this.carry(upstream, client, pair);
  }

  private carry(from: net.Socket, to: net.Socket, pair: Pair): void {
    from.setNoDelay(true);
    from.on("data", chunk => {
      if (this.fault === "half-open") return;
      if (this.fault === "slow") {
        from.pause();
        this.trickle(chunk, from, to);
      } else if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (this.fault !== "slow") from.resume();
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.pairs.delete(pair);
      to.destroy();
    });
  }

  private trickle(chunk: Buffer, from: net.Socket, to: net.Socket): void {
    if (to.destroyed) return;
    const bytes = this.fault === "slow" ? SLOW_BYTES : chunk.length;
    to.write(chunk.subarray(0, bytes));
    const rest = chunk.subarray(bytes);
    setTimeout(() => {
      if (rest.length > 0) this.trickle(rest, from, to);
      else from.resume();
    }, SLOW_MS);
  }
}

/** Only TCP knows a reset. */
function resetEnd(end: net.Socket): void {
  if (end.remoteAddress === undefined) end.destroy();
  else end.resetAndDestroy();
}
