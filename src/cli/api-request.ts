import http from "node:http";
import https from "node:https";
import type { KubeCredentials } from "../runtime/kube/credentials";

/** What a request has of its own. */
export interface ApiRequest {
  /** Path with query, below the server's own. */
  readonly path: string;
  /** Milliseconds that the server may be silent. */
  readonly silentMs: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Begins a GET of the API server on a connection of its own, for what KubeClient does not do: text, and WebSockets. The caller listens and
 * ends it. Who is asked, and how that is verified, is the credentials' as for every request of the command.
 */
export function apiRequest(credentials: KubeCredentials, request: ApiRequest): http.ClientRequest {
  const { token, servername, insecureSkipVerify, ...tls } = credentials.current();
  const base = new URL(credentials.server);
  const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const options: https.RequestOptions = {
    agent: false,
    host: base.hostname.replace(/^\[|\]$/g, ""),
    ...(base.port === "" ? {} : { port: Number(base.port) }),
    path: base.pathname.replace(/\/$/, "") + request.path,
    headers: { ...request.headers, "User-Agent": "osm", ...authorization },
    timeout: request.silentMs,
    ...tls,
    rejectUnauthorized: insecureSkipVerify !== true,
    ...(servername === undefined ? {} : { servername }),
  };
  return base.protocol === "https:" ? https.request(options) : http.request(options);
}
