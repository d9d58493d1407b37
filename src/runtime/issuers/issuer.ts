/** Who issues the workloads' certificates, whichever way. */
import type { MeshRootCertificateSpec } from "../../api/mesh-root-certificate";
import type { CertificatePlan } from "../../certificate/plan";
import type { Wish } from "./turns";

/** A certificate with its key, PEM, as it is stored and served. */
export interface IssuedPair {
  /** The leaf, then the intermediates below the trust anchor, if there are any. */
  readonly certPem: string;
  readonly keyPem: string;
  /** As issued, epoch milliseconds. */
  readonly notAfter: number;
  /** Serial number, hexadecimal. */
  readonly serial: string;
}

/** An issuer that has been opened: what verifies its certificates is known. */
export interface Issuer {
  /** What verifies its certificates: the self-signed root, or the topmost certificate that is known; PEM. */
  readonly anchorsPem: string;
  /** Names the issuer in versions: 16 hexadecimal digits, the same in all replicas and over restarts. */
  readonly fingerprint: string;
  /**
   * Issues for a fresh P-256 key that never leaves this process; at once where the CA's key is here as well. Fails with an
   * IssuerError (or throws, where the plan itself is wrong); what it gives has been checked against the plan. The wish
   * counts where requests have to wait for their turns.
   */
  issue(plan: CertificatePlan, wish?: Wish): IssuedPair | Promise<IssuedPair>;
}

/** Who issues, as a MeshRootCertificate names him. */
export type Provider = MeshRootCertificateSpec["provider"];

/**
 * Opens the issuer of a provider for a trust domain; rejects with an IssuerError. Reads everything anew: what has changed
 * behind a provider since it was opened is seen by opening it again.
 */
export type OpenIssuer = (
  provider: Provider,
  trustDomain: string,
  /** Where the provider has several, the one of this fingerprint, if there is one; default the newest. */
  fingerprint?: string,
) => Promise<Issuer>;
