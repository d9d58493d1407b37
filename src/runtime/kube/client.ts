import http from "node:http";
import https from "node:https";
import type { KubeClient, WatchEvent } from "../kube";
import { answerError, transportError } from "./errors";
import { LineSplitter } from "./line-splitter";
import type { KubeCredentials } from "./credentials";

/** Tuning of {@link createKubeClient}; every value has a default. */
export interface KubeClientOptions {
  /** Milliseconds without a byte after which a read is given up. Default 12,000 (half-open links, 15 s rule). */
  readonly readTimeoutMs?: number;
  /** The same for writes, which may wait for admission webhooks. Default 35,000. */
  readonly writeTimeoutMs?: number;
  /** Sockets at once, watches included. Default 128. */
  readonly maxSockets?: number;
  /** `User-Agent` of all requests. Default `osm-pepr`. */
  readonly userAgent?: string;
}

/** A {@link KubeClient} that can be shut down. */
export interface ClosableKubeClient extends KubeClient {
  /** Closes idle sockets and cuts the rest. */
  close(): void;
}

/** Idle time before TCP asks whether the peer lives; with the system's 1 s interval and 10 tries, 13 s in all. */
const TCP_KEEPALIVE_MS = 3_000;
/** Answers that are not a success are quoted, never needed whole. */
const MAX_ERROR_BODY = 64 * 1024;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly contentType?: string;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * The client of the API server: HTTP/1.1 over one pool of kept-alive connections, so that a herd of reads costs no
 * handshakes. Failures are {@link KubeError}; a read that fails on a reused connection is tried once more on a
 * new one (the server may close an idle connection at the moment it is used), a 401 once more with renewed files.
 */
export function createKubeClient(
  credentials: KubeCredentials,
  options: KubeClientOptions = {},
): ClosableKubeClient {
  const transport = new Transport(credentials, options);
  const read = options.readTimeoutMs ?? 12_000;
  const write = options.writeTimeoutMs ?? 35_000;
  const send = async <T>(method: string, path: string, contentType: string, body: unknown): Promise<T> =>
    (await transport.json({
      method,
      path,
      contentType,
      body: JSON.stringify(body),
      timeoutMs: write,
    })) as T;
  return {
    get: async <T>(path: string) => (await transport.json({ method: "GET", path, timeoutMs: read })) as T,
    create: (path, body) => send("POST", path, "application/json", body),
    apply: (path, body, fieldManager) =>
      send("PATCH", withQuery(path, { fieldManager, force: "true" }), "application/apply-patch+yaml", body),
    mergePatch: (path, body) => send("PATCH", path, "application/merge-patch+json", body),
    jsonPatch: (path, body) => send("PATCH", path, "application/json-patch+json", body),
    delete: async (path, uid) => {
      // Options in a body would make the server ignore those in the path.
      if (uid === undefined) await transport.json({ method: "DELETE", path, timeoutMs: write });
      else await send("DELETE", path, "application/json", { preconditions: { uid } });
    },
    watch: (path, onEvent, signal) =>
      transport.watch({ method: "GET", path, timeoutMs: read, signal }, onEvent),
    close: () => {
      transport.close();
    },
  };
}

/** Adds query parameters to an API path that may have some. */
export function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${text}`;
}

class Transport {
  private readonly agent: http.Agent;
  private readonly base: URL;
  private readonly secure: boolean;

  constructor(
    private readonly credentials: KubeCredentials,
    private readonly options: KubeClientOptions,
  ) {
    this.base = new URL(credentials.server);
    this.secure = this.base.protocol === "https:";
    // Idle sockets are dropped before the server's own 90 s, so that few requests meet a closing connection.
    const pool = {
      keepAlive: true,
      maxSockets: options.maxSockets ?? 128,
      maxFreeSockets: 16,
      timeout: 60_000,
    };
    this.agent = this.secure ? new https.Agent(pool) : new http.Agent(pool);
  }

  close(): void {
    this.agent.destroy();
  }

  async json(call: Call): Promise<unknown> {
    const body = await this.text(call);
    if (body === "") return undefined;
    try {
      return JSON.parse(body) as unknown;
    } catch (error) {
      throw transportError(describe(call), error);
    }
  }

  private async text(call: Call): Promise<string> {
    let answer = await this.exchange(call, false);
    if (answer.status === 401) answer = await this.exchange(call, true);
    if (answer.status < 200 || answer.status > 299) throw answerError(describe(call), answer);
    return answer.body;
  }

  private async exchange(call: Call, refresh: boolean): Promise<Answer> {
    try {
      return await readAnswer(await this.open(call, refresh), Infinity);
    } catch (error) {
      if (!repeatable(call) || !(error instanceof StaleConnection))
        throw transportError(describe(call), error);
    }
    try {
      return await readAnswer(await this.open(call, refresh), Infinity);
    } catch (error) {
      throw transportError(describe(call), error);
    }
  }

  async watch(call: Call, onEvent: (event: WatchEvent) => void): Promise<void> {
    if (call.signal?.aborted === true) return;
    try {
      await this.stream(call, onEvent);
    } catch (error) {
      if (isAborted(call.signal)) return;
      throw error instanceof EventHandlerError ? error.cause : transportError(describe(call), error);
    }
  }

  private async stream(call: Call, onEvent: (event: WatchEvent) => void): Promise<void> {
    let response = await this.open(call, false);
    if (response.statusCode === 401) {
      response.resume();
      response = await this.open(call, true);
    }
    if (response.statusCode !== 200) {
      throw answerError(describe(call), await readAnswer(response, MAX_ERROR_BODY));
    }
    // A watch is silent for as long as nothing changes; its deadline belongs to the informer.
    response.socket.setTimeout(0);
    await pump(response, line => {
      if (isAborted(call.signal)) return;
      deliver(line, onEvent);
    });
  }

  /** Sends the request and resolves with the answer's head. */
  private open(call: Call, refresh: boolean): Promise<http.IncomingMessage> {
    const { token, servername, ...tls } = this.credentials.current(refresh);
    const request: https.RequestOptions = {
      agent: this.agent,
      host: this.base.hostname.replace(/^\[|\]$/g, ""),
      ...(this.base.port === "" ? {} : { port: Number(this.base.port) }),
      path: this.base.pathname.replace(/\/$/, "") + call.path,
      method: call.method,
      headers: headersOf(call, token, this.options.userAgent),
      timeout: call.timeoutMs,
      ...(call.signal === undefined ? {} : { signal: call.signal }),
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key,
      rejectUnauthorized: tls.insecureSkipVerify !== true,
      ...(servername === undefined ? {} : { servername }),
    };
    return exchangeHead(this.secure ? https.request(request) : http.request(request), call);
  }
}

function headersOf(call: Call, token: string | undefined, userAgent = "osm-pepr"): Record<string, string> {
  const headers: Record<string, string> = {
    // The published token keys are of another JSON type and refused (406) to who takes plain JSON only.
    Accept: "application/json, */*;q=0.5",
    "User-Agent": userAgent,
  };
  if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
  if (call.contentType !== undefined) headers["Content-Type"] = call.contentType;
  if (call.body !== undefined) headers["Content-Length"] = String(Buffer.byteLength(call.body));
  return headers;
}

/** The server closed a kept-alive connection before it answered; nothing was processed that we know of. */
class StaleConnection extends Error {}

/** Our own handler threw: not the server's fault, and passed on as it is. */
class EventHandlerError extends Error {}

function exchangeHead(request: http.ClientRequest, call: Call): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("socket", socket => {
      socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
      socket.setNoDelay(true);
    });
    request.on("timeout", () => {
      request.destroy(Object.assign(new Error(`no byte for ${call.timeoutMs} ms`), { code: "ETIMEDOUT" }));
    });
    request.on("response", resolve);
    request.on("error", (error: Error & { code?: string }) => {
      const stale = request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(stale ? new StaleConnection(error.message, { cause: error }) : error);
    });
    request.end(call.body);
  });
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
}

function readAnswer(response: http.IncomingMessage, maxBytes: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      if (size < maxBytes) chunks.push(chunk);
      size += chunk.length;
    });
    response.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      resolve({ status: response.statusCode ?? 0, body, retryAfter: response.headers["retry-after"] });
    });
    response.on("error", reject);
  });
}

/** Feeds complete lines to a synchronous handler; nothing is awaited, so the order of the wire is the order of calls. */
function pump(response: http.IncomingMessage, onLine: (line: string) => void): Promise<void> {
  const splitter = new LineSplitter();
  return new Promise((resolve, reject) => {
    response.on("data", (chunk: Buffer) => {
      try {
        for (const line of splitter.push(chunk)) onLine(line);
      } catch (error) {
        response.destroy();
        reject(error as Error);
      }
    });
    response.on("end", () => {
      resolve();
    });
    response.on("error", reject);
    response.on("close", () => {
      reject(new Error("connection closed"));
    });
  });
}

function deliver(line: string, onEvent: (event: WatchEvent) => void): void {
  const event = JSON.parse(line) as WatchEvent;
  try {
    onEvent(event);
  } catch (error) {
    throw new EventHandlerError("event handler failed", { cause: error });
  }
}

/** Doing it twice is the same as doing it once. */
function repeatable(call: Call): boolean {
  if (call.method === "GET") return true;
  return call.method === "PATCH" && call.contentType !== "application/json-patch+json";
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function describe(call: Call): string {
  return `${call.method} ${call.path.split("?", 1)[0] ?? ""}`;
}
