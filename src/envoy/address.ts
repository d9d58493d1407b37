import type { Address, CidrRange } from "./api/generated/envoy/config/core/v3/address";

/** All IPv4 (or IPv6) addresses of the pod. */
export const ANY_IPV4 = "0.0.0.0";
export const ANY_IPV6 = "::";

/** A TCP socket address. `host` is an IP, or a name where Envoy resolves names (DNS clusters). */
export function socketAddress(host: string, port: number): Address {
  return {
    address: {
      $case: "socketAddress",
      value: { address: host, portSpecifier: { $case: "portValue", value: port } },
    },
  };
}

/**
 * Wherever a connection comes from, in halves: a chain that names these is chosen before one that names no source. The whole
 * as one range would be the same to Envoy as none, and which of the two it chooses is chance then.
 */
export const ANY_SOURCE: CidrRange[] = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"].map(cidrRange);

/** An address range written as `address/length`, or one address. */
export function cidrRange(cidr: string): CidrRange {
  const [addressPrefix = "", length] = cidr.split("/");
  const whole = addressPrefix.includes(":") ? 128 : 32;
  return { addressPrefix, prefixLen: length === undefined ? whole : Number(length) };
}
