/** The dashboard's page and what it asks for, on loopback, for who has the address alone. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";

/** What the server needs. */
export interface DashboardOptions {
  /** 0 takes any free port. */
  readonly port: number;
  /** The page, with all it needs in it. */
  readonly html: string;
  /** Answers `api/NAME?QUERY`; undefined: there is none of that name. */
  readonly ask: (name: string, query: string) => Promise<unknown>;
}

/** A running dashboard. */
export interface Dashboard {
  /** Address with the secret that lets in. */
  readonly url: string;
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
const BLOCK = /<(script|style)[^>]*>([\s\S]*?)<\/\1>/g;

/** What the page may do: run and look as it was built, and ask this server; nothing else, and in no frame. */
export function contentPolicy(html: string): string {
  const hashes: Record<string, string[]> = { script: [], style: [] };
  for (const [, kind = "", text = ""] of html.matchAll(BLOCK))
    hashes[kind]?.push(`'sha256-${createHash("sha256").update(text).digest("base64")}'`);
  return [
    "default-src 'none'",
    `script-src ${hashes["script"]?.join(" ") ?? "'none'"}`,
    `style-src ${hashes["style"]?.join(" ") ?? "'none'"}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [Buffer.from(a), Buffer.from(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

type Answer = readonly [status: number, type: string, body: string];

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";

const STRANGER: Answer = [403, TEXT_TYPE, "open the address that osm dashboard has printed\n"];

function refusalOf({ method, headers }: http.IncomingMessage, port: number): Answer | undefined {
  // Another name for this address is how a page of somebody else's would get here.
  const own = [`${HOST}:${port}`, `localhost:${port}`];
  if (!own.includes(headers.host ?? "")) return [421, TEXT_TYPE, "not for this host\n"];
  return method === "GET" ? undefined : [405, TEXT_TYPE, "only GET\n"];
}

/** Starts it; resolves when the port is open. */
export async function startDashboard({ port, html, ask }: DashboardOptions): Promise<Dashboard> {
  const secret = randomBytes(24).toString("base64url");
  const policy = contentPolicy(html);
  const answer = async (request: http.IncomingMessage): Promise<Answer> => {
    const { pathname, search } = new URL(request.url ?? "", `http://${HOST}`);
    const [, given = "", ...rest] = pathname.split("/");
    const refusal = refusalOf(request, bound()) ?? (isSame(given, secret) ? undefined : STRANGER);
    if (refusal !== undefined) return refusal;
    const name = rest.join("/");
    if (name === "") return [200, "text/html; charset=utf-8", html];
    const query = search.slice(1);
    const content = name.startsWith("api/") ? await ask(name.slice(4), query) : undefined;
    return content === undefined
      ? [404, TEXT_TYPE, "not found\n"]
      : [200, JSON_TYPE, JSON.stringify(content)];
  };
  const server = http.createServer((request, response) => {
    answer(request)
      .catch((error: unknown): Answer => {
        const words = error instanceof Error ? error.message : String(error);
        return [502, JSON_TYPE, JSON.stringify({ error: words })];
      })
      .then(([status, type, body]) => {
        response.writeHead(status, {
          "Content-Type": type,
          "Content-Length": Buffer.byteLength(body),
          "Content-Security-Policy": policy,
          "Cache-Control": "no-store",
          "Referrer-Policy": "no-referrer",
          "X-Content-Type-Options": "nosniff",
          "Cross-Origin-Opener-Policy": "same-origin",
          "Cross-Origin-Resource-Policy": "same-origin",
        });
        response.end(body);
      })
      .catch(() => response.destroy());
  });
  const bound = (): number => (server.address() as AddressInfo).port;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, resolve);
  });
  return {
    url: `http://${HOST}:${bound()}/${secret}/`,
    close: () =>
      new Promise(resolve => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
