/** The application of a scene's pod; runs in the pod's network namespace, told what to do by scene-network.ts. */
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { resolveNames } from "./scene-dns";
import { answerParent } from "./pod-process";
import type { AppAnswer, AppCall, SceneOperations } from "./scene-operations";

const POD = process.env["TEST_POD"] ?? "";
const TIMEOUT_MS = 8000;
const PEER_HEADER = "x-forwarded-client-cert";

/** First bytes of an HTTP/2 connection (RFC 9113 §3.4). */
const HTTP2 = "PRI * HTTP/2.0";
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

/** Ports of the two HTTP servers behind every served port; started with the first of them. */
let inner: Promise<{ readonly http1: number; readonly http2: number }> | undefined;

async function startInner(): Promise<{ readonly http1: number; readonly http2: number }> {
  const first = http.createServer((request, response) => {
    request.resume();
    response.end(identity(request.headers));
  });
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
  return { http1: await listening(first, 0, "127.0.0.1"), http2: await listening(second, 0, "127.0.0.1") };
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

/** Hands a connection to the server for what it begins with; bytes that are no HTTP are answered with the pod's name. */
function answer(socket: net.Socket, first: Buffer, ports: { http1: number; http2: number }): void {
  const start = first.toString("latin1");
  const port = start.startsWith(HTTP2) ? ports.http2 : HTTP1.test(start) ? ports.http1 : undefined;
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

function callHttp1({ address: host, port, path, method, headers }: AppCall): Promise<AppAnswer> {
  return new Promise(resolve => {
    const request = http.request({ host, port, path, method, headers, timeout: TIMEOUT_MS, agent: false });
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
