/** What only the matrix asks of its application: bulk, half-closed connections, long silence and awkward answers. */
import { createHash, randomBytes } from "node:crypto";
import dgram from "node:dgram";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import * as grpc from "@grpc/grpc-js";

/** Where to, and how many bytes there and back. */
export interface BulkCall {
  readonly host: string;
  readonly port: number;
  readonly bytes: number;
}

/** What came back. */
export interface BulkAnswer {
  /** Every byte sent came back, in order, and then the end. */
  readonly whole: boolean;
  readonly received: number;
  readonly status: number | undefined;
}

/** A request whose answer is looked at in detail. */
export interface AwkwardCall {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What came of it. */
export interface AwkwardAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly trailers: Readonly<Record<string, string | undefined>>;
  /** The server said that the body may come. */
  readonly continued: boolean;
}

/** Operations beside those of the traffic rung's application. */
export interface BulkOperations {
  /** TCP: every byte back as it is; ends when the client has. */
  serveEcho(port: number): Promise<void>;
  /** HTTP/1.1: POST gives the body back; see {@link AWKWARD}. */
  serveAwkward(port: number): Promise<void>;
  /** HTTP/2: gives the body back. */
  serveEcho2(port: number): Promise<void>;
  /** UDP: the datagram back. */
  serveUdp(port: number): Promise<void>;
  askUdp(host: string, port: number): Promise<string>;
  /** Sends, ends its own half of the connection, then reads to the end. */
  bulkTcp(call: BulkCall): Promise<BulkAnswer>;
  bulkHttp(call: BulkCall): Promise<BulkAnswer>;
  bulkHttp2(call: BulkCall): Promise<BulkAnswer>;
  awkward(call: AwkwardCall): Promise<AwkwardAnswer>;
  /** Status code of a gRPC call of a method. */
  grpcStatus(address: string, method: string): Promise<number>;
  /** HTTP status of a TLS server, whose certificate is not looked at. */
  httpsStatus(url: string): Promise<number>;
  /** A TCP connection over which nothing goes for a while, then a word and its echo. */
  silentTcp(call: { host: string; port: number; ms: number }): Promise<string>;
  /** The same over a WebSocket. */
  silentWebSocket(call: { host: string; port: number; ms: number }): Promise<string>;
}

function listening(server: net.Server | http2.Http2Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "0.0.0.0", () => {
      resolve();
    });
  });
}

/** Answers by path. `/slow?<ms>` answers late. */
const AWKWARD: Readonly<
  Record<string, (request: http.IncomingMessage, response: http.ServerResponse) => void>
> = {
  "/cookies": (_request, response) =>
    response
      .setHeader("set-cookie", ["a=1", "b=2"])
      .setHeader("X-Mixed-Case", "Kept As It Is")
      .end("cookies"),
  "/until-close": (_request, response) => {
    response.socket?.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the connection ends");
  },
  "/cut-short": (_request, response) => {
    response
      .writeHead(200, { "content-length": "1000" })
      .write("not all of it", () => response.socket?.destroy());
  },
  "/nothing": (_request, response) => response.writeHead(204).end(),
  "/trailers": (_request, response) => {
    response.writeHead(200, { trailer: "x-sum" }).write("body");
    response.addTrailers({ "x-sum": "4" });
    response.end();
  },
  "/slow": (request, response) => {
    const ms = Number(new URL(request.url ?? "", "http://pod").search.slice(1));
    setTimeout(() => response.end("late"), ms);
  },
};

function serveAwkward(port: number): Promise<void> {
  const server = http.createServer((request, response) => {
    if (request.method === "POST") request.pipe(response);
    else
      (AWKWARD[(request.url ?? "").split("?")[0] ?? ""] ?? ((_, rest) => rest.end(request.url)))(
        request,
        response,
      );
  });
  return listening(server, port);
}

/** Random bytes, and the comparison of what came back. */
class Parcel {
  public readonly content: Buffer;
  private readonly hash = createHash("sha256");
  private received = 0;

  public constructor(bytes: number) {
    this.content = randomBytes(bytes);
  }

  public add(part: Buffer): void {
    this.received += part.length;
    this.hash.update(part);
  }

  public answer(status?: number): BulkAnswer {
    const sent = createHash("sha256").update(this.content).digest("hex");
    return { whole: this.hash.digest("hex") === sent, received: this.received, status };
  }
}

function bulkTcp({ host, port, bytes }: BulkCall): Promise<BulkAnswer> {
  const parcel = new Parcel(bytes);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, allowHalfOpen: true }, () => socket.end(parcel.content));
    socket.on("data", part => {
      parcel.add(part);
    });
    socket.on("error", reject).on("end", () => {
      resolve(parcel.answer());
    });
  });
}

function bulkHttp({ host, port, bytes }: BulkCall): Promise<BulkAnswer> {
  const parcel = new Parcel(bytes);
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method: "POST", agent: false }, response => {
      response.on("data", (part: Buffer) => {
        parcel.add(part);
      });
      response.on("error", reject).on("end", () => {
        resolve(parcel.answer(response.statusCode));
      });
    });
    // Without a length, so it goes in chunks.
    request.on("error", reject).write(parcel.content);
    request.end();
  });
}

/** MiB that Node lets one HTTP/2 session hold; what is over ends the stream. Bulk is not what it is meant for. */
const SESSION = { maxSessionMemory: 1000 };

function bulkHttp2({ host, port, bytes }: BulkCall): Promise<BulkAnswer> {
  const parcel = new Parcel(bytes);
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://${host}:${port}`, SESSION).on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": "/" }).on("error", reject);
    let status: number | undefined;
    stream.on("response", headers => (status = headers[":status"]));
    stream.on("data", (part: Buffer) => {
      parcel.add(part);
    });
    stream.on("end", () => {
      session.close();
      resolve(parcel.answer(status));
    });
    stream.end(parcel.content);
  });
}

function awkward({ host, port, path, method, headers, body }: AwkwardCall): Promise<AwkwardAnswer> {
  return new Promise((resolve, reject) => {
    let continued = false;
    const options = {
      host,
      port,
      path,
      method: method ?? "GET",
      headers: headers ?? {},
      agent: false as const,
    };
    const request = http.request(options, response => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject).on("end", () => {
        const { statusCode, headers: answered, trailers } = response;
        resolve({ status: statusCode ?? 0, body: text, headers: answered, trailers, continued });
      });
    });
    request.on("continue", () => {
      continued = true;
      request.end(body);
    });
    request.on("error", reject);
    if (headers?.["expect"] === undefined) request.end(body);
    else request.flushHeaders();
  });
}

function grpcStatus(address: string, method: string): Promise<number> {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const bytes = (value: Buffer): Buffer => value;
  return new Promise(resolve => {
    const deadline = Date.now() + 8000;
    client.makeUnaryRequest(method, bytes, bytes, Buffer.from("x"), { deadline }, error => {
      client.close();
      resolve(error === null ? grpc.status.OK : error.code);
    });
  });
}

function httpsStatus(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { rejectUnauthorized: false, agent: false }, response => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", reject);
  });
}

function serveUdp(port: number): Promise<void> {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (message, { port: peer, address }) => {
    socket.send(message, peer, address);
  });
  return new Promise(resolve => {
    socket.bind(port, resolve);
  });
}

function askUdp(host: string, port: number): Promise<string> {
  const socket = dgram.createSocket("udp4");
  return new Promise<string>((resolve, reject) => {
    setTimeout(() => {
      reject(new Error("no datagram"));
    }, 2000).unref();
    socket.on("error", reject).on("message", message => {
      resolve(String(message));
    });
    socket.send("datagram", port, host);
  }).finally(() => socket.close());
}

function silentTcp({ host, port, ms }: { host: string; port: number; ms: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port }, () => setTimeout(() => socket.write("awake"), ms));
    socket.on("error", reject).on("close", () => {
      reject(new Error("closed while silent"));
    });
    socket.on("data", part => {
      resolve(String(part));
      socket.destroy();
    });
  });
}

function silentWebSocket({ host, port, ms }: { host: string; port: number; ms: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const request = http.request({ host, port, path: "/ws", headers, agent: false });
    request.on("error", reject).on("upgrade", (_response, socket) => {
      setTimeout(() => socket.write("awake"), ms);
      socket.on("error", reject).on("close", () => {
        reject(new Error("closed while silent"));
      });
      socket.on("data", (part: Buffer) => {
        resolve(String(part));
        socket.destroy();
      });
    });
    request.end();
  });
}

/** As the application of the matrix runs them. */
export const BULK: BulkOperations = {
  serveEcho: port => listening(net.createServer({ allowHalfOpen: true }, echo), port),
  serveAwkward,
  serveEcho2: port => {
    const server = http2.createServer(SESSION);
    server.on("stream", stream => {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    return listening(server, port);
  },
  serveUdp,
  askUdp,
  bulkTcp,
  bulkHttp,
  bulkHttp2,
  awkward,
  grpcStatus,
  httpsStatus,
  silentTcp,
  silentWebSocket,
};

function echo(socket: net.Socket): void {
  socket.on("error", () => socket.destroy()).pipe(socket);
}
