/** What is asked for, again and again. */
export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /**
   * Requests begun each second, whether those before have been answered or not, unless as many as this are open: then those
   * that are due are left out.
   */
  readonly perSecond: number;
  /** HTTP/1.1 on a connection for each request, HTTP/1.1 on kept connections, or HTTP/2 on one connection. */
  readonly connections: "fresh" | "kept" | "http2";
}

/** A request that was not answered 200. Times are of the machine's clock, in milliseconds. */
export interface LoadFailure {
  readonly begunAt: number;
  readonly endedAt: number;
  readonly what: string;
}

/** What has become of a load. Every request begun is counted, as allowed or failed. */
export interface LoadResult {
  readonly begun: number;
  /** Requests that were due while too many were open; none on a machine that keeps up. */
  readonly leftOut: number;
  readonly allowed: number;
  readonly failures: readonly LoadFailure[];
  /** When the last request that was answered 200 was begun, and when it was answered; 0: none was. */
  readonly lastAllowedBegunAt: number;
  readonly lastAllowedAt: number;
  readonly slowestMs: number;
  /** The longest that the generator itself did not get to run: a slower answer than this is not the machine's fault. */
  readonly heldUpMs: number;
}

/** A load generator; implemented by load-app.ts. */
export interface LoadOperations {
  /** Begins; the number is that of {@link stop}. */
  start(plan: LoadPlan): Promise<number>;
  /** How many of its requests have been answered 200 so far. */
  allowed(load: number): Promise<number>;
  /** Begins no more requests, waits for the answers to those begun, and tells. */
  stop(load: number): Promise<LoadResult>;
}
