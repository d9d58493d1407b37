import type { TlsCall } from "./pod-operations";

/** Where a stream goes. */
export interface StreamTarget {
  readonly host: string;
  readonly port: number;
}

/** What has become of a stream. Times are of the machine's clock, in milliseconds. */
export interface StreamState {
  readonly open: boolean;
  /** When the last byte came from the server; 0: none has. */
  readonly lastByteAt: number;
  readonly closedAt: number;
  readonly received: number;
}

/** Clients of long streams, and a server of them; implemented by stream-app.ts. */
export interface StreamOperations {
  /** gRPC, both ways: each message comes back. */
  serveGrpc(port: number): Promise<void>;
  /** Each opens a stream that sends a message every `everyMs` (0: one at the start) and gives its number once echoed. */
  openTcp(target: StreamTarget, everyMs: number): Promise<number>;
  openWebSocket(target: StreamTarget, everyMs: number): Promise<number>;
  openGrpc(target: StreamTarget, everyMs: number): Promise<number>;
  /** TLS with whatever it is given, then bytes: HTTP where `send` is a request. */
  openTls(target: StreamTarget & Pick<TlsCall, "offer">, send: string, everyMs: number): Promise<number>;
  state(stream: number): Promise<StreamState>;
  /** Ends every stream of this program. */
  closeAll(): Promise<void>;
}
