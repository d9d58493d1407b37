import { generateKeyPairSync } from "node:crypto";
import { expect } from "chai";
import { AuthenticationError } from "../../../../src/runtime/identity/errors";
import { isSignedBy, parseToken, podClaims, readKeySet } from "../../../../src/runtime/identity/jwt";
import { ISSUER, podWords, TokenSigner, type Words } from "../../../support/signed-tokens";
import { TURNED_START } from "../../../support/turned-clock";

const signer = new TokenSigner("one");
const rsa = new TokenSigner("two", "RS256");
const other = new TokenSigner("one");

const encoded = (text: string): string => Buffer.from(text).toString("base64url");

/** How something is refused: `failure: message`. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof AuthenticationError) return `${error.failure}: ${error.message}`;
    throw error;
  }
  return "taken";
}

describe("a refusal", () => {
  it("is told apart from errors of ours by its name, where logs print it", () => {
    expect(String(new AuthenticationError("denied", "no"))).to.equal("AuthenticationError: no");
  });
});

describe("a token taken apart", () => {
  it("is its header's two words, what was signed, the signature and what it says", () => {
    const token = signer.sign({ a: 1 });
    const [header = "", payload = "", signature = ""] = token.split(".");
    const parsed = parseToken(token);
    expect(parsed).to.deep.include({
      keyId: "one",
      algorithm: "ES256",
      signedPart: `${header}.${payload}`,
      payload: { a: 1 },
    });
    expect(Buffer.from(parsed.signature).toString("base64url")).to.equal(signature);
  });

  it("has no key and no algorithm where those are no texts", () => {
    for (const header of [
      { alg: undefined, kid: undefined },
      { alg: 7, kid: 7 },
      { alg: null, kid: {} },
    ])
      expect(parseToken(signer.sign({}, header))).to.deep.include({ keyId: undefined, algorithm: "" });
  });

  const good = encoded("{}");
  const rows: readonly (readonly [string, string, string])[] = [
    ["two parts", `${good}.${good}`, "not three parts"],
    ["one part", good, "not three parts"],
    ["four parts", `${good}.${good}.${good}.${good}`, "not three parts"],
    ["a header that is no JSON", `${encoded("{")}.${good}.x`, "not JSON"],
    ["contents that are no JSON", `${good}.${encoded("}")}.x`, "not JSON"],
    ["a header that is a list", `${encoded("[]")}.${good}.x`, "not an object"],
    ["contents that are nothing", `${good}.${encoded("null")}.x`, "not an object"],
    ["contents that are a text", `${good}.${encoded('"x"')}.x`, "not an object"],
  ];
  for (const [what, token, why] of rows) {
    it(`is none with ${what}`, () => {
      expect(refusal(() => parseToken(token))).to.equal(`unauthenticated: malformed token: ${why}`);
    });
  }

  it("is looked at up to 16 KiB", () => {
    const long = `${good}.${good}.`.padEnd(16_384, "x");
    expect(refusal(() => parseToken(long))).to.equal("taken");
    expect(refusal(() => parseToken(`${long}x`))).to.equal("unauthenticated: malformed token: too long");
  });
});

describe("a set of keys", () => {
  const ids = (keys: readonly unknown[]): readonly string[] => [...readKeySet({ keys }).keys()];

  it("is none where it is no set", () => {
    for (const none of [undefined, null, "keys", [], [signer.jwk], {}, { keys: "x" }, { keys: signer.jwk }])
      expect(readKeySet(none).size).to.equal(0);
  });

  it("holds the keys that Kubernetes signs with, by their ids, each for one algorithm", () => {
    const keys = readKeySet({ keys: [signer.jwk, rsa.jwk] });
    expect([...keys].map(([id, { algorithm }]) => [id, algorithm])).to.deep.equal([
      ["one", "ES256"],
      ["two", "RS256"],
    ]);
  });

  it("leaves out what signs nothing that is accepted, and reads on", () => {
    const largeCurve = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" });
    const edwards = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
    const bad: readonly unknown[] = [
      { ...largeCurve, kid: "good but for its curve" },
      { ...edwards, kid: "good but for its kind" },
      // What a reader of its kind does not look at is no reason to take it.
      { ...edwards, kid: "good but for its kind, with another's curve beside", crv: "P-256" },
      null,
      "one",
      [],
      { ...signer.jwk, kid: undefined },
      { ...signer.jwk, kid: 1 },
      { ...signer.jwk, kid: "a", crv: "P-384" },
      { ...signer.jwk, kid: "b", kty: "OKP" },
      { ...rsa.jwk, kid: "c", kty: "oct" },
      // Of another kind, with a curve that would do.
      { ...rsa.jwk, kid: "d", kty: "OKP", crv: "P-256" },
      { ...signer.jwk, kid: "e", y: undefined },
      { ...rsa.jwk, kid: "f", alg: "ES256" },
      { ...rsa.jwk, kid: "g", alg: "RS512" },
      { ...signer.jwk, kid: "h", alg: "HS256" },
      { kid: "i", kty: "oct", k: "AAAA", alg: "HS256" },
    ];
    expect(ids([...bad, rsa.jwk])).to.deep.equal(["two"]);
    expect(
      ids([
        { ...rsa.jwk, alg: "RS256" },
        { ...signer.jwk, alg: "ES256" },
      ]),
    ).to.deep.equal(["two", "one"]);
  });
});

describe("a signature", () => {
  const isOf = (token: string, id: string): boolean => {
    const key = readKeySet({ keys: [signer.jwk, rsa.jwk] }).get(id);
    return key !== undefined && isSignedBy(parseToken(token), key);
  };

  it("is that of its key over just these words", () => {
    const token = signer.sign({ a: 1 });
    expect(isOf(token, "one")).to.equal(true);
    expect(isOf(rsa.sign({ a: 1 }), "two")).to.equal(true);
    const [header = "", , signature = ""] = token.split(".");
    expect(isOf(`${header}.${encoded('{"a":2}')}.${signature}`, "one")).to.equal(false);
    expect(isOf(`${token}AA`, "one")).to.equal(false);
    expect(isOf(other.sign({ a: 1 }), "one")).to.equal(false);
  });

  it("is by the algorithm of the key, whatever the token says", () => {
    for (const alg of ["none", "HS256", "RS256", "", undefined])
      expect(isOf(signer.sign({}, { alg }), "one"), alg).to.equal(false);
    expect(isOf(rsa.sign({}, { alg: "ES256" }), "two")).to.equal(false);
  });
});

describe("the claims of a token", () => {
  const claimsOf = (words: Words) => podClaims(parseToken(signer.sign(words)));

  it("name the pod, its account, who issued it for whom, and its time in milliseconds", () => {
    expect(claimsOf(podWords())).to.deep.equal({
      issuer: ISSUER,
      audiences: ["osm-mesh"],
      namespace: "shop",
      serviceAccount: "buyer",
      podName: "buyer-1",
      podUid: "uid-1",
      expiresAt: TURNED_START + 3_600_000,
      notBefore: TURNED_START,
    });
  });

  it("may name one audience without a list, and hold for ever before", () => {
    const claims = claimsOf(podWords({ aud: "osm-mesh", nbf: undefined, iss: undefined }));
    expect(claims).to.deep.include({ audiences: ["osm-mesh"], notBefore: 0, issuer: "" });
    expect(claimsOf(podWords({ aud: [1, "b"] })).audiences).to.deep.equal(["", "b"]);
    expect(claimsOf(podWords({ nbf: "soon" })).notBefore).to.equal(0);
  });

  it("have an end", () => {
    for (const exp of [undefined, null, "9999999999", true]) {
      const why = refusal(() => claimsOf(podWords({ exp })));
      expect(why, String(exp)).to.equal("unauthenticated: malformed token: no expiry");
    }
    // JSON that says more than a number can hold.
    const endless = `${encoded("{}")}.${encoded('{"exp":1e999}')}.`;
    expect(refusal(() => podClaims(parseToken(endless)))).to.contain("no expiry");
  });

  const unbound: readonly (readonly [string, Words])[] = [
    ["namespace", podWords({}, { namespace: undefined })],
    ["account", podWords({}, { serviceaccount: {} })],
    ["account that is an object", podWords({}, { serviceaccount: "buyer" })],
    ["name of a pod", podWords({}, { pod: { uid: "uid-1" } })],
    ["UID of a pod", podWords({}, { pod: { name: "buyer-1" } })],
    ["pod", podWords({}, { pod: undefined })],
    ["pod that is an object", podWords({}, { pod: ["buyer-1"] })],
    ["text for a UID", podWords({}, { pod: { name: "buyer-1", uid: 1 } })],
    ["words of Kubernetes", podWords({ "kubernetes.io": undefined })],
    ["words of Kubernetes that are an object", podWords({ "kubernetes.io": "shop" })],
  ];
  for (const [what, words] of unbound) {
    it(`are none of a pod without ${what}`, () => {
      expect(refusal(() => claimsOf(words))).to.equal("denied: the token is not bound to a pod");
    });
  }
});
