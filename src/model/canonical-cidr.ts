import { parseCidr, prefixLength } from "./cidr";

/**
 * The one spelling of an address range, as Envoy compares ranges: no bits behind the prefix, IPv6 as RFC 5952 writes it. IPv4
 * addresses mapped into IPv6 (`::ffff:10.0.0.0/104`) stay a range of IPv6, which to Envoy is another one than that of IPv4.
 * undefined when the text is no range.
 */
export function canonicalCidr(text: string): string | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  const { family, prefix } = cidr;
  const address = text.slice(0, text.lastIndexOf("/"));
  if (family === "ipv4") return `${masked(address.split(".").map(Number), 8, prefix).join(".")}/${prefix}`;
  return `${ipv6Text(masked(ipv6Groups(address), 16, prefix))}/${prefix}`;
}

/** Address ranges, each once and in its one spelling, in the order given; what is no range is left out. */
export function canonicalCidrs(texts: readonly string[]): readonly string[] {
  return [...new Set(texts.flatMap(text => canonicalCidr(text) ?? []))];
}

/** Parts of `width` bits, zero behind the first `prefix` bits of all. */
function masked(parts: readonly number[], width: number, prefix: number): readonly number[] {
  return parts.map((part, index) => {
    const kept = Math.min(width, Math.max(0, prefix - index * width));
    const rest = 2 ** (width - kept);
    return part - (part % rest);
  });
}

/** WHATWG URLs carry IPv6 addresses as RFC 5952 writes them, with the last 32 bits in two groups like the others. */
function shortest(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function ipv6Groups(address: string): readonly number[] {
  const [head = "", tail = ""] = shortest(address).split("::");
  const [before, after] = [head, tail].map(half => half.split(":").filter(group => group !== ""));
  const left = before ?? [];
  const right = after ?? [];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].map(group => Number.parseInt(group, 16));
}

function ipv6Text(groups: readonly number[]): string {
  const text = shortest(groups.map(group => group.toString(16)).join(":"));
  const [high = 0, low = 0] = groups.slice(6);
  const isMapped = groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff;
  return isMapped ? `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}` : text;
}

/** Values by address range, which can be asked what there is around another range. All ranges in their one spelling. */
export class RangeMap<V> {
  readonly #values = new Map<string, V>();
  /** Lengths of prefixes that there are: few, however many ranges. */
  readonly #lengths = new Set<number>();

  /** Sets the value of a range. */
  set(cidr: string, value: V): void {
    this.#values.set(cidr, value);
    this.#lengths.add(prefixLength(cidr));
  }

  /** The value of exactly this range; undefined: there is none. */
  get(cidr: string): V | undefined {
    return this.#values.get(cidr);
  }

  /** All ranges with their values, in the order in which they came. */
  entries(): Iterable<[string, V]> {
    return this.#values.entries();
  }

  /** Values of the ranges that hold all addresses of this one, itself among them. */
  around(cidr: string): readonly V[] {
    const [address = "", own = ""] = cidr.split("/");
    const lengths = [...this.#lengths].filter(length => length <= Number(own));
    return lengths.flatMap(length => {
      const wider = canonicalCidr(`${address}/${length}`);
      return (wider === undefined ? undefined : this.#values.get(wider)) ?? [];
    });
  }
}
