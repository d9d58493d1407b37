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
