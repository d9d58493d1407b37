/** Access to the Kubernetes API as the shell uses it: one shared connection pool, errors as {@link KubeError}. */

/** An API object with the fields every object has. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly Readonly<Record<string, unknown>>[];
  };
}

/** An answer of the API server that is not a success, or a failure to reach it (status 0). */
export class KubeError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    /** Seconds the server asked to wait, for 429 and 503. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = "KubeError";
  }
}

/** One watch event as it arrives. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubeObject & Readonly<Record<string, unknown>>;
}

/** Paths are API paths with query, like `/api/v1/namespaces/osm-system/secrets/osm-ca-bundle`. */
export interface KubeClient {
  get<T>(path: string): Promise<T>;
  /** POST. 409 when it exists. */
  create<T>(path: string, body: T): Promise<T>;
  /** Server-side apply, forced, with the given field manager. `path` names the object. */
  apply<T>(path: string, body: T, fieldManager: string): Promise<T>;
  /** JSON merge patch; `path` may end in `/status`. */
  mergePatch<T>(path: string, body: unknown): Promise<T>;
  /** JSON patch (RFC 6902); a failed `test` is a KubeError 422. */
  jsonPatch<T>(path: string, body: readonly unknown[]): Promise<T>;
  /** With `uid`, only that very object: 409 when another has taken its place. */
  delete(path: string, uid?: string): Promise<void>;
  /** Streams events until the server ends the stream, an error occurs or the signal aborts. `onEvent` is synchronous. */
  watch(path: string, onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void>;
}
