/** One direction of a TCP connection, as far as it was captured. */
export interface TcpFlow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** The payload in sending order, without repeats; what was not captured is left out. */
  readonly payload: Buffer;
}

interface Segment {
  readonly key: string;
  readonly flow: Omit<TcpFlow, "payload">;
  readonly sequence: number;
  readonly payload: Buffer;
}

const LITTLE_ENDIAN_MAGIC = [0xa1b2c3d4, 0xa1b23c4d];
const ETHERNET = 1;
const TCP = 6;

/** Payloads of an Ethernet frame's IP packet: where TCP begins and who talks. */
function ipPacket(frame: Buffer): { source: string; destination: string; tcp: Buffer } | undefined {
  if (frame.length < 54) return undefined;
  const type = frame.readUInt16BE(12);
  const ip = frame.subarray(14);
  if (type === 0x0800 && ip.readUInt8(9) === TCP) {
    const header = (ip.readUInt8(0) & 15) * 4;
    const source = [...ip.subarray(12, 16)].join(".");
    const destination = [...ip.subarray(16, 20)].join(".");
    // Short frames are padded, so the packet's own length counts.
    return { source, destination, tcp: ip.subarray(header, ip.readUInt16BE(2) || undefined) };
  }
  if (type === 0x86dd && ip.readUInt8(6) === TCP) {
    const address = (at: number): string =>
      (
        ip
          .subarray(at, at + 16)
          .toString("hex")
          .match(/.{4}/g) ?? []
      ).join(":");
    return { source: address(8), destination: address(24), tcp: ip.subarray(40, 40 + ip.readUInt16BE(4)) };
  }
  return undefined;
}

function segment(frame: Buffer): Segment | undefined {
  const packet = ipPacket(frame);
  if (packet === undefined || packet.tcp.length < 20) return undefined;
  const { source, destination, tcp } = packet;
  const flow = { source, sourcePort: tcp.readUInt16BE(0), destination, destinationPort: tcp.readUInt16BE(2) };
  const key = `${source} ${flow.sourcePort} ${destination} ${flow.destinationPort}`;
  return { key, flow, sequence: tcp.readUInt32BE(4), payload: tcp.subarray((tcp.readUInt8(12) >> 4) * 4) };
}

/** Frames of a capture in libpcap's format; a frame that is cut off at the end is left out. Throws for other formats. */
export function frames(capture: Buffer): Buffer[] {
  if (capture.length < 24 || !LITTLE_ENDIAN_MAGIC.includes(capture.readUInt32LE(0))) {
    throw new Error("not a capture in libpcap's little-endian format");
  }
  if (capture.readUInt32LE(20) !== ETHERNET) throw new Error("not a capture of Ethernet frames");
  const found: Buffer[] = [];
  for (let at = 24; at + 16 <= capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    if (at + 16 + length > capture.length) break;
    found.push(capture.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return found;
}

function inOrder(segments: readonly Segment[]): Buffer {
  const first = segments[0]?.sequence ?? 0;
  // Signed distance, so that numbers may wrap and the first captured segment need not be the first sent.
  const placed = segments.map(each => ({ at: (each.sequence - first) | 0, payload: each.payload }));
  placed.sort((a, b) => a.at - b.at);
  const parts: Buffer[] = [];
  let next = Number.NEGATIVE_INFINITY;
  for (const { at, payload } of placed) {
    const end = at + payload.length;
    if (payload.length === 0 || end <= next) continue;
    parts.push(at < next ? payload.subarray(next - at) : payload);
    next = end;
  }
  return Buffer.concat(parts);
}

/** The TCP payloads in a capture, one entry a direction. Throws when it is no capture of Ethernet frames. */
export function tcpFlows(capture: Buffer): TcpFlow[] {
  const byKey = new Map<string, Segment[]>();
  for (const frame of frames(capture)) {
    const found = segment(frame);
    if (found === undefined) continue;
    const others = byKey.get(found.key);
    if (others === undefined) byKey.set(found.key, [found]);
    else others.push(found);
  }
  return [...byKey.values()].flatMap(segments => {
    const flow = segments[0]?.flow;
    return flow === undefined ? [] : [{ ...flow, payload: inOrder(segments) }];
  });
}
