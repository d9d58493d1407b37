import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Lifetime } from "../../certificate/plan";
import { ADS_SAN } from "../../model/mesh-words";
import { contained } from "../contained";
import type { IssuedPair } from "../issuers/issuer";
import { redact } from "../log/redact";
import type { Clock, Log } from "../ports";
import type { Authority } from "../secrets/authority";
import { issueServing } from "../secrets/authority";
import { keepServingRenewed } from "../secrets/serving-renewal";
import { TokenBucket } from "../token-bucket";
import type { ViewerCheck } from "./viewer";

/** A page: what it answers to a query; undefined: there is nothing of that name. */
export type ApiPage = (query: URLSearchParams) => unknown;

/** What the API is served with. */
export interface ApiServerOptions {
  readonly authority: Authority;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 takes any free port. */
  readonly port: number;
  readonly allowed: ViewerCheck;
  /** By path. */
  readonly pages: Readonly<Record<string, ApiPage>>;
}

/** A query that makes no sense; the message is for who asked. */
export class BadQuery extends Error {}

/** It is for those who may forward a port of the pod, and not for every pod of the cluster. */
const HOST = "127.0.0.1";
/** Life of its certificate, milliseconds. */
const VALIDITY_MS = 86_400_000;
const MOST_CONNECTIONS = 32;
/** Requests that are answered at the same time, and those of them for one page: a slow one must not hold the others. */
const MOST_AT_ONCE = 16;
const MOST_OF_PAGE = 4;
/** Requests per second, after some at once. */
const RATE = 20;
const BURST = 40;
const MOST_URL = 2_048;
/** A page may be long, but not endless. */
const BOUNDS = { depth: 12, items: 20_000 };

type Answer = readonly [status: number, content: unknown];

/** Serves GET of exact paths to viewers, over TLS 1.3 with a certificate of the control plane. */
export async function serveApi(options: ApiServerOptions): Promise<{ readonly port: number; stop(): void }> {
  const { authority, clock, log } = options;
  const issue = ({ now }: Lifetime): IssuedPair =>
    issueServing(authority, [ADS_SAN], { now, validityMs: VALIDITY_MS });
  const context = ({ certPem, keyPem }: IssuedPair): { cert: string; key: string } => ({
    cert: certPem,
    key: keyPem,
  });
  const first = issue({ now: clock.now(), validityMs: VALIDITY_MS });
  const timeouts = { requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 30_000 };
  const answered = answering(options);
  const server = createServer(
    { ...context(first), minVersion: "TLSv1.3", ...timeouts },
    (request, response) => {
      void answered(request, response).then(answer => {
        const sent = contained(log, "answer of the read-only API", () => {
          send(response, answer);
        });
        if (!sent) response.destroy();
      });
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, HOST, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", error => {
    log.error("the read-only API failed", { error: error.message });
  });
  server.unref();
  const present = (lifetime: Lifetime): IssuedPair => {
    const next = issue(lifetime);
    server.setSecureContext({ ...context(next), minVersion: "TLSv1.3" });
    return next;
  };
  const renewal = keepServingRenewed(first, { clock, validityMs: VALIDITY_MS, present });
  const changed = authority.onChange?.(() => present({ now: clock.now(), validityMs: VALIDITY_MS }));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      changed?.close();
      renewal.stop();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Places of requests that are being answered. */
class Places {
  private readonly taken = new Map<string, number>();

  /** Takes one of so many; it is given back by what is returned, or when nobody waits any more. undefined: none is left. */
  take(of: string, most: number, response: ServerResponse): (() => void) | undefined {
    const taken = this.taken.get(of) ?? 0;
    if (taken >= most || response.destroyed) return undefined;
    this.taken.set(of, taken + 1);
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.taken.set(of, (this.taken.get(of) ?? 0) - 1);
      isHeld = false;
    };
    response.once("close", release);
    return release;
  }
}

const FULL: Answer = [503, { error: "too many requests at once" }];

/** Never rejects. */
function answering({
  allowed,
  clock,
  log,
  pages,
}: ApiServerOptions): (request: IncomingMessage, response: ServerResponse) => Promise<Answer> {
  const bucket = new TokenBucket(RATE, BURST, clock.now());
  const places = new Places();
  const show = async (url: string, response: ServerResponse): Promise<Answer> => {
    const [path = "", query] = url.split("?", 2);
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (page === undefined) return [404, { error: "not found" }];
    const release = places.take(path, MOST_OF_PAGE, response);
    if (release === undefined) return FULL;
    try {
      const content = await page(new URLSearchParams(query));
      return content === undefined ? [404, { error: "not found" }] : [200, redact(content, BOUNDS)];
    } finally {
      release();
    }
  };
  const look = async (
    { method, url = "", headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<Answer> => {
    if (method !== "GET") return [405, { error: "only GET" }];
    if (url.length > MOST_URL) return [414, { error: "the query is too long" }];
    if (!(await allowed(headers.authorization)))
      return [401, { error: "needs a token of the viewer's ServiceAccount" }];
    return bucket.tryTake(clock.now()) ? show(url, response) : [429, { error: "too many requests" }];
  };
  return async (request, response) => {
    const release = places.take("", MOST_AT_ONCE, response);
    if (release === undefined) return FULL;
    try {
      return await look(request, response);
    } catch (error) {
      if (error instanceof BadQuery) return [400, { error: error.message }];
      log.warn("the read-only API could not answer", { error });
      return [503, { error: "cannot be answered now" }];
    } finally {
      release();
    }
  };
}

function send(response: ServerResponse, [status, content]: Answer): void {
  const body = `${JSON.stringify(content)}\n`;
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    ...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
  });
  response.end(body);
}
