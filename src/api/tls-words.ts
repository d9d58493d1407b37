/** The cipher suites and curves that may be chosen for TLS: what the pinned Envoy takes, which refuses every other word. */

import * as is from "./field";

/**
 * Suites of TLS 1.2 and older with a certificate, by Envoy's name, and what the registry of IANA calls them; Envoy takes
 * both. Suites of a shared secret are left out: nobody in a mesh has one. Held against the real Envoy by a test.
 */
export const CIPHER_SUITES: Readonly<Record<string, string>> = {
  "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
  "ECDHE-ECDSA-AES128-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
  "ECDHE-ECDSA-AES256-SHA": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
  "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
  "ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
  "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
  "ECDHE-RSA-AES256-SHA": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
  "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
  "AES256-GCM-SHA384": "TLS_RSA_WITH_AES_256_GCM_SHA384",
  "AES128-SHA": "TLS_RSA_WITH_AES_128_CBC_SHA",
  "AES256-SHA": "TLS_RSA_WITH_AES_256_CBC_SHA",
  "DES-CBC3-SHA": "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
};

/** Curves by the names that Envoy takes, and the curve that each is: some have two names. Held against the real Envoy by a test. */
export const ECDH_CURVES: ReadonlyMap<string, string> = new Map([
  ["X25519", "X25519"],
  ["x25519", "X25519"],
  ["P-256", "P-256"],
  ["prime256v1", "P-256"],
  ["P-384", "P-384"],
  ["secp384r1", "P-384"],
  ["P-521", "P-521"],
  ["secp521r1", "P-521"],
  ["X25519MLKEM768", "X25519MLKEM768"],
  ["MLKEM1024", "MLKEM1024"],
]);

const SUITE_NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(CIPHER_SUITES),
  ...Object.values(CIPHER_SUITES),
]);

const SUITE_WORDS =
  `must be the name of a cipher suite of TLS 1.2 (those of TLS 1.3 cannot be chosen): ` +
  `${Object.keys(CIPHER_SUITES).join(", ")}; or such a suite's name of IANA (TLS_ECDHE_…), or several that are ` +
  `equally good, as [a|b]`;

/** A name of {@link CIPHER_SUITES}, or several as `[a|b]`: the client chooses among them. */
export const cipherSuite: is.Check = (value, place) => {
  const names = typeof value === "string" ? (/^\[(.*)\]$/.exec(value)?.[1] ?? value).split("|") : [];
  const grouped = typeof value === "string" && value.startsWith("[");
  if (names.length > 0 && names.every(name => SUITE_NAMES.has(name)) && (grouped || names.length === 1))
    return;
  place.error(`(${is.quote(value)}) ${SUITE_WORDS}`);
};

const curve = is.word(...ECDH_CURVES.keys());

/** A list of names of {@link ECDH_CURVES}. Envoy refuses one that names a curve twice, by whatever names. */
export const ecdhCurves: is.Check = (value, place) => {
  is.list(curve)(value, place);
  const first = new Map<string, unknown>();
  for (const [index, name] of is.itemsOf(value).entries()) {
    const known = typeof name === "string" ? ECDH_CURVES.get(name) : undefined;
    if (known === undefined) continue;
    const before = first.get(known);
    if (before === undefined) first.set(known, name);
    else place.at(index).error(`(${is.quote(name)}) is the same curve as ${is.quote(before)} before it`);
  }
};
