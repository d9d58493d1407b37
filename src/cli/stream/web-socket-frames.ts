/** Frames of the WebSocket protocol (RFC 6455), client's side. Pure. */

/** What a frame is. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** A frame of the server. */
export interface Frame {
  readonly opcode: number;
  readonly final: boolean;
  readonly payload: Buffer;
}

/** A server that sends more in one frame is none that we talk to. */
const MAX_FRAME = 64 * 1024 * 1024;

/** A frame of the client, masked with four bytes of the caller's as the protocol asks. */
export function clientFrame(opcode: number, payload: Buffer, mask: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (head.length === 2) head[1] = 0x80 | length;
  if (head.length === 4) {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(length, 2);
  }
  if (head.length === 10) {
    head[1] = 0x80 | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  const masked = Buffer.from(payload);
  for (let n = 0; n < length; n += 1) masked[n] = (payload[n] ?? 0) ^ (mask[n % 4] ?? 0);
  return Buffer.concat([head, mask.subarray(0, 4), masked]);
}

interface Head {
  readonly opcode: number;
  readonly final: boolean;
  readonly start: number;
  readonly length: number;
}

function lengthOf(bytes: Buffer, start: number): number {
  if (start === 4) return bytes.readUInt16BE(2);
  return start === 10 ? Number(bytes.readBigUInt64BE(2)) : (bytes[1] ?? 0) & 0x7f;
}

function headOf(bytes: Buffer): Head | undefined {
  const [first = 0, second = 0] = bytes;
  const short = second & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  if (second > 0x7f) throw new Error("the server masks its frames");
  const length = lengthOf(bytes, start);
  if (length > MAX_FRAME) throw new Error(`the server sends a frame of ${length} bytes`);
  return { opcode: first & 0x0f, final: first > 0x7f, start, length };
}

/** Cuts what arrives into frames. */
export class FrameReader {
  private parts: Buffer[] = [];
  private size = 0;

  /** Frames that are complete with these bytes. Throws for what is no frame of a server. */
  push(bytes: Buffer): readonly Frame[] {
    this.parts.push(bytes);
    this.size += bytes.length;
    const frames: Frame[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) frames.push(frame);
    return frames;
  }

  private next(): Frame | undefined {
    const [first] = this.parts;
    if (first === undefined) return undefined;
    const head = headOf(first.length >= 10 || this.parts.length === 1 ? first : this.joined());
    if (head === undefined || this.size < head.start + head.length) return undefined;
    const bytes = this.joined();
    const end = head.start + head.length;
    const rest = bytes.subarray(end);
    this.parts = rest.length === 0 ? [] : [rest];
    this.size = rest.length;
    return { opcode: head.opcode, final: head.final, payload: bytes.subarray(head.start, end) };
  }

  private joined(): Buffer {
    const all = this.parts.length === 1 ? (this.parts[0] ?? Buffer.alloc(0)) : Buffer.concat(this.parts);
    this.parts = [all];
    return all;
  }
}
