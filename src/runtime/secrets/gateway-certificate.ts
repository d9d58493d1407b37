/** The client certificate of an ingress controller: when it has to be issued anew. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { IngressGateway } from "../../api/mesh-config";
import { BACKDATE_MS, planGateway } from "../../certificate/plan";
import { dueTime } from "../../certificate/rotation";
import type { GatewayMaterial } from "../../install/gateway-secret";
import { parseDuration } from "../../model/duration";
import type { Authority } from "./authority";

/** Used where a duration cannot be read, which validation prevents: a day, in milliseconds. */
const FALLBACK_MS = 86_400_000;
/** Certificates count in seconds. */
const SECOND_MS = 1_000;

/** What a gateway's certificate is issued with and judged by. */
export interface GatewayIssue {
  readonly gateway: IngressGateway;
  readonly authority: Authority;
  readonly now: number;
}

/** A new certificate for a gateway. */
export function issueGateway({ gateway, authority, now }: GatewayIssue): GatewayMaterial {
  const validityMs = parseDuration(gateway.validityDuration) ?? FALLBACK_MS;
  const { certPem, keyPem } = authority.issue(planGateway(gateway.subjectAltNames, { now, validityMs }));
  return { certPem, keyPem, rootsPem: authority.certPem };
}

/**
 * When the material has to be replaced, epoch milliseconds; `now` when it is not what is asked for: other names, another
 * life, another issuer, a key that is not its own.
 */
export function gatewayDue(material: GatewayMaterial, { gateway, authority, now }: GatewayIssue): number {
  try {
    const certificate = new X509Certificate(material.certPem);
    const issuedAt = Date.parse(certificate.validFrom) + BACKDATE_MS;
    const notAfter = Date.parse(certificate.validTo);
    const validityMs = parseDuration(gateway.validityDuration) ?? FALLBACK_MS;
    const wanted = Math.min(issuedAt + validityMs, authority.notAfter);
    const good =
      material.rootsPem === authority.certPem &&
      certificate.verify(new X509Certificate(authority.certPem).publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(material.keyPem)) &&
      certificate.subjectAltName === gateway.subjectAltNames.map(name => `DNS:${name}`).join(", ") &&
      Math.abs(wanted - notAfter) <= SECOND_MS;
    return good ? dueTime({ seed: certificate.serialNumber, issuedAt, notAfter }) : now;
  } catch {
    // Not a certificate, or not a key.
    return now;
  }
}
