/** What the two unencrypted messages of a TLS handshake tell to anybody on the way. */
export interface Hello {
  readonly kind: "client" | "server";
  /** The version in force (server), or the newest one offered (client), e.g. `TLS 1.3`. */
  readonly version: string;
  /** Protocols offered (client); a TLS 1.3 server answers encrypted. */
  readonly alpn: readonly string[];
  /** Name asked for (client), or undefined. */
  readonly serverName: string | undefined;
}

const HANDSHAKE_RECORD = 22;
const EXTENSION = { serverName: 0, alpn: 16, supportedVersions: 43 } as const;

const VERSIONS: Readonly<Record<number, string>> = {
  0x0301: "TLS 1.0",
  0x0302: "TLS 1.1",
  0x0303: "TLS 1.2",
  0x0304: "TLS 1.3",
};

/** Reads fields one after the other; every read beyond the end throws a RangeError. */
class Fields {
  private at = 0;

  public constructor(private readonly bytes: Buffer) {}

  public get left(): number {
    return this.bytes.length - this.at;
  }

  public number(width: number): number {
    const value = this.bytes.readUIntBE(this.at, width);
    this.at += width;
    return value;
  }

  public take(length: number): Buffer {
    if (length > this.left) throw new RangeError("cut off");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** A field that its length, of `width` bytes, precedes. */
  public block(width: number): Fields {
    return new Fields(this.take(this.number(width)));
  }

  public rest(): Buffer {
    return this.take(this.left);
  }
}

function extensions(fields: Fields): Map<number, Fields> {
  const found = new Map<number, Fields>();
  if (fields.left === 0) return found;
  const list = fields.block(2);
  while (list.left > 0) {
    const type = list.number(2);
    found.set(type, list.block(2));
  }
  return found;
}

function newestOffered(versions: Fields | undefined, legacy: number): number {
  if (versions === undefined) return legacy;
  const list = versions.block(1);
  const known: number[] = [];
  while (list.left > 0) {
    const version = list.number(2);
    if (version in VERSIONS) known.push(version);
  }
  return Math.max(legacy, ...known);
}

function named(version: number): string {
  return VERSIONS[version] ?? `0x${version.toString(16)}`;
}

function clientHello(fields: Fields, legacy: number): Hello {
  fields.block(2); // cipher suites
  fields.block(1); // compression methods
  const found = extensions(fields);
  const alpn: string[] = [];
  const protocols = found.get(EXTENSION.alpn)?.block(2);
  while (protocols !== undefined && protocols.left > 0)
    alpn.push(protocols.block(1).rest().toString("latin1"));
  const names = found.get(EXTENSION.serverName)?.block(2);
  names?.number(1);
  const version = named(newestOffered(found.get(EXTENSION.supportedVersions), legacy));
  return { kind: "client", version, alpn, serverName: names?.block(2).rest().toString("latin1") };
}

function serverHello(fields: Fields, legacy: number): Hello {
  fields.number(2); // cipher suite
  fields.number(1); // compression method
  const version = extensions(fields).get(EXTENSION.supportedVersions)?.number(2) ?? legacy;
  return { kind: "server", version: named(version), alpn: [], serverName: undefined };
}

/**
 * The hello at the beginning of one direction of a connection (RFC 8446 §4.1), or undefined when it does not begin with
 * one: no TLS, or the connection was older than the capture.
 */
export function helloOf(payload: Buffer): Hello | undefined {
  try {
    const record = new Fields(payload);
    if (record.number(1) !== HANDSHAKE_RECORD || record.number(1) !== 3) return undefined;
    record.number(1);
    const handshake = record.block(2);
    const type = handshake.number(1);
    const message = handshake.block(3);
    const legacy = message.number(2);
    message.take(32); // random
    message.block(1); // session id
    if (type === 1) return clientHello(message, legacy);
    return type === 2 ? serverHello(message, legacy) : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
