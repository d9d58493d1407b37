/** Streams that are not accepted, and with which status. */
import { status } from "@grpc/grpc-js";
import { AuthenticationError } from "../identity/errors";

/** A stream that is not accepted although its proof is good. */
export class StreamRefused extends Error {
  /** The status says why, and the message how. */
  constructor(
    readonly code: status,
    message: string,
  ) {
    super(message);
    this.name = "StreamRefused";
  }
}

const FAILURE_CODES = {
  unauthenticated: status.UNAUTHENTICATED,
  denied: status.PERMISSION_DENIED,
  unavailable: status.UNAVAILABLE,
} as const;

/** Whether a stream was refused on purpose; anything else is a fault of ours, of which the proxy is told nothing. */
export function isRefusal(error: unknown): error is AuthenticationError | StreamRefused {
  return error instanceof AuthenticationError || error instanceof StreamRefused;
}

/** What a stream that failed with this error is answered. */
export function refusalOf(error: unknown): { readonly code: status; readonly details: string } {
  if (error instanceof AuthenticationError)
    return { code: FAILURE_CODES[error.failure], details: error.message };
  if (error instanceof StreamRefused) return { code: error.code, details: error.message };
  return { code: status.UNAVAILABLE, details: "the identity cannot be checked now" };
}
