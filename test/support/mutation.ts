/** Changes of bytes as a fuzzer makes them, from a seed. */

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Change = (bytes: Buffer, at: number, random: () => number) => Buffer;

const CHANGES: readonly Change[] = [
  (bytes, at, random) => {
    const next = Buffer.from(bytes);
    next[at] = Math.floor(random() * 256);
    return next;
  },
  (bytes, at, random) => {
    const next = Buffer.from(bytes);
    next[at] = (next[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    return next;
  },
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + Math.ceil(random() * 4))]),
  (bytes, at, random) =>
    Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from([0xff, 0xff, 0xff, 0x0f]).subarray(Math.floor(random() * 4)),
      bytes.subarray(at),
    ]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes, bytes.subarray(at)]),
];

/** The bytes with one to four changes. */
export function mutate(bytes: Uint8Array, random: () => number): Buffer {
  let result: Buffer = Buffer.from(bytes);
  for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) {
    const change = CHANGES[Math.floor(random() * CHANGES.length)];
    if (change !== undefined) result = change(result, Math.floor(random() * result.length), random);
  }
  return result;
}
