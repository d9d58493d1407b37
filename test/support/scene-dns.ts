/** As much of a name server as a scene's sidecars need (RFC 1035 §4; AAAA: RFC 3596). Runs in scene-app.ts. */
import dgram from "node:dgram";
import net from "node:net";

const HEADER_BYTES = 12;
const TYPE: Readonly<Record<number, number>> = { 4: 1, 6: 28 };
const NO_SUCH_NAME = 3;
/** Seconds; short, so that steps of a scene can change names. */
const TTL = 1;

interface Question {
  readonly name: string;
  readonly type: number;
  /** Where it ends in the message. */
  readonly end: number;
}

let names: ReadonlyMap<string, readonly string[]> = new Map();
let server: Promise<void> | undefined;

/** Answers with these names from now on; starts the server with the first call. */
export function resolveNames(known: Readonly<Record<string, readonly string[]>>): Promise<void> {
  names = new Map(Object.entries(known));
  server ??= start();
  return server;
}

function start(): Promise<void> {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (query, { address, port }) => {
    socket.send(replyTo(query), port, address);
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, "127.0.0.1", resolve);
  });
}

function questionOf(query: Buffer): Question {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function replyTo(query: Buffer): Buffer {
  const { name, type, end } = questionOf(query);
  const addresses = names.get(name);
  const answers = (addresses ?? []).filter(address => TYPE[net.isIP(address)] === type).map(recordOf);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  // An authoritative answer; recursion is available.
  header.writeUInt16BE(0x8580 | (addresses === undefined ? NO_SUCH_NAME : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...answers]);
}

/** An address record about the name of the question. */
function recordOf(address: string): Buffer {
  const data = net.isIPv6(address) ? ipv6Bytes(address) : Buffer.from(address.split(".").map(Number));
  const record = Buffer.alloc(HEADER_BYTES);
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  record.writeUInt16BE(TYPE[net.isIP(address)] ?? 0, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(TTL, 6);
  record.writeUInt16BE(data.length, 10);
  return Buffer.concat([record, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const zeros = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail)];
  return Buffer.from(all.map(group => group.padStart(4, "0")).join(""), "hex");
}
