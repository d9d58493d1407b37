import { request } from "./web";

/** How a knock ended, printed as JSON on one line. */
export interface KnockResult {
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number;
  /** The answering program, where it says so. */
  readonly identity?: string;
  /** Why there was no answer. */
  readonly error?: string;
}

/**
 * One request made from inside a pod, for whoever looks in with `kubectl exec`: `knock URL [marker]`. The marker travels
 * as a header, in plain letters as far as the application is concerned.
 */
export async function knock(args: readonly string[]): Promise<KnockResult> {
  const [url = "", marker] = args;
  const headers = marker === undefined ? {} : { "x-marker": marker };
  try {
    const reply = await request({ url, headers, timeoutMs: 5_000, fresh: true });
    const identity = reply.headers["identity"];
    return { status: reply.status, ...(typeof identity === "string" ? { identity } : {}) };
  } catch (error) {
    return { status: 0, error: error instanceof Error ? error.message || error.name : String(error) };
  }
}
