import { once } from "node:events";
import { request, createServer, type Server } from "node:https";
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { createRoot, issueServing, loadAuthority, type Authority } from "../../src/runtime/secrets/authority";

/** What becomes of requests. */
export type Fault =
  | { readonly kind: "none" }
  /** This status at once; `retryAfter` in seconds. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: number }
  /** Nothing is answered any more, on no connection. */
  | { readonly kind: "silence" };

function certificateOf(authority: Authority): { readonly cert: string; readonly key: string } {
  const { certPem, keyPem } = issueServing(authority, ["localhost"], {
    now: Date.now(),
    validityMs: 86_400_000,
  });
  return { cert: certPem, key: keyPem };
}

/** Stands before an API server, with a certificate of its own, and does to its clients what it is told to. */
export class FaultyApi {
  private fault: Fault = { kind: "none" };
  private readonly sockets = new Set<TLSSocket>();
  /** Requests to the API server that are under way. */
  private readonly upstreams = new Set<ClientRequest>();
  /** First pages of lists that were answered, by path and selectors, since the last {@link FaultyApi.counted}. */
  private lists = new Map<string, number>();

  private constructor(
    private readonly server: Server,
    private readonly authority: Authority,
    private readonly target: { readonly port: number; readonly ca: string },
  ) {
    // The sockets of TLS: those below them, ended by themselves, would keep their handles and so this process.
    server.on("secureConnection", (socket: TLSSocket) => {
      this.sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => this.sockets.delete(socket));
    });
    server.on("request", (asked: IncomingMessage, answer: ServerResponse) => {
      this.serve(asked, answer);
    });
  }

  /** Opens it before the API server on that port of loopback. */
  static async before(target: { readonly port: number; readonly ca: string }): Promise<FaultyApi> {
    const now = Date.now();
    const { certPem, keyPem } = createRoot(now);
    const authority = loadAuthority(certPem, keyPem);
    const server = createServer(certificateOf(authority)).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FaultyApi(server, authority, target);
  }

  /** PEM of the root that verifies it. */
  get ca(): string {
    return this.authority.certPem;
  }

  /** Shows another certificate of the same root from now on, and ends what is open, as a server that is started anew. */
  renew(): void {
    this.server.setSecureContext(certificateOf(this.authority));
    this.reset();
  }

  get url(): string {
    return `https://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  /** From now on; what is open goes with it: answered with nothing more, or ended where a status is told. */
  set(fault: Fault): void {
    this.fault = fault;
    if (fault.kind === "silence") return;
    this.reset();
  }

  /** Ends all connections. */
  reset(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** The most lists of one collection and selection since the last call. */
  counted(): number {
    const most = Math.max(0, ...this.lists.values());
    this.lists = new Map();
    return most;
  }

  async close(): Promise<void> {
    this.reset();
    this.server.close();
    await once(this.server, "close");
    for (const upstream of this.upstreams) upstream.destroy();
  }

  private serve(asked: IncomingMessage, answer: ServerResponse): void {
    const { fault } = this;
    if (fault.kind === "silence") return;
    if (fault.kind === "status") {
      const wait = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
      answer.writeHead(fault.status, { "content-type": "application/json", ...wait });
      answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", code: fault.status }));
      return;
    }
    // Whoever has gone, or was sent away, is written to once more at times.
    for (const end of [asked, answer]) end.on("error", () => undefined);
    const { port, ca } = this.target;
    const { url: path, method } = asked;
    const headers = { ...asked.headers, host: `127.0.0.1:${port}` };
    const upstream = request(
      { host: "127.0.0.1", port, ca, path, method, headers, agent: false },
      response => {
        if (response.statusCode === 200) this.count(asked);
        answer.writeHead(response.statusCode ?? 502, response.headers);
        answer.flushHeaders();
        response.on("data", (chunk: Buffer) => {
          if (this.fault.kind !== "silence") answer.write(chunk);
        });
        response.on("end", () => answer.end()).on("error", () => answer.destroy());
      },
    );
    this.upstreams.add(upstream);
    upstream.on("error", () => answer.destroy()).on("close", () => this.upstreams.delete(upstream));
    answer.on("close", () => upstream.destroy());
    asked.pipe(upstream);
  }

  private count({ method, url = "" }: IncomingMessage): void {
    const { pathname, searchParams } = new URL(url, "https://localhost");
    const isList = method === "GET" && searchParams.has("limit") && !searchParams.has("continue");
    if (!isList || searchParams.has("watch")) return;
    const key = ["fieldSelector", "labelSelector"].map(name => searchParams.get(name) ?? "");
    const list = [pathname, ...key].join(" ");
    this.lists.set(list, (this.lists.get(list) ?? 0) + 1);
  }
}
