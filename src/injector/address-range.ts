/** One CIDR of either family. */
export interface AddressRange {
  readonly family: "ipv4" | "ipv6";
  /** As iptables takes it. */
  readonly text: string;
}

/** Reads `address/prefix` of either family; undefined when it is not one. The prefix length is required. */
export function parseRange(written: string): AddressRange | undefined {
  const match = /^([0-9A-Fa-f.:]+)\/(\d{1,3})$/.exec(written);
  const [, address, length] = match ?? [];
  if (address === undefined || length === undefined) return undefined;
  if (isIpv4(address)) return Number(length) <= 32 ? { family: "ipv4", text: written } : undefined;
  if (isIpv6(address)) return Number(length) <= 128 ? { family: "ipv6", text: written } : undefined;
  return undefined;
}

/** Dotted decimal with four parts of 0 to 255 and no leading zeros (which some programs read as octal). */
export function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** RFC 4291 text form, with or without `::`, with or without an IPv4 tail; no zone. */
export function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.map(groupsIn);
  if (groups.some(count => count === undefined)) return false;
  const total = groups.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  const tailInFirst = halves.length === 2 && (halves[0] ?? "").includes(".");
  if (tailInFirst) return false;
  return halves.length === 2 ? total <= 7 : total === 8;
}

/** How many 16-bit groups a half stands for; undefined when it is malformed. */
function groupsIn(half: string): number | undefined {
  if (half === "") return 0;
  const parts = half.split(":");
  const last = parts.at(-1) ?? "";
  const tail = last.includes(".");
  if (tail && !isIpv4(last)) return undefined;
  const plain = tail ? parts.slice(0, -1) : parts;
  if (!plain.every(part => /^[0-9A-Fa-f]{1,4}$/.test(part))) return undefined;
  return plain.length + (tail ? 2 : 0);
}
