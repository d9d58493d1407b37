/** The bits of an address, IPv4 or IPv6, as a number and a length. */
function bits(address: string): { readonly value: bigint; readonly length: number } {
  if (!address.includes(":")) {
    const value = address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(Number(part)), 0n);
    return { value, length: 32 };
  }
  const [head = "", tail] = address.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), tail === undefined ? [] : groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  const all = [...before, ...zeros, ...after];
  return { value: all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n), length: 128 };
}

interface Range {
  readonly value: bigint;
  readonly length: number;
  readonly prefix: number;
}

function range(cidr: string): Range {
  const [address = "", prefix] = cidr.split("/");
  const { value, length } = bits(address);
  return { value, length, prefix: prefix === undefined ? length : Number(prefix) };
}

/** Whether every address of `narrower` is one of `wider`; both `address/length` in the same notation of their family. */
export function covers(wider: string, narrower: string): boolean {
  const [outer, inner] = [range(wider), range(narrower)];
  if (outer.length !== inner.length || outer.prefix > inner.prefix) return false;
  const shift = BigInt(outer.length - outer.prefix);
  return outer.value >> shift === inner.value >> shift;
}
