import type { TlsCall } from "./pod-operations";

/** How a server answers. */
export interface Answer {
  readonly status: number;
  readonly delayMs?: number;
  /** How many requests are answered so; 200 afterwards. Absent: all. */
  readonly times?: number;
}

/** Servers that policies are about; implemented by policy-app.ts. */
export interface PolicyOperations {
  /** HTTP/1.1 that answers as told, and tells with whom: the body is the pod's name. */
  serveHttp(port: number, answer: Answer): Promise<void>;
  /** Changes how the server of a port answers. */
  answer(port: number, answer: Answer): Promise<void>;
  /** Requests that the server of a port has seen, and connections. */
  seen(port: number): Promise<{ readonly requests: number; readonly connections: number }>;
  /** A TLS server that says the server name it was asked for. */
  serveTls(port: number, offer: TlsCall["offer"]): Promise<void>;
  /** What a TLS server answers to a client that asks for `serverName`; "" when the connection is closed. */
  callTls(target: { readonly host: string; readonly port: number }, serverName: string): Promise<string>;
  /**
   * A rate limit server of its own small kind: speaks `envoy.service.ratelimit.v3`, and refuses a request with a descriptor
   * that has been seen `limit` times already. Descriptors are written `key=value,key=value`.
   */
  serveRateLimits(port: number, limit: number): Promise<void>;
  /** Every question so far: domain and descriptors. */
  asked(): Promise<readonly string[]>;
  /** A collector of OpenTelemetry log records; keeps the strings of what it gets. */
  serveLogs(port: number): Promise<void>;
  logs(): Promise<string>;
}
