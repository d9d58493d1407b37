/** The built-in certificate authority: keys and signatures by node:crypto, certificates planned in src/certificate. */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from "node:crypto";
import {
  assemble,
  readIssuer,
  requestToBeSigned,
  serialOf,
  toBeSigned,
  type Issuance,
  type SignatureKind,
} from "../../certificate/der";
import { planRoot, planServing, type CertificatePlan } from "../../certificate/plan";
import { climb, earliestEnd, pemOf, readCertificates } from "../issuers/chain";
import type { IssuedPair, Issuer } from "../issuers/issuer";
import type { Subscription } from "../ports";

/** An issuer whose key is in this process: its certificate and the use of its key. */
export interface Authority extends Issuer {
  /** The certificate whose key signs. */
  readonly certPem: string;
  /** Epoch milliseconds: the earliest end in the chain up to the trust anchor. */
  readonly notAfter: number;
  /** Issues for a fresh P-256 key; the certificate never outlives its issuer. Throws for the plan of a root. */
  issue(plan: CertificatePlan): IssuedPair;
  /**
   * Certifies a key whose private half is elsewhere (SubjectPublicKeyInfo, DER); the chain, PEM. As for `issue`, it never
   * outlives its issuer, and the plan of a root throws.
   */
  certify(plan: CertificatePlan, publicKey: Uint8Array): string;
  /** Certifies another CA, so that who trusts this one believes its chains; PEM. `plan` is that of the other's own root. */
  crossSign(plan: CertificatePlan, publicKey: Uint8Array): string;
  /** Certificates that {@link Authority.issue} appends so that the CA before this one verifies them too; absent: none. */
  readonly crossPem?: string;
  /** Called when it has become another, or trusts others; absent: it never does. */
  onChange?(listener: () => void): Subscription;
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** A key pair to be certified. */
export interface FreshKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

/** A new P-256 key. */
export function newKey(): FreshKey {
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

/** A private key as it is stored and served: PKCS #8, PEM. */
export function keyPemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** A PKCS #10 request for the plan, PEM: the key proves itself, and stays here. */
export function requestPem(plan: CertificatePlan, { publicKey, privateKey }: FreshKey): string {
  const tbs = requestToBeSigned(plan, publicKey);
  const kind = signatureKindOf(privateKey);
  return pem("CERTIFICATE REQUEST", assemble(tbs, kind, sign("sha256", tbs, privateKey)));
}

function certificatePem(plan: CertificatePlan, issuance: Issuance, issuer: KeyObject): string {
  const tbs = toBeSigned(plan, issuance);
  return pem("CERTIFICATE", assemble(tbs, issuance.signature, sign("sha256", tbs, issuer)));
}

/** The key that signs and the key that is certified. */
interface Keys {
  readonly issuer: KeyObject;
  readonly own: KeyObject;
}

function signed(plan: CertificatePlan, issuance: Issuance, keys: Keys): IssuedPair {
  return {
    certPem: certificatePem(plan, issuance, keys.issuer),
    keyPem: keyPemOf(keys.own),
    notAfter: plan.notAfter,
    serial: Buffer.from(issuance.serial).toString("hex"),
  };
}

/** A new self-signed root with a fresh P-256 key. */
export function createRoot(now: number, commonName?: string): IssuedPair {
  const { publicKey, privateKey } = newKey();
  const issuance: Issuance = {
    issuerName: undefined,
    issuerKeyId: undefined,
    signature: "ecdsa-sha256",
    serial: serialOf(randomBytes(16)),
    publicKey,
    keyId: keyIdOf(publicKey),
  };
  return signed(planRoot(now, commonName), issuance, { issuer: privateKey, own: privateKey });
}

/**
 * An issuer from its stored certificate and key (EC or RSA). `certsPem` may hold the certificates above it, in any order:
 * the topmost is the trust anchor, those in between go with each leaf. Throws when they are unusable or do not belong together.
 */
export function loadAuthority(certsPem: string, keyPem: string): Authority {
  const key = createPrivateKey(keyPem);
  const all = readCertificates(certsPem);
  const certificate = all.find(each => each.checkPrivateKey(key));
  if (certificate === undefined) throw new Error("the private key does not belong to the certificate");
  if (!certificate.ca) throw new Error("the certificate is not a CA certificate");
  const { name, keyId } = readIssuer(certificate.raw);
  const signature = signatureKindOf(key);
  const chain = [certificate, ...climb(certificate, all)];
  const anchor = chain.at(-1) ?? certificate;
  const notAfter = earliestEnd(chain);
  const above = pemOf(chain.slice(0, -1));
  const bounded = (plan: CertificatePlan): CertificatePlan => {
    if (plan.purpose === "root") throw new Error("a root is not issued by another root");
    return { ...plan, notAfter: Math.min(plan.notAfter, notAfter) };
  };
  const issuanceFor = (publicKey: Uint8Array): Issuance => {
    const serial = serialOf(randomBytes(16));
    return { issuerName: name, issuerKeyId: keyId, signature, serial, publicKey, keyId: keyIdOf(publicKey) };
  };
  const issue = (plan: CertificatePlan): IssuedPair => {
    const within = bounded(plan);
    const { publicKey, privateKey } = newKey();
    const pair = signed(within, issuanceFor(publicKey), { issuer: key, own: privateKey });
    return { ...pair, certPem: pair.certPem + above };
  };
  const certify = (plan: CertificatePlan, publicKey: Uint8Array): string =>
    certificatePem(bounded(plan), issuanceFor(publicKey), key) + above;
  const crossSign = (plan: CertificatePlan, publicKey: Uint8Array): string => {
    const within = { ...plan, notAfter: Math.min(plan.notAfter, notAfter) };
    return certificatePem(within, issuanceFor(publicKey), key);
  };
  const fingerprint = createHash("sha256").update(certificate.raw).digest("hex").slice(0, 16);
  // A single certificate stays as it is written: the Secret's bytes are what proxies, gateways and versions have seen.
  const [certPem, anchorsPem] =
    all.length === 1 ? [certsPem, certsPem] : [pemOf([certificate]), pemOf([anchor])];
  return { certPem, anchorsPem, fingerprint, notAfter, issue, certify, crossSign };
}

/** A certificate for one of the control plane's own servers (ADS, webhook). */
export function issueServing(
  authority: Authority,
  dnsNames: readonly string[],
  lifetime: { readonly now: number; readonly validityMs: number },
): IssuedPair {
  return authority.issue(planServing(dnsNames, lifetime));
}
