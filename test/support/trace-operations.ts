/** A span as collectors are told of it, whatever the protocol. Ids are hexadecimal. */
export interface Span {
  readonly trace: string;
  readonly id: string;
  /** Absent: the first of its trace. */
  readonly parent: string | undefined;
  readonly service: string;
  readonly kind: "client" | "server";
  /** Of the request. */
  readonly path: string;
}

/** Where a request goes. */
export interface TraceTarget {
  readonly host: string;
  readonly port: number;
}

/** What takes part in traces; implemented by trace-app.ts. */
export interface TraceOperations {
  /** HTTP/1.1 that answers 200, after a request to `next` with the headers by which traces are kept together, if it is given. */
  serve(port: number, next?: TraceTarget): Promise<void>;
  /** So many requests one after the other, each on its own connection; their statuses. */
  call(target: TraceTarget, path: string, count: number, headers?: Record<string, string>): Promise<number[]>;
  /** Takes Zipkin's JSON at one port and OTLP over gRPC at another. */
  collect(zipkinPort: number, otlpPort: number): Promise<void>;
  spans(): Promise<readonly Span[]>;
}
