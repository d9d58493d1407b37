/** The application of a scene's pod; runs in the pod's network namespace, told what to do by scene-network.ts. */
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { createRoot } from "../../src/runtime/secrets/authority";
import { resolveNames } from "./scene-dns";
import { answerParent } from "./pod-process";
import type { AppAnswer, AppCall, SceneOperations } from "./scene-operations";

const POD = process.env["TEST_POD"] ?? "";
const TIMEOUT_MS = 8000;
const PEER_HEADER = "x-forwarded-client-cert";

/** First bytes of an HTTP/2 connection (RFC 9113 §3.4). */
const HTTP2 = "PRI * HTTP/2.0";
/** First bytes of a TLS connection: a handshake record. */
const TLS = "\u0016\u0003";
const HTTP1 = /^[A-Z]+ \S* HTTP\/1\./;

/** An empty gRPC message: not compressed, length 0. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** HTTP status that means the same as a gRPC status (Envoy's own table of local replies, read backwards). */
const GRPC_STATUS: Readonly<Record<string, number>> = { "0": 200, "7": 403, "12": 404, "14": 503, "8": 429 };

function identity(headers: http.IncomingHttpHeaders): string {
  return JSON.stringify({ pod: POD, peer: headers[PEER_HEADER] ?? "" });
}

function listening(server: net.Server | http2.Http2Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      resolve((server.address() as net.AddressInfo).port);
    });
  });
}

/** Ports of the servers behind every served port. */
interface Inner {
  readonly http1: number;
  readonly http2: number;
  readonly tls: number;
}

/** Started with the first served port. */
let inner: Promise<Inner> | undefined;

function answerHttp1(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.resume();
  response.end(identity(request.headers));
}

async function startInner(): Promise<Inner> {
  const first = http.createServer(answerHttp1);
  const own = createRoot(Date.now());
  const third = https.createServer({ cert: own.certPem, key: own.keyPem }, answerHttp1);
  const second = http2.createServer((request, response) => {
    request.resume();
    if (request.headers["content-type"] !== "application/grpc") {
      response.end(identity(request.headers));
      return;
    }
    response.writeHead(200, { "content-type": "application/grpc", "test-app": identity(request.headers) });
    response.addTrailers({ "grpc-status": "0" });
    response.end(EMPTY_MESSAGE);
  });
  const ports = [first, second, third].map(server => listening(server, 0, "127.0.0.1"));
  const [plain = 0, h2c = 0, tls = 0] = await Promise.all(ports);
  return { http1: plain, http2: h2c, tls };
}

/** Served ports, and whether the server speaks first there. */
const served = new Map<number, boolean>();

async function serve(port: number, greets: boolean): Promise<void> {
  const already = served.has(port);
  served.set(port, greets);
  if (already) return;
  inner ??= startInner();
  const ports = await inner;
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    socket.on("error", () => socket.destroy());
    if (served.get(port) === true) socket.end(`${POD}\n`);
    else
      socket.once("data", first => {
        answer(socket, first, ports);
      });
  });
  await listening(server, port, "::");
}

/** The server for what a connection begins with; undefined: bytes of no protocol known here. */
function innerPort(start: string, ports: Inner): number | undefined {
  if (start.startsWith(TLS)) return ports.tls;
  if (start.startsWith(HTTP2)) return ports.http2;
  return HTTP1.test(start) ? ports.http1 : undefined;
}

/** Hands a connection to the server for it; bytes of no known protocol are answered with the pod's name. */
function answer(socket: net.Socket, first: Buffer, ports: Inner): void {
  const port = innerPort(first.toString("latin1"), ports);
  if (port === undefined) {
    socket.end(`${POD}\n`);
    return;
  }
  const behind = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  behind.on("error", () => socket.destroy());
  behind.write(first);
  socket.pipe(behind).pipe(socket);
}

function answered(outcome: AppAnswer["outcome"], body = "", detail = ""): AppAnswer {
  try {
    const { pod, peer } = JSON.parse(body) as { pod: string; peer: string };
    return { outcome, pod, peer, detail };
  } catch {
    return { outcome, pod: "", peer: "", detail: `${detail} ${body}`.trim() };
  }
}

function requestHttp1(call: AppCall): http.ClientRequest {
  const { address: host, port, path, method, headers } = call;
  const options = { host, port, path, method, headers, timeout: TIMEOUT_MS, agent: false };
  if (call.scheme === "http") return http.request(options);
  const servername = net.isIP(call.serverName) === 0 ? call.serverName : "";
  // Who serves is the mesh's concern, and the test's: it looks at who has answered.
  return https.request({ ...options, ...call.credentials, servername, rejectUnauthorized: false });
}

function callHttp1(call: AppCall): Promise<AppAnswer> {
  return new Promise(resolve => {
    const request = requestHttp1(call);
    request.on("timeout", () => {
      resolve(answered("timeout"));
      request.destroy();
    });
    request.on("error", error => {
      resolve(answered("refused", "", error.message));
    });
    request.on("response", response => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => {
        resolve(answered(response.statusCode ?? 0, body));
      });
    });
    request.end();
  });
}

function callHttp2(call: AppCall): Promise<AppAnswer> {
  const { host: authority = "", ...headers } = call.headers;
  const origin = net.isIPv6(call.address) ? `[${call.address}]` : call.address;
  const grpc = call.scheme === "grpc";
  return new Promise(resolve => {
    const session = http2.connect(`http://${origin}:${call.port}`);
    const finish = (result: AppAnswer): void => {
      session.destroy();
      resolve(result);
    };
    const failed = (error: Error): void => {
      finish(answered("refused", "", error.message));
    };
    session.on("error", failed);
    const stream = session.request({
      ":authority": authority,
      ":method": call.method,
      ":path": call.path,
      ...headers,
    });
    stream.on("error", failed).setTimeout(TIMEOUT_MS, () => {
      finish(answered("timeout"));
    });
    let seen: http2.IncomingHttpHeaders = {};
    let body = "";
    stream.on("response", given => (seen = given));
    stream.on("trailers", (given: http2.IncomingHttpHeaders) => (seen = { ...seen, ...given }));
    stream.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    stream.on("close", () => {
      const status = (seen as { ":status"?: number })[":status"] ?? 0;
      if (status === 0) failed(new Error("closed without a response"));
      else if (grpc) finish(grpcAnswer(seen));
      else finish(answered(status, body));
    });
    stream.end(grpc ? EMPTY_MESSAGE : undefined);
  });
}

function grpcAnswer(headers: http2.IncomingHttpHeaders): AppAnswer {
  const code = String(headers["grpc-status"]);
  const said = `grpc-status ${code}: ${String(headers["grpc-message"])}`;
  return answered(GRPC_STATUS[code] ?? Number(code), String(headers["test-app"] ?? ""), said);
}

function callBytes({ scheme, address: host, port }: AppCall): Promise<AppAnswer> {
  return new Promise(resolve => {
    const socket = net.connect({ host, port });
    let received = "";
    const finish = (outcome: AppAnswer["outcome"], detail: string): void => {
      socket.destroy();
      resolve({ outcome, pod: received.trim(), peer: "", detail });
    };
    socket.setTimeout(TIMEOUT_MS, () => {
      finish("timeout", "");
    });
    socket.on("connect", () => scheme === "tcp" && socket.write("hello\n"));
    socket.on("data", chunk => {
      received += chunk.toString();
      if (received.includes("\n")) finish("answered", "");
    });
    socket.on("error", error => {
      finish("refused", error.message);
    });
    socket.on("close", () => {
      finish("refused", `closed after ${JSON.stringify(received)}`);
    });
  });
}

function call(given: AppCall): Promise<AppAnswer> {
  switch (given.scheme) {
    case "http":
    case "https":
      return callHttp1(given);
    case "h2":
    case "grpc":
      return callHttp2(given);
    case "tcp":
    case "server-first":
      return callBytes(given);
  }
}

const operations: SceneOperations = { serve, resolve: resolveNames, call };
answerParent(operations);
