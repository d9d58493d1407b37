/** Accepts TCP connections for the ADS server at a limited rate, so that a herd does not stop the event loop. */
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../ports";
import { Admission } from "./admission";
import type { AdsLimits } from "./limits";

/** Connections the kernel may hold before they are accepted. */
const BACKLOG = 4096;

/** Where connections come in. */
export interface Listener {
  readonly port: number;
  readonly open: number;
  /** Resets the connection of that peer, as grpc-js prints it; for clients that do not read. */
  destroy(peer: string): void;
  /** That peer has proven who it is. */
  settle(peer: string): void;
  /** Accepts no more; open connections stay. */
  stop(): void;
  /** Resets all connections. */
  destroyAll(): void;
}

/** What a listener is made of. */
export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: AdsLimits;
  readonly clock: Clock;
  onConnection(socket: Socket): void;
}

/** As grpc-js prints a peer: without brackets also for IPv6. */
export function peerOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Open connections by remote address. */
class Addresses {
  private readonly open = new Map<string, number>();

  /** How many there are of that address. */
  of(address: string): number {
    return this.open.get(address) ?? 0;
  }

  /** Counts one in (1) or out (-1). */
  count(address: string, change: 1 | -1): void {
    const now = this.of(address) + change;
    if (now > 0) this.open.set(address, now);
    else this.open.delete(address);
  }
}

/** Starts listening. Rejects when the address is not free. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, clock, host } = options;
  const sockets = new Map<string, Socket>();
  const addresses = new Addresses();
  const admission = new Admission({
    limits,
    clock,
    admit: socket => {
      if (!socket.destroyed) options.onConnection(socket);
    },
  });
  const server = createServer({ noDelay: true, pauseOnConnect: false }, socket => {
    const { remoteAddress = "" } = socket;
    if (sockets.size >= limits.maxConnections || addresses.of(remoteAddress) >= limits.maxPerAddress) {
      socket.destroy();
      return;
    }
    const peer = peerOf(socket);
    sockets.set(peer, socket);
    addresses.count(remoteAddress, 1);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(peer);
      addresses.count(remoteAddress, -1);
      admission.leave(remoteAddress, socket);
    });
    admission.arrive(remoteAddress, socket);
  });
  await started(server, host, options.port);
  const address = server.address();
  const destroyAll = (): void => {
    for (const socket of sockets.values()) socket.destroy();
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    get open() {
      return sockets.size;
    },
    destroy: peer => sockets.get(peer)?.destroy(),
    settle: peer => {
      const socket = sockets.get(peer);
      if (socket !== undefined) admission.settle(socket.remoteAddress ?? "", socket);
    },
    stop: () => {
      server.close();
    },
    destroyAll,
  };
}

function started(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off("error", reject);
      server.on("error", () => undefined);
      resolve();
    });
  });
}
