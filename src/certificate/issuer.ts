/** What is asked of whoever signs certificates, and how it fails. */
import type { CertificatePlan } from "./plan";

/**
 * Why there is no certificate.
 *
 * - `unavailable`: nobody answers, not in time, or answers that he cannot now (5xx); worth another try soon.
 * - `refused`: an answer that says no (not allowed, no such role, denied, no such Secret); somebody has to change something.
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

/** What a signer outside this process is asked for; the private key stays here. */
export interface SigningRequest {
  readonly plan: CertificatePlan;
  /** PKCS #10, signed by the key to certify, PEM. */
  readonly csrPem: string;
  /** Whole seconds from now to the planned end. */
  readonly lifetimeSeconds: number;
}

/** What a signer answers, taken at its word by nobody. */
export interface SignerAnswer {
  /** PEM, the leaf first; what follows are CA certificates in any order. */
  readonly certificatesPem: string;
}

/** A signer outside this process. Rejects with {@link IssuerError} and nothing else. */
export interface Signer {
  /** For messages, like `Vault role openservicemesh at vault:8200`. */
  readonly title: string;
  /** When the signal aborts, rejects with `unavailable` and leaves nothing behind. */
  sign(request: SigningRequest, signal: AbortSignal): Promise<SignerAnswer>;
}
