/** Servers of a test pod that policies are about: failing, slow, TLS, a rate limit server and a log collector. */
import http from "node:http";
import type net from "node:net";
import tls from "node:tls";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Answer, PolicyOperations } from "./policy-operations";
import { answerParent } from "./pod-process";
import { serveUnary } from "./unary-server";

const POD = process.env["TEST_POD"] ?? "";

interface Served {
  answer: Answer;
  requests: number;
  connections: number;
}

const served = new Map<number, Served>();

function listening(server: net.Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "0.0.0.0", () => {
      resolve();
    });
  });
}

function statusOf(state: Served): number {
  const { status, times } = state.answer;
  if (times === undefined) return status;
  if (times === 0) return 200;
  state.answer = { ...state.answer, times: times - 1 };
  return status;
}

function serveHttp(port: number, answer: Answer): Promise<void> {
  const state: Served = { answer, requests: 0, connections: 0 };
  served.set(port, state);
  const server = http.createServer((request, response) => {
    request.resume();
    state.requests += 1;
    const status = statusOf(state);
    setTimeout(() => response.writeHead(status).end(POD), state.answer.delayMs ?? 0);
  });
  server.on("connection", () => (state.connections += 1));
  return listening(server, port);
}

/** The length-delimited fields of a message, in order. */
function fields(message: Uint8Array): [number, Uint8Array][] {
  const reader = new BinaryReader(message);
  const found: [number, Uint8Array][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) found.push([field, reader.bytes()]);
    else reader.skip(type);
  }
  return found;
}

const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString("utf8");

function entry(message: Uint8Array): string {
  const parts = new Map(fields(message));
  return `${text(parts.get(1))}=${text(parts.get(2))}`;
}

function descriptor(message: Uint8Array): string {
  return fields(message)
    .filter(([field]) => field === 1)
    .map(([, value]) => entry(value))
    .join(",");
}

const OK = 1;
const OVER_LIMIT = 2;
const questions: string[] = [];

function rateLimits(limit: number): (request: Buffer) => Buffer {
  const counts = new Map<string, number>();
  return request => {
    const parts = fields(request);
    const domain = text(new Map(parts).get(1));
    const descriptors = parts.filter(([field]) => field === 2).map(([, value]) => descriptor(value));
    questions.push(`${domain}: ${descriptors.join(" ")}`);
    const over = descriptors.filter(key => {
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      return count > limit;
    });
    return Buffer.from(
      new BinaryWriter()
        .uint32(1 << 3)
        .int32(over.length > 0 ? OVER_LIMIT : OK)
        .finish(),
    );
  };
}

let collected = "";

const operations: PolicyOperations = {
  serveHttp,
  answer: (port, answer) => {
    const state = served.get(port);
    if (state !== undefined) state.answer = answer;
    return Promise.resolve();
  },
  seen: port => {
    const { requests = 0, connections = 0 } = served.get(port) ?? {};
    return Promise.resolve({ requests, connections });
  },
  serveTls: (port, { certificate, key }) => {
    const server = tls.createServer({ cert: certificate, key }, socket => {
      const name = socket as tls.TLSSocket & { servername?: string | false };
      socket.on("error", () => socket.destroy());
      socket.end(`${POD} ${String(name.servername)}`);
    });
    server.on("tlsClientError", () => undefined);
    return listening(server, port);
  },
  callTls: ({ host, port }, servername) =>
    new Promise(resolve => {
      let received = "";
      const socket = tls.connect({ host, port, servername, rejectUnauthorized: false });
      socket.setTimeout(8000, () => socket.destroy());
      socket.on("data", chunk => (received += String(chunk)));
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        resolve(received);
      });
    }),
  serveRateLimits: (port, limit) =>
    serveUnary(
      { path: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", address: "0.0.0.0", port },
      rateLimits(limit),
    ),
  asked: () => Promise.resolve(questions),
  serveLogs: port =>
    serveUnary(
      { path: "/opentelemetry.proto.collector.logs.v1.LogsService/Export", address: "0.0.0.0", port },
      request => {
        collected += request.toString("latin1");
        return Buffer.alloc(0);
      },
    ),
  logs: () => Promise.resolve(collected),
};

answerParent(operations);
