import { chmodSync } from "node:fs";
import net from "node:net";

function sameStream(from: net.Socket, to: net.Socket): void {
  from.pipe(to);
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroy());
}

/** Carries what connects to a socket of the file system, which anybody may, to where `connect` leads. */
export function relaySocket(socket: string, connect: () => net.Socket): Promise<net.Server> {
  const server = net.createServer(client => {
    const upstream = connect();
    sameStream(client, upstream);
    sameStream(upstream, client);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, () => {
      chmodSync(socket, 0o777);
      resolve(server);
    });
  });
}
