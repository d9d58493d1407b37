/** Addresses for what has none yet: of networks that are for benchmarks (RFC 2544), so nothing real has them. */
const SERVICES = "198.18";
const PODS = "198.19";

/** Gives addresses; who has asked before is given the same again, so two worlds can be compared. */
export interface Addresses {
  /** Of a Service, by its key. */
  service(key: string): string;
  /** Of a pod, by its key. */
  pod(key: string): string;
}

/** Addresses of one comparison. */
export function createAddresses(): Addresses {
  return { service: counter(SERVICES), pod: counter(PODS) };
}

function counter(network: string): (key: string) => string {
  const known = new Map<string, string>();
  return key => {
    const number = known.size + 1;
    const address = known.get(key) ?? `${network}.${number >> 8}.${number % 256}`;
    known.set(key, address);
    return address;
  };
}
