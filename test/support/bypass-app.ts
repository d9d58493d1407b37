/** A careless server and a careful attacker, in a test pod. */
import http from "node:http";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import type { BypassOperations, RawCall } from "./bypass-operations";
import { answerParent } from "./pod-process";

const TIMEOUT_MS = 5000;
/** A connection that has been silent for so long after an answer has said all it says, milliseconds. */
const SILENCE_MS = 300;
const PARALLEL = 16;

/** What a path means to an obliging application; one that decodes twice or drops `;x` is on its own. */
function meaning(target: string): string {
  const withoutOrigin = target.replace(/^https?:\/\/[^/]*/i, "");
  const encoded = withoutOrigin.split(/[?#]/)[0] ?? "";
  const plain = encoded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return path.posix.normalize(`/${plain.replaceAll("\\", "/")}`).toLowerCase();
}

function serveLenient(port: number): Promise<void> {
  const server = http.createServer({ insecureHTTPParser: true }, (request, response) => {
    request.resume();
    const target = request.url ?? "";
    response.end(meaning(target).startsWith("/protected") ? "protected" : `seen ${target}`);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "0.0.0.0", () => {
      resolve();
    });
  });
}

function connect({ host, port, tls: offer }: RawCall): { socket: net.Socket; ready: string } {
  if (offer === undefined) return { socket: net.connect({ host, port }), ready: "connect" };
  const { certificate, key, alpn, serverName, maxVersion, ciphers } = offer;
  const options = {
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(key === undefined ? {} : { key }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
  const versions = { minVersion: "TLSv1", maxVersion: maxVersion ?? "TLSv1.3" } as const;
  const socket = tls.connect({ host, port, rejectUnauthorized: false, ...versions, ...options });
  return { socket, ready: "secureConnect" };
}

function one(call: RawCall): Promise<string> {
  return new Promise(resolve => {
    let received = "";
    let socket: net.Socket;
    let ready: string;
    try {
      ({ socket, ready } = connect(call));
    } catch {
      // A version or cipher that this machine's own TLS does not even offer.
      resolve("");
      return;
    }
    const finish = (): void => {
      socket.destroy();
      resolve(received);
    };
    socket.setTimeout(TIMEOUT_MS, finish);
    socket.on(ready, () => socket.write(Buffer.from(call.send, "latin1")));
    socket.on("data", chunk => {
      received += chunk.toString("latin1");
      socket.setTimeout(SILENCE_MS);
    });
    socket.on("error", finish);
    socket.on("end", finish);
    socket.on("close", finish);
  });
}

async function calls(all: readonly RawCall[]): Promise<readonly string[]> {
  const answers: string[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < all.length; index = next++) {
      const call = all[index];
      answers[index] = call === undefined ? "" : await one(call);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return answers;
}

const operations: BypassOperations = { serveLenient, calls };
answerParent(operations);
