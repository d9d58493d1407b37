/** What the application of a scene's pod can be told to do; implemented by scene-app.ts. */

/** One call. */
export interface AppCall {
  readonly scheme: "http" | "https" | "h2" | "grpc" | "tcp" | "server-first";
  readonly address: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** With `host`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Name a client of TLS asks for. */
  readonly serverName: string;
  /** PEM; what a client of TLS presents. */
  readonly credentials?: { readonly cert: string; readonly key: string };
}

/** What came of it. */
export interface AppAnswer {
  /** Status of HTTP, for gRPC the one that means the same; `answered`: bytes that an application wrote. */
  readonly outcome: number | "answered" | "refused" | "timeout";
  /** Name of the application that answered, "" when none did. */
  readonly pod: string;
  /** The `x-forwarded-client-cert` header that the application saw, "" without one. */
  readonly peer: string;
  /** Why, for the message of a failure. */
  readonly detail: string;
}

/** Operations of the application. */
export interface SceneOperations {
  /**
   * Serves a port on all addresses in whatever protocol the client speaks: HTTP/1.1 with or without TLS, HTTP/2 with prior
   * knowledge, gRPC, or bytes. With `greets` it speaks first instead. Serving a port again only changes that.
   */
  serve(port: number, greets: boolean): Promise<void>;
  /** Answers questions of DNS on 127.0.0.1:53 with these addresses from now on; other names do not exist. */
  resolve(names: Readonly<Record<string, readonly string[]>>): Promise<void>;
  call(call: AppCall): Promise<AppAnswer>;
}
