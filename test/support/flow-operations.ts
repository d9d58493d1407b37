/** A request of a flow, over. Times are of the machine's clock, in milliseconds. */
export interface FlowOutcome {
  readonly begunAt: number;
  readonly endedAt: number;
  /** Its path, which the access logs show. */
  readonly path: string;
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;
  /** Why there was no answer, or the body of one that is no success. */
  readonly what: string;
}

/** Requests without end, each on a connection of its own; implemented by flow-app.ts. */
export interface FlowOperations {
  serve(port: number): Promise<void>;
  /** Begins; the name is that of {@link take}, and stands in each path. */
  begin(flow: {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly everyMs: number;
  }): Promise<void>;
  /** What has ended since the last time, by flow. */
  take(): Promise<Readonly<Record<string, readonly FlowOutcome[]>>>;
}
