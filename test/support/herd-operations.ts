/** Sidecars that all come at the same time, as Envoy comes: it gives a connection up after its connect timeout, and tries again. */
import http2 from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { ADS_SAN, SIDECAR_CONNECT_TIMEOUT_MS } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { encodeRequest } from "./ads-client";
import { framed, open, secure } from "./flood-connection";
import type { FloodTarget } from "./flood-server-app";

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
      stream.once("data", () => {
        resolve(session);
      });
      stream.resume().write(framed(encodeRequest({ nodeId: "herd", typeUrl: TYPE_URLS.cluster })));
    });
  });
}

/** Lets sidecars come until all are in, or the time is over. */
export async function herd(options: {
  readonly target: FloodTarget;
  readonly sidecars: number;
  readonly limitMs: number;
}): Promise<Herd> {
  const { target, sidecars, limitMs } = options;
  const inMs: number[] = [];
  const sessions: http2.ClientHttp2Session[] = [];
  let lost = 0;
  const began = performance.now();
  const passed = (): number => performance.now() - began;
  const come = async (index: number): Promise<void> => {
    await pause(Math.random() * SPREAD_MS);
    for (let tries = 0; passed() < limitMs; tries += 1) {
      const session = await attempt(target, index);
      if (session !== undefined) {
        inMs.push(Math.round(passed()));
        sessions.push(session);
        return;
      }
      lost += 1;
      await pause(Math.random() * Math.min(BACKOFF.maxMs, BACKOFF.minMs * 2 ** tries));
    }
  };
  await Promise.all(Array.from({ length: sidecars }, (_, index) => come(index)));
  for (const session of sessions) session.destroy();
  return { inMs, lost };
}
