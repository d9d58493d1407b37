import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";

/** What a route answers. */
export interface Answer {
  /** Default 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is when a string, else as JSON. */
  readonly body: unknown;
}

/** What a route is given. */
export interface Question {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers one request. What it throws becomes a 500 with the message. */
export type Route = (question: Question) => Answer | Promise<Answer>;

/** Routes by path; each answers every method. */
export type Routes = Readonly<Record<string, Route>>;

/** Largest body that is read, in bytes; none of the programs sends more. */
const LARGEST_BODY = 65_536;

async function readBody(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > LARGEST_BODY) throw new Error("the body is too long");
  }
  return text;
}

function send(response: ServerResponse, answer: Answer): void {
  const text = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
  const type = typeof answer.body === "string" ? "text/plain; charset=utf-8" : "application/json";
  response.writeHead(answer.status ?? 200, { "content-type": type, ...answer.headers });
  response.end(`${text}\n`);
}

async function answer(routes: Routes, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return { status: 404, body: `no such page: ${path}` };
  try {
    return await route({ headers: request.headers, body: await readBody(request) });
  } catch (error) {
    return { status: 500, body: String(error) };
  }
}

/** A running server. */
export interface Serving {
  /** The port it listens on, also when 0 was asked for. */
  readonly port: number;
  /** Takes no new connection and ends the idle ones. */
  stop(): void;
}

/** Serves the routes over HTTP/1.1 on all addresses of the pod. Throws when the port is taken. */
export function serve(port: number, routes: Routes): Promise<Serving> {
  const server = http.createServer((request, response) => {
    void answer(routes, request).then(given => {
      send(response, given);
    });
  });
  // Longer than any proxy's idle time in the demo, so that it is never the server that closes first.
  server.keepAliveTimeout = 3_600_000;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, () => {
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      resolve({
        port: bound,
        stop: () => {
          server.close();
          server.closeIdleConnections();
        },
      });
    });
  });
}

/** A request to make. */
export interface Call {
  readonly url: string;
  /** Default GET, or POST when there is a body. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Milliseconds; default five seconds. */
  readonly timeoutMs?: number;
  /** Makes a connection for this request alone; default false. */
  readonly fresh?: boolean;
}

/** What came back. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const agent = new http.Agent({ keepAlive: true });

function callOnce(call: Call): Promise<Reply & { readonly reused: boolean }> {
  return new Promise((resolve, reject) => {
    const method = call.method ?? (call.body === undefined ? "GET" : "POST");
    const options = {
      method,
      agent: call.fresh === true ? false : agent,
      headers: { ...call.headers },
      timeout: call.timeoutMs ?? 5_000,
    };
    const request = http.request(call.url, options, response => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.once("error", reject);
      response.once("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, reused: false });
      });
    });
    request.once("timeout", () => request.destroy(new Error("no answer in time")));
    request.once("error", error => {
      reject(Object.assign(error, { reused: request.reusedSocket }));
    });
    request.end(call.body);
  });
}

/**
 * Makes one request, over a kept-alive connection unless it asks for a fresh one. A kept connection that the other side has closed meanwhile is replaced
 * once, as every HTTP client does. Throws when no answer comes.
 */
export async function request(call: Call): Promise<Reply> {
  try {
    return await callOnce(call);
  } catch (error) {
    const stale = error instanceof Error && "reused" in error && error.reused === true;
    const safe = call.body === undefined;
    if (stale && safe && !error.message.includes("no answer")) return callOnce(call);
    throw error;
  }
}
