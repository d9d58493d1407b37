/** The client certificate of an ingress controller: when it has to be issued anew. */
import { createPrivateKey, type X509Certificate } from "node:crypto";
import type { IngressGateway } from "../../api/mesh-config";
import { BACKDATE_MS, planGateway } from "../../certificate/plan";
import type { GatewayTrust } from "../../certificate/root-proof";
import { dueTime } from "../../certificate/rotation";
import type { GatewayMaterial } from "../../install/gateway-secret";
import { parseDuration } from "../../model/duration";
import { climb, readCertificates } from "../issuers/chain";
import type { WorkloadRoots } from "./workload-secrets";

/** Used where a duration cannot be read, which validation prevents: a day, in milliseconds. */
const FALLBACK_MS = 86_400_000;
/** Certificates count in seconds. */
const SECOND_MS = 1_000;

/** What a gateway's certificate is issued with and judged by. */
export interface GatewayIssue {
  readonly gateway: IngressGateway;
  readonly roots: WorkloadRoots;
  readonly now: number;
}

/** A new certificate for a gateway. Rejects with an IssuerError. */
export async function issueGateway({ gateway, roots, now }: GatewayIssue): Promise<GatewayMaterial> {
  const validityMs = parseDuration(gateway.validityDuration) ?? FALLBACK_MS;
  const plan = planGateway(gateway.subjectAltNames, { now, validityMs });
  const { certPem, keyPem } = await roots.issuer.issue(plan);
  return { certPem, keyPem, rootsPem: roots.trustPem };
}

/** The leaf, if it is of the issuer's root; undefined otherwise. Throws when something is no certificate. */
function leafOf(certPem: string, { issuer }: WorkloadRoots): X509Certificate | undefined {
  const [leaf, ...others] = readCertificates(certPem);
  if (leaf === undefined) return undefined;
  const anchors = readCertificates(issuer.anchorsPem);
  const path = climb(leaf, [...anchors, ...others]);
  const known = new Set(anchors.map(({ fingerprint256 }) => fingerprint256));
  return path.some(({ fingerprint256 }) => known.has(fingerprint256)) ? leaf : undefined;
}

/** How much earlier than now the certificates of issuers elsewhere begin, at most, milliseconds: Vault's by 30 s. */
const FOREIGN_BACKDATE_MS = 5 * 60_000;

/** When an issuer of ours ends, epoch milliseconds; undefined: it is elsewhere, and nobody knows. */
function endOf({ issuer }: WorkloadRoots): number | undefined {
  return "notAfter" in issuer && typeof issuer.notAfter === "number" ? issuer.notAfter : undefined;
}

/**
 * When a certificate was issued at the earliest, epoch milliseconds: it is renewed too soon rather than too late. Ours begin
 * {@link BACKDATE_MS} before they are made.
 */
function issuedAfter({ validFrom }: { readonly validFrom: string }, roots: WorkloadRoots): number {
  return Date.parse(validFrom) + (endOf(roots) === undefined ? 0 : BACKDATE_MS);
}

/** Whether the certificate ends when it should; an issuer elsewhere may have given less than was asked for. */
function hasLife(notAfter: number, asked: number, roots: WorkloadRoots): boolean {
  const end = endOf(roots);
  if (end === undefined) return notAfter <= asked + FOREIGN_BACKDATE_MS + SECOND_MS;
  return Math.abs(Math.min(asked, end) - notAfter) <= SECOND_MS;
}

/**
 * When the material has to be replaced, epoch milliseconds; `now` when it is not what is asked for: other names, another
 * life, another issuer, other roots, a key that is not its own.
 */
export function gatewayDue(material: GatewayMaterial, { gateway, roots, now }: GatewayIssue): number {
  try {
    const certificate = leafOf(material.certPem, roots);
    if (certificate === undefined) return now;
    const issuedAt = issuedAfter(certificate, roots);
    const notAfter = Date.parse(certificate.validTo);
    const validityMs = parseDuration(gateway.validityDuration) ?? FALLBACK_MS;
    const good =
      material.rootsPem === roots.trustPem &&
      certificate.checkPrivateKey(createPrivateKey(material.keyPem)) &&
      certificate.subjectAltName === gateway.subjectAltNames.map(name => `DNS:${name}`).join(", ") &&
      hasLife(notAfter, issuedAt + validityMs, roots);
    return good ? dueTime({ seed: certificate.serialNumber, issuedAt, notAfter }) : now;
  } catch {
    // Not a certificate, or not a key.
    return now;
  }
}

/** What the material proves about a rotation: nothing, unless its roots and its issuer are the present ones. */
export function gatewayTrust(material: GatewayMaterial, { roots }: GatewayIssue): GatewayTrust {
  try {
    const leaf = leafOf(material.certPem, roots);
    return {
      trust: material.rootsPem === roots.trustPem ? roots.trustVersion.split("+") : [],
      issuing: leaf && roots.issuer.fingerprint,
      since: leaf === undefined ? Infinity : issuedAfter(leaf, roots),
    };
  } catch {
    return { trust: [], issuing: undefined, since: Infinity };
  }
}
