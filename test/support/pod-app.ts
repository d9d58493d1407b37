/**
 * The application of a test pod: servers and clients of every protocol, told what to do over the process's IPC channel.
 * Runs in the pod's network namespace; see pod-process.ts for the other end.
 */
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import * as grpc from "@grpc/grpc-js";
import type {
  HttpAnswer,
  HttpCall,
  Operations,
  TcpAnswer,
  TcpCall,
  TlsCall,
  WebSocketAnswer,
} from "./pod-operations";
import { serveUnary } from "./unary-server";

const POD = process.env["TEST_POD"] ?? "";
/** Where the servers listen: all IPv4 addresses unless told one. */
const ADDRESS = process.env["TEST_ADDRESS"] ?? "0.0.0.0";
const GRPC_PATH = "/test.Echo/Say";
const GRPC_STREAM_PATH = "/test.Echo/Count";
const TIMEOUT_MS = 8000;

function echo(request: {
  method?: string | undefined;
  url?: string | undefined;
  headers: unknown;
  version: string;
}): string {
  return JSON.stringify({ pod: POD, ...request });
}

function serveHttp(port: number): Promise<void> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.setHeader("server", "test-app");
    const { method, url, headers, httpVersion } = request;
    response.end(echo({ method, url, headers, version: httpVersion }));
  });
  // Enough of a WebSocket for the mesh: the upgrade, then bytes both ways.
  server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    socket.on("data", chunk => socket.write(chunk));
    socket.on("error", () => socket.destroy());
  });
  return listening(server, port);
}

function serveHttp2(port: number): Promise<void> {
  const server = http2.createServer((request, response) => {
    request.resume();
    const { method, url, headers } = request;
    response.end(echo({ method, url, headers, version: request.httpVersion }));
  });
  return listening(server, port);
}

const bytes = (value: Buffer): Buffer => value;
const ECHO_SERVICE: grpc.ServiceDefinition = {
  Say: {
    path: GRPC_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
  Count: {
    path: GRPC_STREAM_PATH,
    requestStream: false,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

function serveGrpc(port: number): Promise<void> {
  const server = new grpc.Server();
  server.addService(ECHO_SERVICE, {
    Say: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
      reply(null, Buffer.concat([Buffer.from(`${POD}:`), call.request]));
    },
    Count: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      const count = Number(call.request.toString());
      for (let i = 0; i < count; i += 1) call.write(Buffer.from(String(i)));
      call.end();
    },
  });
  return bound(server, port);
}

function bound(server: grpc.Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${ADDRESS}:${port}`, grpc.ServerCredentials.createInsecure(), error => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

function serveTcp(port: number, greeting: string): Promise<void> {
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    if (greeting !== "") socket.write(`${greeting} ${POD}\n`);
    socket.on("data", chunk => socket.write(`${POD} ${chunk.toString()}`));
    socket.on("end", () => socket.end());
    socket.on("error", () => socket.destroy());
  });
  return listening(server, port);
}

function listening(server: net.Server | http2.Http2Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, ADDRESS, () => {
      resolve();
    });
  });
}

function callHttp(call: HttpCall): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { host, port, path = "/", method = "GET", headers = {} } = call;
    const request = http.request({ host, port, path, method, headers, timeout: TIMEOUT_MS, agent: false });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", reject);
    request.on("response", response => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
      response.on("error", reject);
    });
    request.end();
  });
}

function callHttp2(call: HttpCall): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://${call.host}:${call.port}`);
    session.on("error", reject);
    const stream = session.request({ ":path": call.path ?? "/", ...call.headers });
    let status = 0;
    let body = "";
    stream.setTimeout(TIMEOUT_MS, () => {
      stream.destroy(new Error("timeout"));
    });
    stream.on("error", (error: Error) => {
      session.destroy();
      reject(error);
    });
    stream.on("response", headers => (status = headers[":status"] ?? 0));
    stream.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    stream.on("end", () => {
      session.close();
      resolve({ status, headers: {}, body });
    });
  });
}

function callGrpc(address: string, text: string): Promise<string> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + TIMEOUT_MS;
    client.makeUnaryRequest(GRPC_PATH, bytes, bytes, Buffer.from(text), { deadline }, (error, value) => {
      client.close();
      if (error === null) resolve(value?.toString() ?? "");
      else reject(new Error(error.message));
    });
  });
}

function countGrpc(address: string, count: number): Promise<number> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    let seen = 0;
    const stream = client.makeServerStreamRequest(
      GRPC_STREAM_PATH,
      bytes,
      bytes,
      Buffer.from(String(count)),
      {
        deadline: Date.now() + TIMEOUT_MS,
      },
    );
    stream.on("data", () => (seen += 1));
    stream.on("error", (error: Error) => {
      reject(error);
    });
    stream.on("end", () => {
      client.close();
      resolve(seen);
    });
  });
}

function callWebSocket(host: string, port: number, message: string): Promise<WebSocketAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const request = http.request({ host, port, path: "/ws", headers, timeout: TIMEOUT_MS });
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("response", response => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, echoed: "" });
    });
    request.on("upgrade", (response, socket) => {
      socket.once("data", (chunk: Buffer) => {
        socket.destroy();
        resolve({ status: response.statusCode ?? 0, echoed: chunk.toString() });
      });
      socket.on("error", reject);
      socket.write(message);
    });
    request.end();
  });
}

/** Sends (unless empty) when connected, and tells what came until `until` was in it or the connection was over. */
function converse(socket: net.Socket, connected: string, { send = "", until }: TcpCall): Promise<TcpAnswer> {
  return new Promise(resolve => {
    let received = "";
    const finish = (outcome: TcpAnswer["outcome"]): void => {
      socket.destroy();
      resolve({ received, outcome });
    };
    socket.setTimeout(TIMEOUT_MS, () => {
      finish("timeout");
    });
    socket.on(connected, () => send !== "" && socket.write(send));
    socket.on("data", chunk => {
      received += String(chunk);
      if (until !== undefined && received.includes(until)) finish("received");
    });
    socket.on("end", () => {
      finish("closed");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      finish(error.code === "ECONNREFUSED" ? "refused" : "closed");
    });
    socket.on("close", () => {
      finish("closed");
    });
  });
}

function callTcp(call: TcpCall): Promise<TcpAnswer> {
  return converse(net.connect({ host: call.host, port: call.port }), "connect", call);
}

/** A TLS client with whatever it is given; what the server makes of it is the answer. */
function callTls(call: TlsCall): Promise<TcpAnswer> {
  const socket = tls.connect({
    host: call.host,
    port: call.port,
    servername: "shop.test.svc.cluster.local",
    rejectUnauthorized: false,
    cert: call.offer.certificate,
    key: call.offer.key,
    ALPNProtocols: call.offer.alpn === undefined ? [] : [call.offer.alpn],
    maxVersion: call.offer.maxVersion ?? "TLSv1.3",
  });
  return converse(socket, "secureConnect", call);
}

/** `envoy.service.auth.v3.CheckResponse` with a status code: 0 is yes, 7 (PERMISSION_DENIED) is no. */
const ALLOWED = Buffer.from([0x0a, 0x00]);
const DENIED = Buffer.from([0x0a, 0x02, 0x08, 0x07]);

function serveAuthorization(port: number, refused: string): Promise<void> {
  return serveUnary(
    { path: "/envoy.service.auth.v3.Authorization/Check", address: ADDRESS, port },
    request => (request.includes(refused) ? DENIED : ALLOWED),
  );
}

let collected = "";

function serveCollector(port: number): Promise<void> {
  const server = http.createServer((request, response) => {
    request.setEncoding("utf8").on("data", (chunk: string) => (collected += `${request.url ?? ""} ${chunk}`));
    request.on("end", () => response.writeHead(202).end());
  });
  return listening(server, port);
}

const operations: Operations = {
  serveHttp,
  serveHttp2,
  serveGrpc,
  serveTcp,
  callHttp,
  callHttp2,
  callGrpc,
  countGrpc,
  callWebSocket,
  callTcp,
  callTls,
  serveAuthorization,
  serveCollector,
  collected: () => Promise.resolve(collected),
};

process.on("message", (message: { id: number; operation: keyof Operations; args: never[] }) => {
  const run = operations[message.operation] as (...args: never[]) => Promise<unknown>;
  run(...message.args).then(
    value => process.send?.({ id: message.id, value }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
