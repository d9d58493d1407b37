import { KubeError } from "../runtime/kube";

/** What the command says to the shell: all is well, it failed, it was called in a way that makes no sense, or a request is refused. */
export const EXIT = { ok: 0, failed: 1, usage: 2, refused: 3 } as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Something the user can mend; the message names object and field. Shown in one line, without a stack. */
export class CommandError extends Error {
  constructor(
    message: string,
    /** Default 1. */
    readonly exitCode: ExitCode = EXIT.failed,
  ) {
    super(message);
    this.name = "CommandError";
  }
}

/** A call of the command that makes no sense; exit code 2. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, EXIT.usage);
    this.name = "UsageError";
  }
}

const HTTP_PREFIX = /^[A-Z]+ \/\S*: \d{3} /;

function kubeWords(error: KubeError): string {
  if (error.status === 0) return `the API server does not answer: ${error.message}`;
  if (error.status === 401) return "the API server does not know you (401); is your kubeconfig still good?";
  return error.message.replace(HTTP_PREFIX, "");
}

/** An error in one line; `verbose` adds the request it came from and its causes, never a stack. */
export function failureWords(error: unknown, verbose: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const words = error instanceof KubeError && !verbose ? kubeWords(error) : error.message;
  const cause = verbose && error.cause !== undefined ? ` (${failureWords(error.cause, true)})` : "";
  return `${words}${cause}`;
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CommandError ? error.exitCode : EXIT.failed;
}
