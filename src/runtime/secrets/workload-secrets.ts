/** Workload certificates for SDS: one leaf per identity, shared by its streams, renewed at half its life. */
import { jitterOf, planRotation } from "../../certificate/rotation";
import { planWorkload } from "../../certificate/plan";
import { identityKey, type ServiceIdentity } from "../../model/identity";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../model/mesh-words";
import {
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type Layer,
  type ResourceSet,
} from "../../xds/resource";
import { certificateSecret, trustSecret } from "../../xds/secret";
import type { Clock, Log, SecretSource, Subscription } from "../ports";
import type { Authority } from "./authority";

/** Longest time over which leaves are renewed after the configured validity was shortened, milliseconds. */
const REISSUE_SPREAD_MS = 5_000;
/** How often the wall clock is looked at while waiting, so that a clock that jumps is noticed, milliseconds. */
const LOOK_MS = 60_000;

/** What the source issues with. */
export interface WorkloadSecretsOptions {
  readonly authority: Authority;
  readonly trustDomain: string;
  /** Validity of new leaves, milliseconds; see {@link WorkloadSecrets.setValidity}. */
  readonly validityMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The running source. */
export interface WorkloadSecrets extends SecretSource {
  /** Changes the validity of new leaves; leaves that would live longer than it are renewed within seconds. */
  setValidity(validityMs: number): void;
  /** Leaves issued so far. */
  readonly issued: number;
  /** Ends all timers. */
  stop(): void;
}

/** Version of a leaf: who issued it and when it is due, so that a proxy keeps its leaf when it changes replicas. */
export function leafVersion(fingerprint: string, renewAt: number): string {
  return `${fingerprint}.${Math.floor(renewAt / 1000)}`;
}

/**
 * The renewal time in a version that a reconnecting proxy claims to hold, epoch milliseconds; undefined when it is not of
 * the issuer `fingerprint`. The claim only decides whether the proxy itself is sent a new leaf.
 */
export function heldLeafDue(fingerprint: string, version: string): number | undefined {
  const [issuer, due, ...rest] = version.split(".");
  if (issuer !== fingerprint || due === undefined || rest.length > 0 || !/^\d{1,12}$/.test(due))
    return undefined;
  return Number(due) * 1000;
}

interface Entry {
  readonly identity: ServiceIdentity;
  readonly listeners: Set<(secrets: ResourceSet) => void>;
  secrets: ResourceSet;
  seed: string;
  issuedAt: number;
  notAfter: number;
  renewAt: number;
  timer: { cancel(): void } | undefined;
}

/** Starts a source. Nothing is issued before an identity is subscribed to. */
export function createWorkloadSecrets(options: WorkloadSecretsOptions): WorkloadSecrets {
  return new Source(options);
}

class Source implements WorkloadSecrets {
  private readonly entries = new Map<string, Entry>();
  private readonly trust: Layer;
  private validityMs: number;
  issued = 0;

  constructor(private readonly options: WorkloadSecretsOptions) {
    const { certPem, fingerprint } = options.authority;
    this.trust = layerOf(trustSecret(SDS_ROOT_CERT, fingerprint, certPem));
    this.validityMs = options.validityMs;
  }

  subscribe(identity: ServiceIdentity, onSecrets: (secrets: ResourceSet) => void): Subscription {
    const key = identityKey(identity);
    const entry = this.entries.get(key) ?? this.open(key, identity);
    entry.listeners.add(onSecrets);
    onSecrets(entry.secrets);
    return {
      close: () => {
        entry.listeners.delete(onSecrets);
        if (entry.listeners.size > 0 || this.entries.get(key) !== entry) return;
        entry.timer?.cancel();
        this.entries.delete(key);
      },
    };
  }

  setValidity(validityMs: number): void {
    if (validityMs === this.validityMs) return;
    this.validityMs = validityMs;
    const now = this.options.clock.now();
    for (const [key, entry] of this.entries) {
      if (entry.notAfter - entry.issuedAt <= validityMs) continue;
      entry.renewAt = Math.min(
        entry.renewAt,
        now + Math.floor(jitterOf(`reissue ${key}`) * REISSUE_SPREAD_MS),
      );
      this.schedule(entry);
    }
  }

  stop(): void {
    for (const entry of this.entries.values()) entry.timer?.cancel();
    this.entries.clear();
  }

  private open(key: string, identity: ServiceIdentity): Entry {
    const leaf = this.issue(identity);
    const entry: Entry = { identity, listeners: new Set(), timer: undefined, ...leaf };
    this.entries.set(key, entry);
    this.schedule(entry);
    return entry;
  }

  private issue(
    identity: ServiceIdentity,
  ): Pick<Entry, "secrets" | "seed" | "issuedAt" | "notAfter" | "renewAt"> {
    const { authority, trustDomain, clock } = this.options;
    const now = clock.now();
    const pair = authority.issue(planWorkload(identity, trustDomain, { now, validityMs: this.validityMs }));
    this.issued += 1;
    const seed = `${identityKey(identity)} ${pair.serial}`;
    const renewAt = planRotation(now, { seed, issuedAt: now, notAfter: pair.notAfter });
    const version = leafVersion(authority.fingerprint, renewAt);
    const keys = { certificateChain: pair.certPem, privateKey: pair.keyPem };
    const leaf = layerOf(certificateSecret(SDS_SERVICE_CERT, version, keys));
    const secrets = resourceSet(TYPE_URLS.secret, this.trust, leaf);
    return { secrets, seed, issuedAt: now, notAfter: pair.notAfter, renewAt };
  }

  private schedule(entry: Entry): void {
    entry.timer?.cancel();
    const wait = Math.max(0, entry.renewAt - this.options.clock.now());
    const look = (): void => {
      const now = this.options.clock.now();
      // Far too late: the clock has jumped, and for all leaves at once.
      if (now - entry.renewAt >= LOOK_MS) entry.renewAt = planRotation(now, entry);
      if (entry.renewAt <= now) this.renew(entry);
      else this.schedule(entry);
    };
    entry.timer = this.options.clock.setTimeout(look, Math.min(wait, LOOK_MS));
  }

  private renew(entry: Entry): void {
    Object.assign(entry, this.issue(entry.identity));
    this.options.log.debug("renewed a workload certificate", { identity: identityKey(entry.identity) });
    for (const listener of [...entry.listeners]) listener(entry.secrets);
    this.schedule(entry);
  }
}

function layerOf(resource: EncodedResource): Layer {
  return new Map([[resource.name, resource]]);
}
