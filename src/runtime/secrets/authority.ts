/** The built-in certificate authority: keys and signatures by node:crypto, certificates planned in src/certificate. */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import {
  assemble,
  readIssuer,
  serialOf,
  toBeSigned,
  type Issuance,
  type SignatureKind,
} from "../../certificate/der";
import { planRoot, planServing, type CertificatePlan } from "../../certificate/plan";

/** A certificate with its key, PEM, as it is stored and served. */
export interface IssuedPair {
  readonly certPem: string;
  readonly keyPem: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
  /** Serial number, hexadecimal. */
  readonly serial: string;
}

/** An issuer: its certificate and the use of its key. */
export interface Authority {
  readonly certPem: string;
  /** First half of the SHA-256 of the certificate, hexadecimal: names the issuer in versions. */
  readonly fingerprint: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
  /** Issues for a fresh P-256 key; the certificate never outlives its issuer. Throws for the plan of a root. */
  issue(plan: CertificatePlan): IssuedPair;
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function newKey(): { readonly publicKey: Uint8Array; readonly privateKey: KeyObject } {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { publicKey: pair.publicKey.export({ type: "spki", format: "der" }), privateKey: pair.privateKey };
}

/** Identifier of a key: the leftmost 160 bits of the SHA-256 of its SubjectPublicKeyInfo (RFC 7093 §2). */
function keyIdOf(publicKey: Uint8Array): Uint8Array {
  return createHash("sha256").update(publicKey).digest().subarray(0, 20);
}

function signatureKindOf(key: KeyObject): SignatureKind {
  if (key.asymmetricKeyType === "ec") return "ecdsa-sha256";
  if (key.asymmetricKeyType === "rsa") return "rsa-sha256";
  throw new Error(`a CA key must be EC or RSA, not ${key.asymmetricKeyType ?? "a secret key"}`);
}

/** The key that signs and the key that is certified. */
interface Keys {
  readonly issuer: KeyObject;
  readonly own: KeyObject;
}

function signed(plan: CertificatePlan, issuance: Issuance, keys: Keys): IssuedPair {
  const tbs = toBeSigned(plan, issuance);
  const der = assemble(tbs, issuance.signature, sign("sha256", tbs, keys.issuer));
  return {
    certPem: pem("CERTIFICATE", der),
    keyPem: keys.own.export({ type: "pkcs8", format: "pem" }).toString(),
    notAfter: plan.notAfter,
    serial: Buffer.from(issuance.serial).toString("hex"),
  };
}

/** A new self-signed root with a fresh P-256 key. */
export function createRoot(now: number): IssuedPair {
  const { publicKey, privateKey } = newKey();
  const issuance: Issuance = {
    issuerName: undefined,
    issuerKeyId: undefined,
    signature: "ecdsa-sha256",
    serial: serialOf(randomBytes(16)),
    publicKey,
    keyId: keyIdOf(publicKey),
  };
  return signed(planRoot(now), issuance, { issuer: privateKey, own: privateKey });
}

/** An issuer from its stored certificate and key (EC or RSA). Throws when they are unusable or do not belong together. */
export function loadAuthority(certPem: string, keyPem: string): Authority {
  const certificate = new X509Certificate(certPem);
  const key = createPrivateKey(keyPem);
  if (!certificate.ca) throw new Error("the certificate is not a CA certificate");
  if (!certificate.checkPrivateKey(key))
    throw new Error("the private key does not belong to the certificate");
  const { name, keyId } = readIssuer(certificate.raw);
  const signature = signatureKindOf(key);
  const notAfter = Date.parse(certificate.validTo);
  const issue = (plan: CertificatePlan): IssuedPair => {
    if (plan.purpose === "root") throw new Error("a root is not issued by another root");
    const { publicKey, privateKey } = newKey();
    const serial = serialOf(randomBytes(16));
    const issuance = { issuerName: name, issuerKeyId: keyId, signature, serial, publicKey };
    const bounded = { ...plan, notAfter: Math.min(plan.notAfter, notAfter) };
    return signed(bounded, { ...issuance, keyId: keyIdOf(publicKey) }, { issuer: key, own: privateKey });
  };
  const fingerprint = createHash("sha256").update(certificate.raw).digest("hex").slice(0, 16);
  return { certPem, fingerprint, notAfter, issue };
}

/** A certificate for one of the control plane's own servers (ADS, webhook). */
export function issueServing(
  authority: Authority,
  dnsNames: readonly string[],
  lifetime: { readonly now: number; readonly validityMs: number },
): IssuedPair {
  return authority.issue(planServing(dnsNames, lifetime));
}
