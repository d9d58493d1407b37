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

/** An address range written as `address/length`, or one address. */
export function cidrRange(cidr: string): CidrRange {
  const [addressPrefix = "", length] = cidr.split("/");
  const whole = addressPrefix.includes(":") ? 128 : 32;
  return { addressPrefix, prefixLen: length === undefined ? whole : Number(length) };
}
