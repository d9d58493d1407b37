/** How a caller without a sidecar offers itself. */
export interface RawOffer {
  /** Absent: plaintext. */
  readonly tls?: {
    readonly certificate?: string;
    readonly key?: string;
    readonly alpn?: string;
    readonly serverName?: string;
    readonly maxVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
    readonly ciphers?: string;
  };
}

/** Bytes on a connection of their own. */
export interface RawCall extends RawOffer {
  readonly host: string;
  readonly port: number;
  /** Each character is one byte. */
  readonly send: string;
}

/** A server of files and a client that writes whatever it is told; implemented by bypass-app.ts. */
export interface BypassOperations {
  /**
   * An HTTP/1.1 server as applications are: it parses loosely, decodes a path, makes backslashes slashes, resolves dots and
   * ignores the case of letters, and answers `protected` to all that means `/protected` to it.
   */
  serveLenient(port: number): Promise<void>;
  /** Everything that each call was answered, a byte a character; "" when nothing came. */
  calls(calls: readonly RawCall[]): Promise<readonly string[]>;
}
