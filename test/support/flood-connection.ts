/** Connections of a client that keeps to nothing, from an address of loopback of its own. */
import http2 from "node:http2";
import { connect as tcp, type Socket } from "node:net";
import { connect as tls, type TLSSocket } from "node:tls";
import { ADS_SAN } from "../../src/model/mesh-words";
import type { FloodTarget } from "./flood-server-app";

/** How often each outcome was seen. */
export type Outcomes = Record<string, number>;

/** Counts one more of that outcome. */
export function count(outcomes: Outcomes, outcome: string): void {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

/** A plain connection; errors are what is expected. */
export function plain({ port }: FloodTarget, localAddress: string): Socket {
  return tcp({ port, host: "127.0.0.1", localAddress }).on("error", () => undefined);
}

/** A TLS connection that is about to speak HTTP/2. */
export function secure({ port, root }: FloodTarget, localAddress: string): TLSSocket {
  const options = { port, host: "127.0.0.1", localAddress, ca: root, servername: ADS_SAN };
  return tls({ ...options, ALPNProtocols: ["h2"] }).on("error", () => undefined);
}

/** An HTTP/2 session from that address. */
export function session(target: FloodTarget, localAddress: string): http2.ClientHttp2Session {
  const made = http2.connect(`https://${ADS_SAN}`, { createConnection: () => secure(target, localAddress) });
  return made.on("error", () => undefined);
}

/** Opens a call of the discovery service as that pod. */
export function open(
  on: http2.ClientHttp2Session,
  pod: string,
  headers: http2.OutgoingHttpHeaders = {},
): http2.ClientHttp2Stream {
  const stream = on.request({
    ":method": "POST",
    ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer shop/buyer/${pod}/uid-${pod}`,
    ...headers,
  });
  return stream.on("error", () => undefined);
}

/** A message as gRPC frames it; `length` may lie. */
export function framed(message: Uint8Array, options: { readonly compressed?: boolean } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = options.compressed === true ? 1 : 0;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** How a call ended: its gRPC status, or how its connection did. The call is closed with it. */
export function endOf(stream: http2.ClientHttp2Stream): Promise<string> {
  return new Promise(resolve => {
    const look = (headers: http2.IncomingHttpHeaders): void => {
      const value = headers["grpc-status"];
      if (value === undefined) return;
      resolve(`status ${String(value)}`);
      // What has not been written yet would keep it open for ever.
      stream.close();
    };
    stream.on("response", look).on("trailers", look);
    const closed = (): void => {
      resolve(`reset ${String(stream.rstCode)}`);
    };
    stream.once("close", closed);
    if (stream.closed) closed();
  });
}
