/** JSON Web Tokens of Kubernetes service accounts (RFC 7515, 7517, 7519), checked with published keys. */
import { createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { AuthenticationError } from "./errors";

/** Longest token that is looked at, bytes; a kubelet's token has about 1,200. */
const MAX_TOKEN_LENGTH = 16_384;
/** Tolerated difference between the clocks of API server and control plane, milliseconds. */
export const LEEWAY_MS = 10_000;

/** Signature algorithms of Kubernetes; anything else, above all `none` and HMAC, is refused. */
type Algorithm = "RS256" | "ES256";

/** A key that may sign tokens. */
export interface VerificationKey {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}

/** What a pod-bound token says. */
export interface PodClaims {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  /** Epoch milliseconds. */
  readonly notBefore: number;
}

/** A token taken apart; nothing in it is proven yet. */
export interface ParsedToken {
  readonly keyId: string | undefined;
  readonly algorithm: string;
  readonly signedPart: string;
  readonly signature: Uint8Array;
  readonly payload: Readonly<Record<string, unknown>>;
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function part(value: unknown, name: string): Json {
  const found = isObject(value) ? value[name] : undefined;
  return isObject(found) ? found : {};
}

function malformed(what: string): AuthenticationError {
  return new AuthenticationError("unauthenticated", `malformed token: ${what}`);
}

function decodeJson(segment: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
  } catch {
    throw malformed("not JSON");
  }
  if (!isObject(value)) throw malformed("not an object");
  return value;
}

/** Takes a compact token apart. Throws {@link AuthenticationError} when it is not one. */
export function parseToken(token: string): ParsedToken {
  if (token.length > MAX_TOKEN_LENGTH) throw malformed("too long");
  const [header, payload, signature, ...rest] = token.split(".");
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) {
    throw malformed("not three parts");
  }
  const { alg, kid } = decodeJson(header);
  return {
    keyId: typeof kid === "string" ? kid : undefined,
    algorithm: typeof alg === "string" ? alg : "",
    signedPart: `${header}.${payload}`,
    signature: Buffer.from(signature, "base64url"),
    payload: decodeJson(payload),
  };
}

/** The usable keys of a JSON Web Key Set by key id; others are left out. */
export function readKeySet(keySet: unknown): ReadonlyMap<string, VerificationKey> {
  const keys = new Map<string, VerificationKey>();
  const list = isObject(keySet) && Array.isArray(keySet["keys"]) ? (keySet["keys"] as unknown[]) : [];
  for (const item of list) {
    if (!isObject(item) || typeof item["kid"] !== "string") continue;
    const algorithm = algorithmOf(item);
    if (algorithm === undefined) continue;
    try {
      keys.set(item["kid"], { algorithm, key: createPublicKey({ key: item as JsonWebKey, format: "jwk" }) });
    } catch {
      // A key this platform cannot read signs nothing that we accept.
    }
  }
  return keys;
}

function algorithmOf(jwk: Json): Algorithm | undefined {
  const kind =
    jwk["kty"] === "RSA" ? "RS256" : jwk["kty"] === "EC" && jwk["crv"] === "P-256" ? "ES256" : undefined;
  return jwk["alg"] === undefined || jwk["alg"] === kind ? kind : undefined;
}

/** Whether the token's signature is of that key. The algorithm is the key's, never the token's choice. */
export function isSignedBy(token: ParsedToken, key: VerificationKey): boolean {
  if (token.algorithm !== key.algorithm) return false;
  const data = Buffer.from(token.signedPart, "utf8");
  return verify("sha256", data, { key: key.key, dsaEncoding: "ieee-p1363" }, token.signature);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function millisecondsOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value * 1000 : undefined;
}

/** The claims of a pod-bound token. Throws {@link AuthenticationError} when it is bound to no pod or never expires. */
export function podClaims(token: ParsedToken): PodClaims {
  const { payload } = token;
  const bound = part(payload, "kubernetes.io");
  const pod = part(bound, "pod");
  const audience = payload["aud"];
  const expiresAt = millisecondsOf(payload["exp"]);
  if (expiresAt === undefined) throw malformed("no expiry");
  const claims: PodClaims = {
    issuer: textOf(payload["iss"]),
    audiences: (Array.isArray(audience) ? (audience as unknown[]) : [audience]).map(textOf),
    namespace: textOf(bound["namespace"]),
    serviceAccount: textOf(part(bound, "serviceaccount")["name"]),
    podName: textOf(pod["name"]),
    podUid: textOf(pod["uid"]),
    expiresAt,
    notBefore: millisecondsOf(payload["nbf"]) ?? 0,
  };
  const { namespace, serviceAccount, podName, podUid } = claims;
  if ([namespace, serviceAccount, podName, podUid].includes("")) {
    throw new AuthenticationError("denied", "the token is not bound to a pod");
  }
  return claims;
}
