/** Why a stream is not let in. */
export type AuthenticationFailure =
  /** No or unusable evidence: it will not get better by waiting with the same evidence. */
  | "unauthenticated"
  /** The evidence is genuine but not for this mesh, pod or account. */
  | "denied"
  /** It cannot be decided now; the proxy should come again. */
  | "unavailable";

/** A refused proof. The message names what did not fit and never contains the evidence. */
export class AuthenticationError extends Error {
  constructor(
    readonly failure: AuthenticationFailure,
    message: string,
  ) {
    super(message);
    this.name = "AuthenticationError";
  }
}

/** A refusal to throw. */
export function refused(failure: AuthenticationFailure, message: string): AuthenticationError {
  return new AuthenticationError(failure, message);
}
