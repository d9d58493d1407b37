/** The port to whoever signs certificates: this process, a Secret's key, HashiCorp Vault, cert-manager. */
import type { CertificatePlan } from "./plan";

/**
 * Why there is no certificate.
 *
 * - `unavailable`: nobody answers, not in time, or says that he is ill (5xx); worth another try soon.
 * - `refused`: an answer that says no (not allowed, no such role, denied); somebody has to change something.
 * - `garbage`: an answer that is no usable certificate for what was asked; it is never handed on.
 */
export type IssuerTrouble = "unavailable" | "refused" | "garbage";

/** No certificate, and why. The message names the issuer and never holds a token or a key. */
export class IssuerError extends Error {
  constructor(
    readonly trouble: IssuerTrouble,
    message: string,
  ) {
    super(message);
    this.name = "IssuerError";
  }
}

/** What an issuer is asked for. The private key stays with who asks. */
export interface IssueRequest {
  /** `notBefore` binds issuers with a key in this process only: others set their own, in their past. */
  readonly plan: CertificatePlan;
  /** SubjectPublicKeyInfo of the key to certify, DER. */
  readonly publicKey: Uint8Array;
  /** A PKCS #10 request for the plan, signed by that key, PEM; made on demand, for it costs a signature. */
  csrPem(): string;
}

/** What an issuer gives. */
export interface IssuedChain {
  /** The leaf, then the intermediates up to the trust anchor, which is not among them; PEM. */
  readonly chainPem: string;
  /** The roots that this chain ends in, PEM. */
  readonly anchorsPem: string;
  /** As issued, epoch milliseconds; earlier than planned where the issuer allows less. */
  readonly notAfter: number;
  /** Serial number of the leaf, lower-case hexadecimal. */
  readonly serial: string;
}

/** One who signs. Implementations reject with {@link IssuerError} and nothing else. */
export interface Issuer {
  /** Names the issuer in the version of a leaf: the same in all replicas, other for another issuer; 16 hexadecimal digits. */
  readonly id: string;
  /** For messages, like `Vault role openservicemesh at vault:8200`. */
  readonly title: string;
  /** Issues one certificate before the signal aborts; an abort rejects with `unavailable`. */
  issue(request: IssueRequest, signal: AbortSignal): Promise<IssuedChain>;
  /** The roots to trust for what it issues from now on, PEM: to be distributed before the first leaf. */
  anchors(signal: AbortSignal): Promise<string>;
}
