import type { ServiceIdentity } from "../../src/model/identity";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Numbers in [0, 1) that a seed decides (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/**
 * Identities that Kubernetes allows, all different: namespaces are DNS labels of up to 63 characters, ServiceAccounts DNS
 * subdomains of up to 253, with dots and with parts longer than a DNS label may be.
 */
export function randomIdentities(count: number, seed: number): readonly ServiceIdentity[] {
  const random = numbersFrom(seed);
  const upTo = (most: number): number => 1 + Math.floor(random() * most);
  const letter = (): string => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? "a";
  const label = (most: number): string => {
    const inner = Array.from({ length: upTo(most) }, () => (random() < 0.1 ? "-" : letter()));
    return `${letter()}${inner.join("")}`.slice(0, most - 1) + letter();
  };
  const account = (): string => {
    const parts = Array.from({ length: upTo(4) }, () => label(random() < 0.2 ? 120 : 20));
    return parts.join(".").slice(0, 252) + letter();
  };
  const found = new Map<string, ServiceIdentity>();
  while (found.size < count) {
    const identity = { namespace: label(random() < 0.2 ? 63 : 15), serviceAccount: account() };
    found.set(`${identity.namespace}/${identity.serviceAccount}`, identity);
  }
  return [...found.values()];
}
