/** An address range of one family. */
export interface Cidr {
  readonly family: "ipv4" | "ipv6";
  /** As written. */
  readonly text: string;
  /** Length of the prefix in bits. */
  readonly prefix: number;
}

const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
/** Four numbers without leading zeros, which some programs read as octal. */
const IPV4 = new RegExp(`^${BYTE}([.]${BYTE}){3}$`);
const GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** Reads `address/prefix` of either family; undefined when it is not one. The prefix length is required. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = "", length = ""] = /^([0-9A-Fa-f.:]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  if (length === "") return undefined;
  const prefix = Number(length);
  if (IPV4.test(address)) return prefix <= 32 ? { family: "ipv4", text, prefix } : undefined;
  return isIpv6(address) && prefix <= 128 ? { family: "ipv6", text, prefix } : undefined;
}

/** Family of an address without prefix length; undefined when it is none. */
export function addressFamily(text: string): Cidr["family"] | undefined {
  if (IPV4.test(text)) return "ipv4";
  return isIpv6(text) ? "ipv6" : undefined;
}

/** RFC 4291 §2.2 text form, with or without `::` and an IPv4 tail; no zone. */
function isIpv6(address: string): boolean {
  const tail = address.slice(address.lastIndexOf(":") + 1);
  if (tail.includes(".") && !IPV4.test(tail)) return false;
  // An IPv4 tail stands for two groups.
  const plain = tail.includes(".") ? `${address.slice(0, -tail.length)}0:0` : address;
  const halves = plain.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap(half => (half === "" ? [] : half.split(":")));
  if (!groups.every(group => GROUP.test(group))) return false;
  return halves.length === 2 ? groups.length <= 7 : groups.length === 8;
}

interface Range {
  /** The bits of the address as a number. */
  readonly value: bigint;
  /** Bits of an address of the family. */
  readonly length: number;
  readonly prefix: number;
}

function bytesOf(ipv4: string): readonly number[] {
  return ipv4.split(".").map(Number);
}

/** An IPv4 tail as the two groups that it stands for. */
function withoutTail(address: string): string {
  const tail = address.slice(address.lastIndexOf(":") + 1);
  if (!tail.includes(".")) return address;
  const [a = 0, b = 0, c = 0, d = 0] = bytesOf(tail);
  return `${address.slice(0, -tail.length)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

function valueOf(address: string): Omit<Range, "prefix"> {
  if (!address.includes(":")) {
    return { value: bytesOf(address).reduce((sum, part) => (sum << 8n) | BigInt(part), 0n), length: 32 };
  }
  const [head = "", tail] = withoutTail(address).split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), tail === undefined ? [] : groups(tail)];
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  const all = [...before, ...zeros, ...after];
  return { value: all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n), length: 128 };
}

function rangeOf(cidr: string): Range {
  const [address = "", prefix] = cidr.split("/");
  const { value, length } = valueOf(address);
  return { value, length, prefix: prefix === undefined ? length : Number(prefix) };
}

/** Whether every address of `narrower` is one of `wider`; both valid, an address alone is a range of one. */
export function covers(wider: string, narrower: string): boolean {
  const [outer, inner] = [rangeOf(wider), rangeOf(narrower)];
  if (outer.length !== inner.length || outer.prefix > inner.prefix) return false;
  const shift = BigInt(outer.length - outer.prefix);
  return outer.value >> shift === inner.value >> shift;
}

/** Length of a range's prefix in bits. */
export function prefixLength(cidr: string): number {
  return rangeOf(cidr).prefix;
}
