import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { TOKEN_AUDIENCE } from "../../src/model/mesh-words";
import type { KubeClient } from "../../src/runtime/kube";
import { KubeError } from "../../src/runtime/kube";
import { TURNED_START } from "./turned-clock";

/** What a token says, or what stands before it; everything may be wrong. */
export type Words = Readonly<Record<string, unknown>>;

/** Who issues the tokens of these tests. */
export const ISSUER = "https://kubernetes.default.svc";

const encoded = (words: unknown): string => Buffer.from(JSON.stringify(words)).toString("base64url");

/** A key that signs tokens, as a cluster has it; no API server is needed to look at what is signed. */
export class TokenSigner {
  private readonly privateKey: KeyObject;
  /** What the cluster publishes of it. */
  readonly jwk: Words;

  public constructor(
    readonly keyId: string,
    readonly algorithm: "RS256" | "ES256" = "ES256",
  ) {
    const { privateKey, publicKey } =
      algorithm === "RS256"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.privateKey = privateKey;
    this.jwk = { ...publicKey.export({ format: "jwk" }), kid: keyId };
  }

  /** A compact token with these claims; `header` says what is otherwise about it. */
  sign(claims: unknown, header: Words = {}): string {
    const signed = `${encoded({ alg: this.algorithm, kid: this.keyId, ...header })}.${encoded(claims)}`;
    const key = { key: this.privateKey, dsaEncoding: "ieee-p1363" } as const;
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  }
}

/** Claims of a token that a kubelet has got at the beginning of the turned clock for the pod `buyer-1`; for an hour. */
export function podWords(change: Words = {}, bound: Words = {}): Words {
  const seconds = TURNED_START / 1000;
  return {
    iss: ISSUER,
    aud: [TOKEN_AUDIENCE],
    exp: seconds + 3600,
    nbf: seconds,
    "kubernetes.io": {
      namespace: "shop",
      pod: { name: "buyer-1", uid: "uid-1" },
      serviceaccount: { name: "buyer" },
      ...bound,
    },
    ...change,
  };
}

/** The two documents in which a cluster publishes its keys, at a client of the API that counts what it is asked. */
export class PublishedDocuments implements Pick<KubeClient, "get"> {
  readonly asked: string[] = [];
  /** Of every request from now on: the status that it fails with; undefined: it is answered. */
  failsWith: number | undefined;
  /** What every answer waits for. */
  held: Promise<void> = Promise.resolve();
  issuer: unknown = ISSUER;
  keys: readonly unknown[];

  public constructor(...signers: readonly TokenSigner[]) {
    this.keys = signers.map(({ jwk }) => jwk);
  }

  /** How often the keys were fetched. */
  get fetches(): number {
    return this.asked.filter(path => path === "/openid/v1/jwks").length;
  }

  async get<T>(path: string): Promise<T> {
    this.asked.push(path);
    await this.held;
    if (this.failsWith !== undefined) throw new KubeError(this.failsWith, "Failure", "no");
    const answer = path === "/openid/v1/jwks" ? { keys: this.keys } : { issuer: this.issuer };
    return answer as T;
  }
}
