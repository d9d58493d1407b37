/** Long streams of a test pod: a gRPC server that echoes, and clients that tell when their streams ended. */
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { answerParent } from "./pod-process";
import type { StreamOperations, StreamState } from "./stream-operations";

const GRPC_PATH = "/test.Stream/Echo";
const MESSAGE = Buffer.from("beat\n");

interface Stream {
  state: StreamState;
  readonly write: () => void;
  readonly destroy: () => void;
}

const streams: Stream[] = [];

/** Keeps a stream, sends what is due, and resolves with its number when the first answer has come. */
function keep(write: () => void, destroy: () => void, everyMs: number): Keeper {
  const stream: Stream = {
    state: { open: true, lastByteAt: 0, closedAt: 0, received: 0 },
    write,
    destroy,
  };
  const index = streams.push(stream) - 1;
  let timer: NodeJS.Timeout | undefined;
  let answered: (index: number) => void = () => undefined;
  let refused: (error: Error) => void = () => undefined;
  const opened = new Promise<number>((resolve, reject) => {
    answered = resolve;
    refused = reject;
  });
  return {
    opened,
    start: () => {
      write();
      if (everyMs > 0) timer = setInterval(write, everyMs);
    },
    received: bytes => {
      const { state } = stream;
      stream.state = { ...state, lastByteAt: Date.now(), received: state.received + bytes };
      answered(index);
    },
    closed: () => {
      clearInterval(timer);
      if (stream.state.open) stream.state = { ...stream.state, open: false, closedAt: Date.now() };
      refused(new Error("closed before the first answer"));
    },
  };
}

interface Keeper {
  readonly opened: Promise<number>;
  start(): void;
  received(bytes: number): void;
  closed(): void;
}

function keepSocket(socket: net.Socket, everyMs: number, first: string | Buffer = MESSAGE): Keeper {
  let sent = false;
  const keeper = keep(
    () => {
      socket.write(sent ? MESSAGE : first);
      sent = true;
    },
    () => socket.destroy(),
    everyMs,
  );
  socket.on("data", chunk => {
    keeper.received(chunk.length);
  });
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.destroy());
  socket.on("close", () => {
    keeper.closed();
  });
  return keeper;
}

const bytes = (value: Buffer): Buffer => value;

const operations: StreamOperations = {
  serveGrpc: port => {
    const server = new grpc.Server();
    const echo: grpc.MethodDefinition<Buffer, Buffer> = {
      path: GRPC_PATH,
      requestStream: true,
      responseStream: true,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    server.addService(
      { Echo: echo },
      {
        Echo: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
          call.on("data", (message: Buffer) => call.write(message));
          call.on("end", () => {
            call.end();
          });
          call.on("error", () => {
            call.end();
          });
        },
      },
    );
    return new Promise((resolve, reject) => {
      server.bindAsync(`0.0.0.0:${port}`, grpc.ServerCredentials.createInsecure(), error => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  },
  openTcp: ({ host, port }, everyMs) => {
    const socket = net.connect({ host, port });
    const keeper = keepSocket(socket, everyMs);
    socket.on("connect", () => {
      keeper.start();
    });
    return keeper.opened;
  },
  openTls: ({ host, port, offer }, send, everyMs) => {
    const socket = tls.connect({
      host,
      port,
      servername: "shop.test.svc.cluster.local",
      rejectUnauthorized: false,
      cert: offer.certificate,
      key: offer.key,
      ALPNProtocols: offer.alpn === undefined ? [] : [offer.alpn],
    });
    const keeper = keepSocket(socket, everyMs, send);
    socket.on("secureConnect", () => {
      keeper.start();
    });
    return keeper.opened;
  },
  openWebSocket: ({ host, port }, everyMs) =>
    new Promise((resolve, reject) => {
      const headers = { connection: "Upgrade", upgrade: "websocket" };
      const request = http.request({ host, port, path: "/ws", headers });
      request.on("error", reject);
      request.on("response", response => {
        reject(new Error(`WebSocket: ${response.statusCode ?? 0}`));
      });
      request.on("upgrade", (_response, socket: net.Socket) => {
        const keeper = keepSocket(socket, everyMs);
        keeper.start();
        keeper.opened.then(resolve, reject);
      });
      request.end();
    }),
  openGrpc: ({ host, port }, everyMs) => {
    const client = new grpc.Client(`${host}:${port}`, grpc.credentials.createInsecure());
    const call = client.makeBidiStreamRequest(GRPC_PATH, bytes, bytes);
    const keeper = keep(
      () => call.write(MESSAGE),
      () => {
        call.cancel();
        client.close();
      },
      everyMs,
    );
    call.on("data", (message: Buffer) => {
      keeper.received(message.length);
    });
    const over = (): void => {
      keeper.closed();
      client.close();
    };
    call.on("error", over);
    call.on("end", over);
    keeper.start();
    return keeper.opened;
  },
  state: stream => {
    const found = streams[stream];
    return found === undefined ? Promise.reject(new Error("no such stream")) : Promise.resolve(found.state);
  },
  closeAll: () => {
    for (const stream of streams) stream.destroy();
    return Promise.resolve();
  },
};

answerParent(operations);
