/** What somebody with a pod's identity, or with none, can do to the port of ADS. Each ends by itself and says what came of it. */
import type http2 from "node:http2";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { TYPE_URLS } from "../../src/xds/resource";
import { encodeRequest, decodeResponse } from "./ads-client";
import { count, endOf, framed, open, plain, secure, session, type Outcomes } from "./flood-connection";
import type { FloodTarget } from "./flood-server-app";
import { mutate, seeded } from "./mutation";
import { waitFor } from "./wait";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** Frame types of HTTP/2. */
const FRAME = { headers: 1, reset: 3, settings: 4, continuation: 9 } as const;
/** Of HEADERS: nothing more of the head comes. */
const END_HEADERS = 4;
const LIMIT_MS = 600_000;

/** Addresses of loopback, so that no bound by address is met. */
const addressOf = (index: number): string => `127.0.1.${(index % 8) + 1}`;

const request = (options: { readonly nonce?: string; readonly subscribe?: readonly string[] } = {}): Buffer =>
  framed(encodeRequest({ nodeId: "flood", typeUrl: TYPE_URLS.cluster, ...options }));

/** HTTP/2 frame. */
function frame(type: number, streamId: number, payload: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** Many connections of one pod at the same time, with some streams on each. */
export async function streams(flood: {
  readonly target: FloodTarget;
  readonly connections: number;
  readonly each: number;
}): Promise<Outcomes> {
  const outcomes: Outcomes = {};
  const held = Array.from({ length: flood.connections }, (_, n) => session(flood.target, addressOf(n)));
  let ended = 0;
  for (const one of held)
    for (let n = 0; n < flood.each; n += 1) {
      const stream = open(one, "flood");
      // Node tells nothing of a connection's end while there is something of it that nobody has read.
      stream.resume().write(request());
      void endOf(stream).then(end => {
        ended += 1;
        count(outcomes, end);
      });
    }
  // All but those that a pod may have.
  await waitFor("the end of the excess", () => ended >= flood.connections * flood.each - 2, LIMIT_MS);
  for (const one of held) one.destroy();
  return outcomes;
}

/** One message on a stream of its own; how the stream ended, or that it was answered. */
async function single(
  on: http2.ClientHttp2Session,
  pod: string,
  message: Buffer,
  headers: http2.OutgoingHttpHeaders = {},
): Promise<string> {
  const stream = open(on, pod, headers);
  const answered = new Promise<string>(resolve =>
    stream.once("data", () => {
      resolve("answered");
    }),
  );
  stream.write(message);
  const how = await Promise.race([endOf(stream), answered]);
  stream.close();
  return how;
}

/** Requests of these sizes (bytes of one name), each on a connection of its own: how each ended. */
export async function sizes(flood: {
  readonly target: FloodTarget;
  readonly sizes: readonly number[];
}): Promise<readonly string[]> {
  const ends: string[] = [];
  for (const [index, size] of flood.sizes.entries()) {
    const on = session(flood.target, addressOf(index));
    ends.push(await single(on, `large-${index}`, request({ subscribe: ["*", "x".repeat(size)] })));
    on.destroy();
  }
  return ends;
}

/** Names beyond any bound, a request at a time, and a compressed bomb: how each ended. */
export async function manyNames(flood: {
  readonly target: FloodTarget;
  readonly perRequest: number;
  readonly requests: number;
}): Promise<{ readonly names: string; readonly sent: number; readonly bomb: string }> {
  const on = session(flood.target, addressOf(0));
  const stream = open(on, "names");
  const end = endOf(stream);
  stream.resume();
  let [sent, over] = [0, false];
  void end.then(() => (over = true));
  for (; sent < flood.requests && !over; sent += 1) {
    const first = sent * flood.perRequest;
    const subscribe = Array.from({ length: flood.perRequest }, (_, n) => (first + n).toString(36));
    stream.write(request({ subscribe }));
    await pause(50);
  }
  const names = await Promise.race([end, pause(10_000).then(() => "taken")]);
  const body = gzipSync(encodeRequest({ typeUrl: TYPE_URLS.cluster, subscribe: ["x".repeat(64 * 2 ** 20)] }));
  const bomb = await single(on, "bomb", framed(body, { compressed: true }), { "grpc-encoding": "gzip" });
  on.destroy();
  return { names, sent, bomb };
}

/** Right requests with bytes changed, taken out and put in: how many streams ended how. Frames are changed by `seed`. */
export async function mutated(flood: {
  readonly target: FloodTarget;
  readonly messages: number;
  readonly seed: number;
}): Promise<Outcomes> {
  const outcomes: Outcomes = {};
  const random = seeded(flood.seed);
  const right = encodeRequest({
    nodeId: "flood",
    typeUrl: TYPE_URLS.endpoint,
    subscribe: ["a", "b"],
    initialVersions: new Map([["a", "1"]]),
    nonce: "7",
    error: "no",
  });
  const perStream = 20;
  let on = session(flood.target, addressOf(0));
  for (let sent = 0; sent < flood.messages; sent += perStream) {
    // Calls are closed with their status, which is a reset; a connection may not have too many of those.
    if (on.closed || on.destroyed) on = session(flood.target, addressOf(sent));
    const stream = open(on, "mutant");
    stream.resume();
    const end = endOf(stream);
    for (let n = 0; n < perStream; n += 1) stream.write(framed(mutate(right, random)));
    stream.end();
    count(outcomes, await end);
  }
  on.destroy();
  return outcomes;
}

/** The bytes of a right connection, changed: how many connections were ended by the server. Frames are changed by `seed`. */
export async function mutatedConnections(flood: {
  readonly target: FloodTarget;
  readonly connections: number;
  readonly seed: number;
}): Promise<{ readonly ended: number }> {
  const random = seeded(flood.seed);
  const headers = frame(FRAME.headers, 1, Buffer.from("828684418aa0e41d139d09b8f01e07", "hex"));
  const right = Buffer.concat([frame(FRAME.settings, 0, Buffer.alloc(0)), headers, frame(0, 1, request())]);
  let [ended, running] = [0, 0];
  for (let n = 0; n < flood.connections; n += 1) {
    await waitFor("a turn", () => running < 32, LIMIT_MS);
    running += 1;
    const socket = secure(flood.target, addressOf(n));
    socket.write(Buffer.concat([PREFACE, mutate(right, random)]));
    socket.resume();
    const giveUp = setTimeout(() => socket.destroy(), 2_000);
    socket.once("end", () => (ended += 1));
    socket.once("close", () => {
      clearTimeout(giveUp);
      running -= 1;
    });
  }
  await waitFor("the last connection", () => running === 0, LIMIT_MS);
  return { ended };
}

/** Of a type without names, so that no response is owed. */
const chat = (nonce: string): Buffer =>
  framed(encodeRequest({ nodeId: "flood", typeUrl: TYPE_URLS.endpoint, nonce }));

/** Requests as fast as they go out, with nonces that were never given, until the stream is ended: how, and how many. */
export async function chatter(flood: {
  readonly target: FloodTarget;
  readonly perSecond: number;
}): Promise<{ readonly end: string; readonly sent: number }> {
  const on = session(flood.target, addressOf(0));
  const stream = open(on, "noisy");
  const done = { yet: false };
  const end = endOf(stream).finally(() => (done.yet = true));
  let sent = 0;
  stream.once("data", () => undefined).resume();
  const began = performance.now();
  while (!done.yet) {
    const due = ((performance.now() - began) / 1000) * flood.perSecond;
    for (; sent < due && stream.writableLength < 2 ** 22; sent += 1) stream.write(chat(`stale-${sent}`));
    await pause(5);
  }
  on.destroy();
  return { end: await end, sent };
}

/** Connections that say nothing, by turns with such that begin a handshake, until the server has ended them all. */
export async function halfOpen(flood: {
  readonly target: FloodTarget;
  readonly connections: number;
}): Promise<{ readonly connected: number; readonly ended: number }> {
  let [connected, ended] = [0, 0];
  const sockets: Socket[] = [];
  // The head of a record of 512 bytes that holds a ClientHello, and nothing of it.
  const hello = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]);
  for (let n = 0; n < flood.connections; n += 1) {
    const socket = plain(flood.target, addressOf(n));
    socket.once("connect", () => {
      connected += 1;
      if (n % 2 === 1) socket.write(hello);
    });
    socket.once("close", () => (ended += 1));
    socket.resume();
    sockets.push(socket);
  }
  await waitFor("the end of all", () => ended === sockets.length, LIMIT_MS);
  return { connected, ended };
}

/** Frames one after the other on one connection, until the server has ended it, or a minute after the last: after how many. */
async function poured(
  target: FloodTarget,
  frames: number,
  of: (index: number) => Buffer,
): Promise<{ readonly ended: boolean; readonly frames: number }> {
  const socket = secure(target, addressOf(0));
  const over = { ended: false };
  socket.once("close", () => (over.ended = true)).resume();
  socket.write(Buffer.concat([PREFACE, frame(FRAME.settings, 0, Buffer.alloc(0))]));
  let sent = 0;
  for (; sent < frames && !over.ended && socket.writable; sent += 1) {
    socket.write(of(sent));
    if (sent % 100 === 0) await pause(1);
  }
  await waitFor("its end", () => over.ended).catch(() => undefined);
  const { ended } = over;
  socket.destroy();
  return { ended, frames: sent };
}

/** Text in HPACK, as it is. */
const literal = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

/** Streams opened and reset at once, on one connection. */
export function rapidReset(flood: {
  readonly target: FloodTarget;
  readonly streams: number;
}): Promise<{ readonly ended: boolean; readonly frames: number }> {
  // POST, https, a path and an authority, by their places in HPACK's table.
  const head = Buffer.concat([
    Buffer.from([0x83, 0x87, 0x04]),
    literal("/"),
    Buffer.from([0x01]),
    literal("localhost"),
  ]);
  const cancel = Buffer.from([0, 0, 0, 8]);
  return poured(flood.target, flood.streams, index => {
    const id = 2 * index + 1;
    return Buffer.concat([frame(FRAME.headers, id, head, END_HEADERS), frame(FRAME.reset, id, cancel)]);
  });
}

/** A head of a request that never ends (CONTINUATION), on one connection. */
export function continuation(flood: {
  readonly target: FloodTarget;
  readonly frames: number;
}): Promise<{ readonly ended: boolean; readonly frames: number }> {
  // A literal field, again and again; never END_HEADERS.
  const field = Buffer.from("000178017a", "hex");
  return poured(flood.target, flood.frames, index =>
    frame(index === 0 ? FRAME.headers : FRAME.continuation, 1, field),
  );
}

/** Proxies that ask, and then read nothing, until all are cut; and what each gets when it comes again. */
export async function deaf(flood: {
  readonly target: FloodTarget;
  readonly proxies: number;
}): Promise<{ readonly cut: number; readonly cutAfterMs: number }> {
  const began = performance.now();
  const held = Array.from({ length: flood.proxies }, (_, n) => {
    const on = session(flood.target, addressOf(n));
    open(on, `deaf-${n}`).write(request());
    return on;
  });
  let cut = 0;
  for (const on of held) on.once("close", () => (cut += 1));
  await waitFor("the cut of all", () => cut === held.length, LIMIT_MS);
  return { cut, cutAfterMs: Math.round(performance.now() - began) };
}

/** What proxies get that come again, in the first half second: versions of the one resource, per proxy. */
export async function again(flood: {
  readonly target: FloodTarget;
  readonly proxies: number;
}): Promise<readonly (readonly string[])[]> {
  const got = Array.from({ length: flood.proxies }, () => [] as string[]);
  const held = got.map((versions, n) => {
    const on = session(flood.target, addressOf(n));
    const stream = open(on, `deaf-${n}`);
    let bytes = Buffer.alloc(0);
    stream.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
        const { resources } = decodeResponse(bytes.subarray(5, 5 + bytes.readUInt32BE(1)));
        versions.push(...resources.map(({ version }) => version));
        bytes = bytes.subarray(5 + bytes.readUInt32BE(1));
      }
    });
    stream.write(request());
    return on;
  });
  await waitFor("a response to all", () => got.every(versions => versions.length > 0), LIMIT_MS);
  await pause(500);
  for (const on of held) on.destroy();
  return got;
}
