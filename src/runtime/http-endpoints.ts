import http from "node:http";
import type { AddressInfo } from "node:net";
import { tellContained } from "./contained";
import { redact } from "./log/redact";
import type { Metrics } from "./metrics";
import type { Log } from "./ports";

/** Health, metrics and version. */
export const HEALTH_PORT = 9091;
/** Debugging, on loopback and only while MeshConfig's `enableDebugServer` is true. */
export const DEBUG_PORT = 9092;

/** A page of an endpoint: text as it is, everything else as JSON. */
export type Page = () => unknown;

/** Which pages there are, by exact path. */
export type Pages = Readonly<Record<string, Page>>;

/**
 * The debug pages ask nobody who they are, and show all proxies and the mesh's configuration. So they are for whoever may
 * forward a port of the control plane's pods, and not for every pod of the cluster.
 */
const DEBUG_HOST = "127.0.0.1";

/** What an endpoint is made of. */
export interface EndpointOptions {
  readonly log: Log;
  /** Address to listen on. Default all. */
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly pages: Pages;
}

/** A listening endpoint. */
export interface Endpoint {
  readonly port: number;
  close(): Promise<void>;
}

/** A page may be long, but not endless. */
const PAGE_BOUNDS = { depth: 16, items: 100_000 };

/** An answer that is not 200. */
class NotServing extends Error {}

/**
 * Serves GET and HEAD of exact paths over plain HTTP. A page that throws {@link NotServing} answers 503 with its
 * message. JSON pages are redacted like the log, so that no page can show a key or a token.
 */
export async function listenHttp(options: EndpointOptions): Promise<Endpoint> {
  const server = http.createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request, response, options);
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // A page must not keep the process alive, and an error of the listener must not end it.
  server.on("error", error => {
    options.log.error("endpoint failed", { port: options.port, error: error.message });
  });
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  options: EndpointOptions,
): void {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  const page = Object.hasOwn(options.pages, path) ? options.pages[path] : undefined;
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "only GET\n");
    return;
  }
  if (page === undefined) {
    send(response, 404, "not found\n");
    return;
  }
  show(response, { path, page }, options.log);
}

function show(response: http.ServerResponse, found: { path: string; page: Page }, log: Log): void {
  try {
    const content = found.page();
    if (typeof content === "string") send(response, 200, content);
    else
      send(response, 200, `${JSON.stringify(redact(content, PAGE_BOUNDS), null, 2)}\n`, "application/json");
  } catch (error) {
    if (error instanceof NotServing) {
      send(response, 503, `${error.message}\n`);
      return;
    }
    tellContained(log, "page failed", { path: found.path, error });
    send(response, 500, "failed, see the log\n");
  }
}

function send(
  response: http.ServerResponse,
  status: number,
  body: string,
  type = "text/plain; version=0.0.4; charset=utf-8",
): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
  });
  response.end(body);
}

/** What the health endpoint tells. */
export interface HealthFacts {
  readonly metrics: Metrics;
  /** Why this process cannot serve yet; undefined when it can. */
  readonly notReady: () => string | undefined;
  readonly version: Readonly<Record<string, string>>;
}

/** The pages of port 9091; paths are OSM's. Alive means that the event loop turns. */
export function healthPages({ metrics, notReady, version }: HealthFacts): Pages {
  return {
    "/health/alive": () => "Service is alive\n",
    "/health/ready": () => {
      const reason = notReady();
      if (reason !== undefined) throw new NotServing(reason);
      return "Service is ready\n";
    },
    "/metrics": () => metrics.text(),
    "/version": () => version,
    "/smi/version": () => SMI_VERSIONS,
  };
}

/** Newest version of each kind of the Service Mesh Interface that is read. */
const SMI_VERSIONS = {
  HTTPRouteGroup: "specs.smi-spec.io/v1alpha4",
  TCPRoute: "specs.smi-spec.io/v1alpha4",
  TrafficSplit: "split.smi-spec.io/v1alpha4",
  TrafficTarget: "access.smi-spec.io/v1alpha4",
};

/** The debug endpoint: follows a switch while the process runs. */
export interface DebugEndpoint {
  /** Opens or closes the port; the last call wins. A port that cannot be opened is logged. */
  setEnabled(enabled: boolean): void;
  /** The port while it is open. */
  readonly port: () => number | undefined;
  /** Resolves when everything asked for so far has been done. */
  settled(): Promise<void>;
}

/** Makes the debug endpoint, closed at first and on loopback only. `/debug` lists the pages. */
export function createDebugEndpoint(options: Omit<EndpointOptions, "host">): DebugEndpoint {
  const index = Object.keys(options.pages).sort();
  const pages: Pages = { ...options.pages, "/debug": () => `${index.join("\n")}\n` };
  let wanted = false;
  let open: Endpoint | undefined;
  let work: Promise<void> = Promise.resolve();
  const step = async (): Promise<void> => {
    if (wanted === (open !== undefined)) return;
    if (open !== undefined) {
      const closing = open;
      open = undefined;
      await closing.close();
      options.log.info("debug endpoint closed");
      return;
    }
    try {
      open = await listenHttp({ ...options, host: DEBUG_HOST, pages });
      options.log.info("debug endpoint open", { port: open.port });
    } catch (error) {
      options.log.error("debug endpoint cannot be opened", { error: String(error) });
    }
  };
  return {
    setEnabled: enabled => {
      wanted = enabled;
      work = work.then(step);
    },
    port: () => open?.port,
    settled: () => work,
  };
}
