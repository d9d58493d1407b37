import { KubeError } from "../kube";

/** Longest part of an answer's text that is quoted in an error. */
const QUOTED = 500;

interface StatusBody {
  readonly reason: string | undefined;
  readonly message: string | undefined;
  readonly retryAfter: number | undefined;
}

function parseStatus(body: string): StatusBody {
  try {
    const value = JSON.parse(body) as {
      reason?: unknown;
      message?: unknown;
      details?: { retryAfterSeconds?: unknown };
    } | null;
    const seconds = value?.details?.retryAfterSeconds;
    return {
      reason: typeof value?.reason === "string" ? value.reason : undefined,
      message: typeof value?.message === "string" ? value.message : undefined,
      retryAfter: typeof seconds === "number" && seconds > 0 ? seconds : undefined,
    };
  } catch {
    return { reason: undefined, message: undefined, retryAfter: undefined };
  }
}

function retryAfterSeconds(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return undefined;
  return Number(header);
}

/** What an answer of the API server that is not a success means; `what` names the request, without its query. */
export function answerError(
  what: string,
  answer: { readonly status: number; readonly body: string; readonly retryAfter: string | undefined },
): KubeError {
  const parsed = parseStatus(answer.body);
  const text = parsed.message ?? answer.body.slice(0, QUOTED);
  return new KubeError(
    answer.status,
    parsed.reason ?? `HTTP${answer.status}`,
    `${what}: ${answer.status} ${text}`.trim(),
    retryAfterSeconds(answer.retryAfter) ?? parsed.retryAfter,
  );
}

/** A failure to reach the API server or to read its answer (status 0). */
export function transportError(what: string, cause: unknown): KubeError {
  if (cause instanceof KubeError) return cause;
  const code = (cause as { code?: unknown } | undefined)?.code;
  const message = cause instanceof Error ? cause.message : String(cause);
  const error = new KubeError(0, typeof code === "string" ? code : "Unreachable", `${what}: ${message}`);
  error.cause = cause;
  return error;
}

/** The continuation or resource version is too old: only a fresh list helps. */
export function isExpired(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    (error.status === 410 || error.reason === "Expired" || error.reason === "Gone")
  );
}

/** The object or the collection does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.status === 404;
}

/** The API server does not allow it. */
export function isForbidden(error: unknown): boolean {
  return error instanceof KubeError && error.status === 403;
}

/** The object exists already, or was changed by somebody else meanwhile. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.status === 409;
}
