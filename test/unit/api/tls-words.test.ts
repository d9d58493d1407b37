import { expect } from "chai";
import { validateCustomObject } from "../../../src/api/kinds";
import { CIPHER_SUITES, ECDH_CURVES } from "../../../src/api/tls-words";
import { encodeLeaf } from "../../../src/envoy/encode";
import type { TlsParameters } from "../../../src/policy/types";
import { validate, type Verdict } from "../../support/envoy";
import { HTTP_PORT, INBOUND, INBOUND_TABLE, UPSTREAM } from "../envoy/leaves";

type Words = Partial<Pick<TlsParameters, "cipherSuites" | "ecdhCurves">>;

/** What the mesh's rules say of a MeshConfig with these words. */
function told(words: Words): readonly string[] {
  const object = { metadata: { name: "osm-mesh-config", namespace: "osm-system" }, spec: { sidecar: words } };
  return validateCustomObject("MeshConfig", object).map(({ severity, message }) => `${severity}: ${message}`);
}

/** What the real Envoy says of a client and a server that have them. */
function envoySays(words: Words): Promise<Verdict> {
  const some = { minVersion: "TLSv1_2", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] } as const;
  const tls: TlsParameters = { ...some, ...words };
  return validate([
    encodeLeaf({ ...UPSTREAM, tls }),
    encodeLeaf({ ...INBOUND, tls, ports: [HTTP_PORT] }),
    encodeLeaf(INBOUND_TABLE),
  ]);
}

const suites = (...names: readonly string[]): Words => ({ cipherSuites: names });
const curves = (...names: readonly string[]): Words => ({ ecdhCurves: names });

const [AES, CHACHA] = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];
const BOTH_NAMES = Object.entries(CIPHER_SUITES).flat();

const GOOD: readonly Words[] = [
  ...BOTH_NAMES.map(name => suites(name)),
  ...[...ECDH_CURVES.keys()].map(name => curves(name)),
  suites(...BOTH_NAMES),
  suites(`[${BOTH_NAMES.slice(0, 4).join("|")}]`),
  suites(`[${AES}]`),
  suites(`[${AES}|${CHACHA}]`, AES, CIPHER_SUITES[CHACHA] ?? ""),
  curves(...new Map([...ECDH_CURVES].map(([name, curve]) => [curve, name])).values()),
];

const BAD: readonly (readonly [Words, string])[] = [
  ...[
    "FOO",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "DHE-RSA-AES128-GCM-SHA256",
    AES.toLowerCase(),
    "-ALL",
    "[]",
    `${AES}|${CHACHA}`,
    `[${AES}|FOO]`,
    `[${AES}`,
    `!${AES}`,
    "",
  ].map(name => [suites(name), `spec.sidecar.cipherSuites[0] (${JSON.stringify(name)})`] as const),
  ...["FOO", "secp256r1", "P-224", "p-256", "P256", "X448", "x25519mlkem768", ""].map(
    name => [curves(name), "spec.sidecar.ecdhCurves[0] must be one of X25519, x25519, P-256,"] as const,
  ),
  ...[
    ["X25519", "X25519"],
    ["P-256", "prime256v1"],
    ["x25519", "X25519"],
  ].map(
    ([a = "", b = ""]) =>
      [curves(a, b), `spec.sidecar.ecdhCurves[1] ("${b}") is the same curve as "${a}" before it`] as const,
  ),
];

describe("cipher suites and curves", () => {
  it("are taken by the real Envoy, each that may be chosen, alone and together, by clients and servers", async () => {
    for (const words of GOOD) {
      expect(told(words), JSON.stringify(words)).to.deep.equal([]);
      const verdict = await envoySays(words);
      expect(verdict.ok, verdict.output).to.equal(true);
    }
  }).timeout(120_000);

  it("are refused with field, value and what may stand there where the real Envoy refuses them", async () => {
    for (const [words, says] of BAD) {
      const found = told(words);
      expect(found, JSON.stringify(words)).to.have.length(1);
      expect(found[0]).to.contain(`error: ${says}`);
      if (words.cipherSuites !== undefined) {
        for (const name of Object.keys(CIPHER_SUITES)) expect(found[0]).to.contain(name);
        expect(found[0]).to.contain("[a|b]");
      }
      // Envoy reads an empty word as none at all.
      if ([...(words.cipherSuites ?? []), ...(words.ecdhCurves ?? [])].includes("")) continue;
      const verdict = await envoySays(words);
      expect(verdict.ok, JSON.stringify(words)).to.equal(false);
      expect(verdict.output).to.match(/Failed to initialize (cipher suites|ECDH curves)/);
    }
  }).timeout(240_000);

  it("are refused where Envoy would read a word for a set of suites, which another Envoy may read otherwise", () => {
    for (const name of ["ALL", "HIGH", "DEFAULT", "ECDHE+AESGCM", "PSK-AES128-CBC-SHA"])
      expect(told(suites(name)), name).to.have.length(1);
  });
});
