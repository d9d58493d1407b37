/** Stands before Pepr's server: what is no review is answered here, for as little as it can cost. */
import diagnostics from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:https";
import type { Clock, Log } from "../ports";
import type { WebhookServer } from "./webhook-server";

/** Largest body that is read, bytes: what Pepr reads at most. */
const MAX_BYTES = 2 * 2 ** 20;
/** A review that has not come in whole by then is given up, milliseconds: the API server has given up too. */
const BODY_MS = 10_000;

/** Read by the kubelet and by Prometheus. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/healthz", "/metrics"]);
const OPERATIONS: ReadonlySet<unknown> = new Set(["CREATE", "UPDATE", "DELETE", "CONNECT"]);

/** What a guard works with. */
export interface WebhookGuardOptions {
  /** By which the server is told from others. */
  readonly port: number;
  /** Last segment of the path; undefined: this process answers no reviews. */
  readonly secretPath: string | undefined;
  readonly clock: Pick<Clock, "setTimeout">;
  readonly log: Pick<Log, "warn">;
}

interface RequestStart {
  readonly server: Server;
}

/** What Express's parser leaves alone once it is there, as the request has been read to its end. */
type Parsed = IncomingMessage & { body?: unknown };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Why a request goes no further: its HTTP status, and the reason in words. */
interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** The server with a guard before it, see {@link guardWebhook}. */
export function guarded(server: WebhookServer, options: WebhookGuardOptions): WebhookServer {
  const guard = guardWebhook(options);
  return {
    ...server,
    stop: () => {
      guard.stop();
      server.stop();
    },
  };
}

/**
 * Puts a guard before Pepr's server from its first request on. Node announces each request before the server is told of it.
 * Reviews as API servers send them, checks of health and metrics pass; of all else Pepr hears nothing:
 *
 * - 401: without the secret path; nothing of the body is kept;
 * - 411, 413, 415: without a length, larger than 2 MiB, packed or no JSON in UTF-8 by its head; nothing of the body is kept;
 * - 400: no JSON, or no review.
 *
 * Never limits how many or how fast: a review is never refused because of others. Each refusal is a line of the log, of which
 * the log prints nine a second.
 */
export function guardWebhook(options: WebhookGuardOptions): { stop(): void } {
  const seen = new WeakSet<Server>();
  const meet = (message: unknown): void => {
    const { server } = message as RequestStart;
    if (seen.has(server)) return;
    const address = server.address();
    if (address === null || typeof address === "string" || address.port !== options.port) return;
    seen.add(server);
    standBefore(server, options);
  };
  diagnostics.subscribe("http.server.request.start", meet);
  return {
    stop: () => {
      diagnostics.unsubscribe("http.server.request.start", meet);
    },
  };
}

function standBefore(server: Server, options: WebhookGuardOptions): void {
  const handlers = server.listeners("request") as Handler[];
  server.removeAllListeners("request");
  const pass: Handler = (request, response) => {
    for (const handler of handlers) handler.call(server, request, response);
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const path = pathOf(request);
    if (isLook(request, path)) {
      pass(request, response);
      return;
    }
    const refuse = (refusal: Refusal): void => {
      options.log.warn("refused a call of the webhook", {
        peer: request.socket.remoteAddress,
        ...refusal,
      });
      end(response, refusal);
    };
    const refusal = refusalOf(request, path, options.secretPath);
    if (refusal === undefined) read(request, { response, options, pass, refuse });
    else refuse(refusal);
  });
}

/** Without the query. */
const pathOf = ({ url = "" }: IncomingMessage): string => url.split("?", 1)[0] ?? "";

/** Whether it asks for health or metrics, and brings nothing that would be parsed. */
function isLook({ method, headers }: IncomingMessage, path: string): boolean {
  const { "content-length": length = "0", "transfer-encoding": chunks } = headers;
  return OPEN_PATHS.has(path) && method === "GET" && length === "0" && chunks === undefined;
}

/** By its head alone. */
function refusalOf(
  { headers, method }: IncomingMessage,
  path: string,
  secretPath: string | undefined,
): Refusal | undefined {
  if (secretPath === undefined || (path !== `/mutate/${secretPath}` && path !== `/validate/${secretPath}`))
    return { status: 401, reason: "not the path of the webhook" };
  return method === "POST" ? bodyRefusal(headers) : { status: 405, reason: "not posted" };
}

const JSON_TYPE = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i;

function bodyRefusal(headers: IncomingMessage["headers"]): Refusal | undefined {
  const { "content-encoding": encoding = "identity", "content-length": length } = headers;
  if (encoding !== "identity") return { status: 415, reason: "packed" };
  if (!JSON_TYPE.test(headers["content-type"] ?? "")) return { status: 415, reason: "no JSON in UTF-8" };
  if (length === undefined) return { status: 411, reason: "without a length" };
  return Number(length) > MAX_BYTES ? { status: 413, reason: "larger than 2 MiB" } : undefined;
}

interface Reading {
  readonly response: ServerResponse;
  readonly options: WebhookGuardOptions;
  readonly pass: Handler;
  readonly refuse: (refusal: Refusal) => void;
}

/** Hands on a request whose body is a review, read and parsed. Node holds the body to the length in its head. */
function read(request: Parsed, { response, options, pass, refuse }: Reading): void {
  const parts: Buffer[] = [];
  const late = options.clock.setTimeout(() => request.destroy(), BODY_MS);
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("error", () => undefined);
  request.once("close", () => {
    late.cancel();
  });
  request.once("end", () => {
    late.cancel();
    const body = parsed(Buffer.concat(parts));
    if (!isReview(body)) {
      refuse({ status: 400, reason: body === undefined ? "no JSON" : "no admission review" });
      return;
    }
    request.body = body;
    pass(request, response);
  });
}

/** undefined: no JSON. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;

const areTexts = (fields: Fields | undefined, names: readonly string[]): boolean =>
  names.every(name => typeof fields?.[name] === "string");

/** Absent is right, and null. */
const mayBeText = (value: unknown): boolean => (value ?? "") === "" || typeof value === "string";

/** Whether it has what every review of an API server has, in the shape that Pepr takes for granted. */
function isReview(body: unknown): boolean {
  const request = fieldsOf(fieldsOf(body)?.["request"]);
  if (request === undefined) return false;
  const { uid, name, namespace, operation } = request;
  if (typeof uid !== "string" || uid === "" || !mayBeText(name) || !mayBeText(namespace)) return false;
  if (!areTexts(fieldsOf(request["kind"]), ["group", "version", "kind"])) return false;
  if (!areTexts(fieldsOf(request["resource"]), ["group", "version", "resource"])) return false;
  return OPERATIONS.has(operation) && hasObject(request);
}

/** What is made or changed comes with it, with its metadata. */
function hasObject({ operation, object, oldObject }: Fields): boolean {
  const isObject = (value: unknown): boolean => fieldsOf(fieldsOf(value)?.["metadata"]) !== undefined;
  if (operation === "CREATE") return isObject(object);
  return operation === "UPDATE" ? isObject(object) && isObject(oldObject) : true;
}

function end(response: ServerResponse, { status, reason }: Refusal): void {
  // The rest of what is sent is not waited for; an API server is never refused but for its body.
  if (status !== 400 && status !== 413) response.shouldKeepAlive = false;
  response.writeHead(status, { "content-type": "text/plain" }).end(reason);
}
