/** The client certificate of an external proxy: when one is due, and its making. Nothing in it is secret. */
import { createPublicKey, X509Certificate } from "node:crypto";
import { BACKDATE_MS, planExternal } from "../../certificate/plan";
import { dueTime } from "../../certificate/rotation";
import { externalProxyUri, type ExternalProxyName } from "../../model/external-proxy";
import type { Authority } from "./authority";

/** Life of a client certificate: a day, in milliseconds; the next one is issued at half of it at the latest. */
export const EXTERNAL_VALIDITY_MS = 86_400_000;

/** From a CA that is about to end come ever shorter lives: no reason to do nothing else, milliseconds. */
const LEAST_MS = 60_000;

/** What stands in the status of an ExternalWorkload. */
export interface ProxyMaterial {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** What verifies the control plane, PEM. */
  readonly trust: string;
  /** RFC 3339. */
  readonly notAfter: string;
}

/** An ExternalWorkload as its certificate is decided by. */
export interface ExternalProxyRequest extends ExternalProxyName {
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
  /** What has been issued before, whoever wrote it; undefined: nothing. */
  readonly held: Partial<ProxyMaterial> | undefined;
}

/**
 * When the next certificate is due, epoch milliseconds: at half of the life of the one that is held, whatever that is, and at
 * least a minute after its issue. The past: none is held that is for this key, this very object and of this authority.
 */
export function externalDue(request: ExternalProxyRequest, authority: Authority, trust: string): number {
  const { held } = request;
  if (held?.certificate === undefined || held.trust !== trust) return 0;
  try {
    const certificate = new X509Certificate(held.certificate);
    const issuer = new X509Certificate(authority.certPem);
    const same =
      isKeyOf(certificate, request.publicKey) &&
      certificate.subjectAltName === `URI:${externalProxyUri(request)}` &&
      certificate.verify(issuer.publicKey);
    return same ? renewalOf(certificate) : 0;
  } catch {
    return 0;
  }
}

function renewalOf({ serialNumber, validFrom, validTo }: X509Certificate): number {
  const issuedAt = Date.parse(validFrom) + BACKDATE_MS;
  const due = dueTime({ seed: serialNumber, issuedAt, notAfter: Date.parse(validTo) });
  return Math.max(due, issuedAt + LEAST_MS);
}

/** Whether a certificate is for a key (SubjectPublicKeyInfo, DER in base64), however that is written. */
export function isKeyOf(certificate: X509Certificate, publicKey: string): boolean {
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return key.equals(Buffer.from(publicKey, "base64"));
}

/** Issues the certificate for the key that the object names. Throws where the key is none. */
export function issueExternal(
  request: ExternalProxyRequest,
  issuer: { readonly authority: Authority; readonly trust: string; readonly now: number },
): ProxyMaterial {
  const { authority, trust, now } = issuer;
  const publicKey = Buffer.from(request.publicKey, "base64");
  createPublicKey({ key: publicKey, format: "der", type: "spki" });
  const plan = planExternal(request, { now, validityMs: EXTERNAL_VALIDITY_MS });
  const certificate = authority.certify(plan, publicKey);
  return {
    certificate,
    trust,
    notAfter: new Date(new X509Certificate(certificate).validTo).toISOString().replace(".000Z", "Z"),
  };
}
