import { createPrivateKey, randomBytes, sign, X509Certificate } from "node:crypto";
import { assemble, readIssuer, serialOf, toBeSigned } from "../../src/certificate/der";
import {
  planControlPlane,
  planGateway,
  planServing,
  planWorkload,
  type CertificatePlan,
} from "../../src/certificate/plan";
import type { ServiceIdentity } from "../../src/model/identity";
import { ADS_SAN } from "../../src/model/mesh-words";
import { WEBHOOK_DNS_NAMES } from "../../src/install/names";
import {
  createRoot,
  keyPemOf,
  loadAuthority,
  newKey,
  type Authority,
} from "../../src/runtime/secrets/authority";

/** A certificate with its key, PEM. */
export interface Credentials {
  readonly certPem: string;
  readonly keyPem: string;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A mesh's CA whose key a test has. */
export interface TestAuthority extends Authority {
  readonly rootKeyPem: string;
}

/** A new CA. */
export function testAuthority(): TestAuthority {
  const root = createRoot(Date.now());
  return { ...loadAuthority(root.certPem, root.keyPem), rootKeyPem: root.keyPem };
}

/** Certificates of the mesh's own CA that are no workload's: each for a purpose of its own. */
export function otherPurposes(authority: Authority): Readonly<Record<string, Credentials>> {
  const lifetime = { now: Date.now(), validityMs: HOUR };
  const issue = (plan: CertificatePlan): Credentials => authority.issue(plan);
  return {
    "the ADS server's": issue(planServing([ADS_SAN], lifetime)),
    "the webhook's": issue(planServing(WEBHOOK_DNS_NAMES, lifetime)),
    "the control plane's own": issue(planControlPlane("osm-ledger.osm-system", lifetime)),
    "an ingress gateway's": issue(planGateway(["gateway.ingress.cluster.local"], lifetime)),
  };
}

/**
 * Certificates with which nobody is the workload `identity`, by what is wrong with them. All keys belong to their
 * certificates, and all but those of other CAs are signed by the mesh's own.
 */
export function wrongCertificates(
  authority: TestAuthority,
  identity: ServiceIdentity,
): Readonly<Record<string, Credentials>> {
  const now = Date.now();
  const good = planWorkload(identity, "cluster.local", { now, validityMs: HOUR });
  const at = (offset: number): CertificatePlan =>
    planWorkload(identity, "cluster.local", { now: now + offset, validityMs: HOUR });
  const issue = (change: Partial<CertificatePlan>): Credentials => authority.issue({ ...good, ...change });
  const other = testAuthority();
  const stranger = other.issue(good);
  const likely = planWorkload(identity, "cluster.local.evil", { now, validityMs: HOUR });
  const thief = authority.issue({ ...good, uris: ["spiffe://cluster.local/ns/shop/sa/thief"] });
  return {
    "of another CA": stranger,
    "of another CA, with ours sent along": { ...stranger, certPem: stranger.certPem + authority.certPem },
    "signed by itself": forged(good, undefined),
    expired: authority.issue(at(-DAY)),
    "not valid yet": authority.issue(at(DAY)),
    "without names": issue({ uris: [], dnsNames: [] }),
    "with OSM's DNS name alone": issue({ uris: [] }),
    "of a look-alike trust domain": authority.issue(likely),
    "with a URI that is no workload's": issue({ uris: ["spiffe://cluster.local/gateway"] }),
    "that is the CA's": { certPem: authority.certPem, keyPem: authority.rootKeyPem },
    "that is another CA's": { certPem: other.certPem, keyPem: other.rootKeyPem },
    "of a CA that a leaf plays": forged(good, thief),
  };
}

function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** A certificate that no CA has made: of a signer who has no right to. */
function forged(
  plan: CertificatePlan,
  signer: { readonly certPem: string; readonly keyPem: string } | undefined,
): Credentials {
  const { publicKey, privateKey } = newKey();
  const issuer = signer && readIssuer(new X509Certificate(signer.certPem).raw);
  const tbs = toBeSigned(plan, {
    issuerName: issuer?.name,
    issuerKeyId: issuer?.keyId,
    signature: "ecdsa-sha256",
    serial: serialOf(randomBytes(16)),
    publicKey,
    keyId: randomBytes(20),
  });
  const key = signer === undefined ? privateKey : createPrivateKey(signer.keyPem);
  const certPem = pem(assemble(tbs, "ecdsa-sha256", sign("sha256", tbs, key)));
  return { certPem: certPem + (signer?.certPem ?? ""), keyPem: keyPemOf(privateKey) };
}

/** A workload's certificate that may be used at one end only. */
export function oneEnded(
  authority: Authority,
  identity: ServiceIdentity,
  end: "server" | "client",
): Credentials {
  const plan = planWorkload(identity, "cluster.local", { now: Date.now(), validityMs: HOUR });
  return authority.issue({ ...plan, purpose: end === "server" ? "serving" : "gateway" });
}
