/** What a test pod's application can be told to do; implemented by pod-app.ts. */

export interface HttpCall {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface TcpCall {
  readonly host: string;
  readonly port: number;
  /** Sent after connecting; nothing unless given. */
  readonly send?: string;
  /** The call is over when this has been received, or the peer has closed. */
  readonly until?: string;
}

export interface TlsCall extends TcpCall {
  readonly offer: {
    readonly certificate?: string;
    readonly key?: string;
    readonly alpn?: string;
    readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  };
}

export interface TcpAnswer {
  readonly received: string;
  readonly outcome: "received" | "closed" | "refused" | "timeout";
}

export interface WebSocketAnswer {
  readonly status: number;
  readonly echoed: string;
}

export interface Operations {
  /** HTTP/1.1 on all addresses; echoes the request as JSON with the pod's name, and WebSocket bytes. */
  serveHttp(port: number): Promise<void>;
  /** HTTP/2 with prior knowledge. */
  serveHttp2(port: number): Promise<void>;
  serveGrpc(port: number): Promise<void>;
  /** TCP echo, each chunk with the pod's name before it. A greeting other than "" is sent first, unasked. */
  serveTcp(port: number, greeting: string): Promise<void>;
  /** One HTTP/1.1 request on a connection of its own. */
  callHttp(call: HttpCall): Promise<HttpAnswer>;
  callHttp2(call: HttpCall): Promise<HttpAnswer>;
  callGrpc(address: string, text: string): Promise<string>;
  /** Messages received of a server stream of `count`. */
  countGrpc(address: string, count: number): Promise<number>;
  callWebSocket(host: string, port: number, message: string): Promise<WebSocketAnswer>;
  callTcp(call: TcpCall): Promise<TcpAnswer>;
  /** As {@link callTcp}, over TLS with the given credentials; the server's certificate is not looked at. */
  callTls(call: TlsCall): Promise<TcpAnswer>;
  /** A gRPC authorization server that refuses requests with the given text anywhere in them. */
  serveAuthorization(port: number, refused: string): Promise<void>;
  /** An HTTP server that keeps what is posted to it. */
  serveCollector(port: number): Promise<void>;
  collected(): Promise<string>;
}

/** What the HTTP servers echo. */
export interface Echo {
  readonly pod: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly version: string;
}
