/** Certificates above certificates: from a leaf or an issuer up to what is trusted. */
import { X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** A chain with more than so many certificates is nobody's. */
const MAX_CERTIFICATES = 32;

/** The certificates in a PEM text, in its order. Throws when there are none, too many, or one cannot be read. */
export function readCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) throw new Error("there is no certificate in it");
  if (blocks.length > MAX_CERTIFICATES) throw new Error(`more than ${MAX_CERTIFICATES} certificates`);
  return blocks.map(block => new X509Certificate(block));
}

/** Certificates as one PEM text. */
export function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map(String).join("");
}

/** When the first of them ends, epoch milliseconds; infinity for none. */
export function earliestEnd(certificates: readonly X509Certificate[]): number {
  return Math.min(...certificates.map(each => Date.parse(each.validTo)));
}

function issued(parent: X509Certificate, child: X509Certificate): boolean {
  return parent.ca && child.checkIssued(parent) && child.verify(parent.publicKey);
}

/** The issuers of a certificate among the candidates, nearest first, as far up as they go; signatures are checked. */
export function climb(
  certificate: X509Certificate,
  candidates: readonly X509Certificate[],
): readonly X509Certificate[] {
  const path: X509Certificate[] = [];
  let current = certificate;
  while (!issued(current, current) && path.length < candidates.length) {
    const parent = candidates.find(candidate => !path.includes(candidate) && issued(candidate, current));
    if (parent === undefined) break;
    path.push(parent);
    current = parent;
  }
  return path;
}
