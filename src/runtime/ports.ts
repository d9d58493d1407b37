/** The interfaces between the parts of the shell; each is implemented once and passed in (no globals). */
import type { Snapshot, ResourceSet } from "../xds/resource";
import type { ServiceIdentity } from "../model/identity";

/** A proxy whose identity has been proven. Never built from what the proxy claims about itself. */
export interface AuthenticatedProxy {
  readonly identity: ServiceIdentity;
  readonly podUid: string;
  readonly podName: string;
  /** When the proof ends (token or certificate expiry), epoch milliseconds; the stream is closed then. */
  readonly expiresAt: number;
}

/** The wall clock and timers, as an argument. */
export interface Clock {
  now(): number;
  setTimeout(run: () => void, ms: number): Timer;
}

/** A timer that was set. */
export interface Timer {
  cancel(): void;
  /** Lets the process end before it, where it would keep it; absent where it never does. */
  unref?(): void;
}

/** Structured log; implementations escape control characters and redact secrets. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  child(component: string): Log;
}

/** Where the ADS server gets configuration from: implemented by runtime/engine.ts. */
export interface ConfigSource {
  /**
   * Starts delivering snapshots for a proxy; `onSnapshot` is called at once when the pod is known (in the same
   * turn) and again after every change that affects it. Configuration depends on the pod's node group only.
   */
  subscribe(proxy: AuthenticatedProxy, onSnapshot: (snapshot: Snapshot) => void): Subscription;
}

/** A running delivery; closing it releases everything held for it. */
export interface Subscription {
  close(): void;
}

/** Where a live pod is looked up: implemented over the pod informer. */
export interface PodDirectory {
  /** undefined: unknown (perhaps not yet seen). */
  byUid(uid: string): LivePod | undefined;
  /** Called when a pod is deleted or replaced; used to end its streams. */
  onGone(listener: (uid: string) => void): void;
}

/** What authentication needs to know of a pod. */
export interface LivePod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  /** The pod carries a sidecar, as far as labels and containers tell; anybody may write those. */
  readonly sidecar: boolean;
  /** Besides, its namespace is known and belongs to the mesh: only such a pod is let in. */
  readonly meshed: boolean;
  /** No pod, but a workload outside of the cluster: the key that its proxy proves itself with (base64); "": none yet. */
  readonly publicKey?: string;
}

/** Workload certificates for SDS: implemented by runtime/workload-secrets.ts. */
export interface SecretSource {
  /**
   * Delivers the SDS set of an identity (its leaf certificate and the trust bundle), at once and on every renewal.
   */
  subscribe(identity: ServiceIdentity, onSecrets: (secrets: ResourceSet) => void): Subscription;
}

/** Proves who a stream is: by projected token or (later) by client certificate. Rejects with AuthenticationError. */
export interface Authenticator {
  authenticate(evidence: StreamEvidence): Promise<AuthenticatedProxy>;
}

/** What a new ADS stream presents. */
export interface StreamEvidence {
  /** Value of the `authorization` metadata without the scheme, if present. */
  readonly bearerToken: string | undefined;
  /** DER of the verified client certificate, if the TLS layer authorised one. */
  readonly clientCertificate: Uint8Array | undefined;
  readonly remoteAddress: string;
  /**
   * Called with the pod's UID when the proof holds, before it is known whether there is such a pod. It may throw what refuses the
   * stream. Default: nobody is told.
   */
  readonly onProven?: (podUid: string) => void;
}
