/** Sidecars that all come at the same time, as Envoy comes: it gives a connection up after its connect timeout, and tries again. */
import http2 from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { ADS_SAN, SIDECAR_CONNECT_TIMEOUT_MS } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { decodeResponse, encodeRequest } from "./ads-client";
import { framed, open, secure } from "./flood-connection";
import type { FloodTarget } from "./flood-server-app";
import { waitFor } from "./wait";

/** Sidecars come within so long, milliseconds. */
const SPREAD_MS = 500;
/** Between two tries: a random part of what doubles, as the bootstrap has it, milliseconds. */
const BACKOFF = { minMs: 250, maxMs: 3_000 } as const;

/** What came of a herd. */
export interface Herd {
  /** From the beginning to the first response of each that has one, milliseconds. */
  readonly inMs: readonly number[];
  /** Connections that were given up or ended. */
  readonly lost: number;
}

/** Each has an address of its own, as pods have. */
function addressOf(index: number): string {
  return `127.1.${Math.floor(index / 200)}.${(index % 200) + 1}`;
}

/** Takes every response, as Envoy does; `took` is told the length of each. */
function acknowledge(stream: http2.ClientHttp2Stream, took: (bytes: number) => void): void {
  let parts: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    parts.push(chunk);
    length += chunk.length;
    const [first = chunk] = parts;
    if (length < 5 || (first.length >= 5 && length < 5 + first.readUInt32BE(1))) return;
    const all = Buffer.concat(parts);
    const end = 5 + all.readUInt32BE(1);
    if (all.length < end) return;
    const { nonce, typeUrl } = decodeResponse(all.subarray(5, end));
    parts = [all.subarray(end)];
    length = all.length - end;
    stream.write(framed(encodeRequest({ typeUrl, nonce })));
    took(end);
  });
}

/** Resolves to the connection once it has brought a response; undefined: it was given up, or ended. */
function attempt(target: FloodTarget, index: number): Promise<http2.ClientHttp2Session | undefined> {
  return new Promise(resolve => {
    const socket = secure(target, addressOf(index));
    const giveUp = setTimeout(() => socket.destroy(), SIDECAR_CONNECT_TIMEOUT_MS);
    socket.once("close", () => {
      clearTimeout(giveUp);
      resolve(undefined);
    });
    socket.once("secureConnect", () => {
      clearTimeout(giveUp);
      const session = http2.connect(`https://${ADS_SAN}`, { createConnection: () => socket });
      session.on("error", () => undefined);
      const stream = open(session, `herd-${index}`);
      const got = { bytes: 0 };
      acknowledge(stream, bytes => {
        if (got.bytes === 0) {
          inside.set(session, got);
          resolve(session);
        }
        got.bytes += bytes;
      });
      stream.write(framed(encodeRequest({ nodeId: "herd", typeUrl: TYPE_URLS.cluster })));
    });
  });
}

/** The sidecars that are in, and how many bytes each has got. */
const inside = new Map<http2.ClientHttp2Session, { bytes: number }>();

/** Lets sidecars come until all are in, or the time is over; they stay until {@link disperse}. */
export async function herd(options: {
  readonly target: FloodTarget;
  readonly sidecars: number;
  readonly limitMs: number;
}): Promise<Herd> {
  const { target, sidecars, limitMs } = options;
  const inMs: number[] = [];
  let lost = 0;
  const began = performance.now();
  const passed = (): number => performance.now() - began;
  const come = async (index: number): Promise<void> => {
    await pause(Math.random() * SPREAD_MS);
    for (let tries = 0; passed() < limitMs; tries += 1) {
      const session = await attempt(target, index);
      if (session !== undefined) {
        inMs.push(Math.round(passed()));
        return;
      }
      lost += 1;
      await pause(Math.random() * Math.min(BACKOFF.maxMs, BACKOFF.minMs * 2 ** tries));
    }
  };
  await Promise.all(Array.from({ length: sidecars }, (_, index) => come(index)));
  return { inMs, lost };
}

/** Waits until each that is in has got so many bytes in all, or one has lost its connection. */
export async function everybodyHas(options: { readonly bytes: number }): Promise<{ readonly lost: number }> {
  const all = [...inside];
  const lost = (): number => all.filter(([session]) => session.destroyed).length;
  await waitFor(
    "the bytes at every sidecar",
    () => lost() > 0 || all.every(([, { bytes }]) => bytes >= options.bytes),
    600_000,
  );
  return { lost: lost() };
}

/** They go. */
export function disperse(): void {
  for (const session of inside.keys()) session.destroy();
  inside.clear();
}
