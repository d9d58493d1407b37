/** The second way into ADS: the proxy of an ExternalWorkload, by the client certificate that was issued to its key. */
import { X509Certificate } from "node:crypto";
import { parseExternalProxyUri, type ExternalProxyName } from "../../model/external-proxy";
import type { AuthenticatedProxy, LivePod } from "../ports";
import { isKeyOf } from "../secrets/external-certificate";
import { refused } from "./errors";

/** What a client certificate says. */
export interface ExternalEvidence {
  readonly name: ExternalProxyName;
  readonly certificate: X509Certificate;
}

/** The one URI name of a certificate; undefined: none, several, or a CA's. */
export function onlyUri(certificate: X509Certificate): string | undefined {
  // The platform quotes a name that holds a comma or a quote, so a split cannot be talked into a second name.
  const names = (certificate.subjectAltName ?? "").split(", ");
  const [uri, ...others] = names.filter(name => name.startsWith("URI:"));
  if (others.length > 0 || certificate.ca) return undefined;
  return uri?.slice("URI:".length);
}

/**
 * Whose proxy a client certificate, which the TLS layer has verified, speaks for; undefined: it is of another purpose, and
 * proves nothing here. Certificates of this purpose are issued by the control plane alone.
 */
export function externalOf(der: Uint8Array | undefined): ExternalEvidence | undefined {
  if (der === undefined) return undefined;
  const certificate = new X509Certificate(der);
  const uri = onlyUri(certificate);
  const name = uri === undefined ? undefined : parseExternalProxyUri(uri);
  return name && { name, certificate };
}

/**
 * Joins the certificate with the object as it is now: it must be that very object, and name the key that the certificate is
 * for, so that another key there, or no object, ends the use of every certificate issued before.
 */
export function proveExternal(
  { name, certificate }: ExternalEvidence,
  workload: LivePod,
  now: number,
): AuthenticatedProxy {
  const { namespace, serviceAccount, uid, publicKey } = workload;
  const same = uid === name.uid && workload.name === name.name && namespace === name.namespace;
  if (!same || publicKey === undefined) {
    throw refused("denied", "the client certificate is not of the ExternalWorkload it names");
  }
  if (!isKeyOf(certificate, publicKey))
    throw refused("denied", "the ExternalWorkload names another public key");
  if (!workload.sidecar) throw refused("denied", "the ExternalWorkload has no certificate");
  if (!workload.meshed) {
    throw refused("denied", "the namespace of the ExternalWorkload does not belong to this mesh");
  }
  const expiresAt = Date.parse(certificate.validTo);
  if (expiresAt <= now) throw refused("unauthenticated", "the client certificate has expired");
  return { identity: { namespace, serviceAccount }, podUid: uid, podName: name.name, expiresAt };
}
