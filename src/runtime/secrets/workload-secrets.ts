/** Workload certificates for SDS: one leaf per identity, shared by its streams, renewed at half its life. */
import { jitterOf, planRotation } from "../../certificate/rotation";
import { planWorkload } from "../../certificate/plan";
import { identityKey, workloadPrefix, type ServiceIdentity } from "../../model/identity";
import { SDS_PEERS, SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../model/mesh-words";
import {
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type Layer,
  type ResourceSet,
} from "../../xds/resource";
import { certificateSecret, peersSecret, trustSecret } from "../../xds/secret";
import type { ReplicaTrust } from "../../certificate/root-proof";
import type { IssuedPair, Issuer } from "../issuers/issuer";
import type { Urgency } from "../issuers/turns";
import { contained } from "../contained";
import { Held } from "../held";
import { Backoff } from "../kube/backoff";
import type { Clock, Log, SecretSource, Subscription } from "../ports";
import { Slices } from "./slices";

/** Longest time over which leaves are renewed after the validity was shortened or the issuer changed, milliseconds. */
const REISSUE_SPREAD_MS = 5_000;
/** An issuer that is back has issued everything it owes well within 30 s. */
const RETRY = { minMs: 1_000, maxMs: 15_000 };
/** How often the wall clock is looked at while waiting, so that a clock that jumps is noticed, milliseconds. */
const LOOK_MS = 60_000;

/** Whom workloads trust, and who issues their certificates. */
export interface WorkloadRoots {
  /** Names its leaves' versions by its fingerprint. */
  readonly issuer: Issuer;
  /** Version of the trust bundle: the fingerprints of its roots; see `certificate/root-rotation.ts`. */
  readonly trustVersion: string;
  /** The trust bundle. */
  readonly trustPem: string;
  /** Trust domain of the issuer's leaves; absent: that of the mesh. */
  readonly trustDomain?: string;
  /** Trust domains of all roots in the bundle; absent: that of the mesh. */
  readonly trustDomains?: readonly string[];
  /** Trust domains by whose names callers are known: those, and past ones. Absent: the same. */
  readonly callerDomains?: readonly string[];
}

/** What the source issues with. */
export interface WorkloadSecretsOptions {
  /** At the start. That proxies trust the issuer is not asked here. */
  readonly roots: WorkloadRoots;
  readonly trustDomain: string;
  /** Validity of new leaves, milliseconds; see {@link WorkloadSecrets.setValidity}. */
  readonly validityMs: number;
  /** How long the leaf of an identity is kept when its last proxy has gone, milliseconds; default 0. In force: `KEEP_MS`. */
  readonly holdMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The running source. */
export interface WorkloadSecrets extends SecretSource {
  /** Changes the validity of new leaves; leaves that would live longer than it are renewed within seconds. */
  setValidity(validityMs: number): void;
  /**
   * Changes whom to trust, at once, and who issues: then leaves of another root are renewed within seconds. Leaves in use
   * stay in use for as long as the issuer gives no new ones.
   */
  setRoots(roots: WorkloadRoots): void;
  /** What is given to proxies that connect now. */
  given(): ReplicaTrust;
  /** Leaves issued so far. */
  readonly issued: number;
  /** End of the leaf that ends first, epoch milliseconds; undefined: there is none. */
  firstEnd(): number | undefined;
  /** Called with the time that the issuer took for each leaf from now on, milliseconds. There is one listener. */
  onIssued(listener: (ms: number) => void): void;
  /** Identities that wait for a leaf because the issuer has failed, and what it said last; undefined: none does. */
  trouble(): { readonly waiting: number; readonly error: unknown } | undefined;
  /** Called when somebody more, or somebody less, waits so. */
  onTrouble(listener: () => void): Subscription;
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

interface Leaf {
  readonly layer: Layer;
  readonly seed: string;
  readonly issuedAt: number;
  readonly notAfter: number;
  readonly root: string;
}

interface Entry {
  readonly identity: ServiceIdentity;
  readonly listeners: Set<(secrets: ResourceSet) => void>;
  readonly backoff: Backoff;
  secrets: ResourceSet;
  /** undefined: none has been issued yet. */
  leaf: Leaf | undefined;
  /** When the next leaf is asked for. */
  renewAt: number;
  /** The request whose answer is waited for, by the fingerprint of who is asked; undefined: none is. */
  asking: { readonly root: string } | undefined;
  failure: { readonly error: unknown } | undefined;
  timer: { cancel(): void } | undefined;
}

/** Starts a source. Nothing is issued before an identity is subscribed to. */
export function createWorkloadSecrets(options: WorkloadSecretsOptions): WorkloadSecrets {
  return new Source(options);
}

class Source implements WorkloadSecrets {
  private readonly entries = new Map<string, Entry>();
  private trust: Layer;
  private roots: WorkloadRoots;
  private validityMs: number;
  /** Many leaves at once are issued a few at a time. */
  private readonly slices: Slices<Entry>;
  private readonly held: Held;
  private readonly troubled = new Set<() => void>();
  issued = 0;
  private told: ((ms: number) => void) | undefined;

  constructor(private readonly options: WorkloadSecretsOptions) {
    this.roots = options.roots;
    this.trust = trustOf(options.roots, options.trustDomain);
    this.validityMs = options.validityMs;
    this.held = new Held(options.clock, options.holdMs ?? 0);
    this.slices = new Slices({
      clock: options.clock,
      work: entry => {
        this.askNow(entry);
      },
    });
  }

  subscribe(identity: ServiceIdentity, onSecrets: (secrets: ResourceSet) => void): Subscription {
    const key = identityKey(identity);
    const entry = this.entries.get(key) ?? this.open(key, identity);
    this.held.release(key);
    entry.listeners.add(onSecrets);
    this.deliver(entry, onSecrets);
    return {
      close: () => {
        entry.listeners.delete(onSecrets);
        if (entry.listeners.size > 0 || this.entries.get(key) !== entry) return;
        const forget = (): void => {
          this.forget(key, entry);
        };
        if (entry.leaf === undefined) forget();
        else this.held.keep(key, { close: forget });
      },
    };
  }

  private forget(key: string, entry: Entry): void {
    if (entry.listeners.size > 0 || this.entries.get(key) !== entry) return;
    entry.timer?.cancel();
    this.slices.drop(entry);
    this.entries.delete(key);
    this.note(entry, undefined);
  }

  setValidity(validityMs: number): void {
    if (validityMs === this.validityMs) return;
    this.validityMs = validityMs;
    for (const [key, entry] of this.entries) {
      const { leaf } = entry;
      if (leaf !== undefined && leaf.notAfter - leaf.issuedAt > validityMs) this.renewSoon(key, entry);
    }
  }

  setRoots(roots: WorkloadRoots): void {
    const trustChanged = roots.trustVersion !== this.roots.trustVersion;
    this.roots = roots;
    if (trustChanged) this.trust = trustOf(roots, this.options.trustDomain);
    for (const [key, entry] of this.entries) {
      if (trustChanged) this.publish(entry);
      if (entry.leaf === undefined) this.ask(entry);
      else if (entry.leaf.root !== roots.issuer.fingerprint) this.renewSoon(key, entry);
    }
  }

  given(): ReplicaTrust {
    const given = { trust: this.roots.trustVersion, issuing: this.roots.issuer.fingerprint };
    const trouble = this.trouble();
    return trouble === undefined ? given : { ...given, trouble: messageOf(trouble.error) };
  }

  trouble(): { readonly waiting: number; readonly error: unknown } | undefined {
    const failed = this.inUse().flatMap(({ failure }) => failure ?? []);
    const last = failed.at(-1);
    return last && { waiting: failed.length, error: last.error };
  }

  firstEnd(): number | undefined {
    const ends = this.inUse().flatMap(({ leaf }) => leaf?.notAfter ?? []);
    return ends.length === 0 ? undefined : Math.min(...ends);
  }

  /** Those that some stream has; the others are kept for a while. */
  private inUse(): Entry[] {
    return [...this.entries.values()].filter(({ listeners }) => listeners.size > 0);
  }

  onIssued(listener: (ms: number) => void): void {
    this.told = listener;
  }

  onTrouble(listener: () => void): Subscription {
    this.troubled.add(listener);
    return { close: () => this.troubled.delete(listener) };
  }

  stop(): void {
    this.troubled.clear();
    this.held.stop();
    for (const entry of this.entries.values()) entry.timer?.cancel();
    this.slices.stop();
    this.entries.clear();
  }

  private open(key: string, identity: ServiceIdentity): Entry {
    const entry: Entry = {
      identity,
      listeners: new Set(),
      backoff: new Backoff(() => jitterOf(`retry ${key} ${this.options.clock.now()}`), RETRY),
      secrets: resourceSet(TYPE_URLS.secret, this.trust),
      leaf: undefined,
      renewAt: this.options.clock.now(),
      asking: undefined,
      failure: undefined,
      timer: undefined,
    };
    this.entries.set(key, entry);
    this.ask(entry);
    return entry;
  }

  /** Renewal within seconds, spread, because it concerns many. */
  private renewSoon(key: string, entry: Entry): void {
    const now = this.options.clock.now();
    const soon = now + Math.floor(jitterOf(`reissue ${key}`) * REISSUE_SPREAD_MS);
    entry.renewAt = Math.min(entry.renewAt, soon);
    this.schedule(entry);
  }

  /** Who waits at an issuer that issues no more, and may be dead, asks the one that does; once. */
  private ask(entry: Entry): void {
    const root = this.roots.issuer.fingerprint;
    if (entry.asking?.root === root) return;
    entry.asking = { root };
    this.slices.add(entry);
  }

  /** Asks for a leaf. An issuer with its key in this process answers at once, others when they can. */
  private askNow(entry: Entry): void {
    const { issuer } = this.roots;
    const { clock } = this.options;
    const trustDomain = this.roots.trustDomain ?? this.options.trustDomain;
    const now = clock.now();
    const own = { root: issuer.fingerprint };
    entry.asking = own;
    const isAwaited = (): boolean => entry.asking === own && this.isOpen(entry);
    const issues = (): boolean => own.root === this.roots.issuer.fingerprint;
    const ended = (use: () => void): void => {
      // Another root has been asked since: its answer is what counts.
      if (!isAwaited()) return;
      entry.asking = undefined;
      // Another root issues by now: what this one gave is of no use, and that it failed says nothing of the other.
      if (issues()) use();
      else this.ask(entry);
    };
    const fail = (error: unknown): void => {
      ended(() => {
        this.failed(entry, error);
      });
    };
    const take = (pair: IssuedPair): void => {
      ended(() => {
        try {
          this.take(entry, issuer, { pair, issuedAt: now });
        } catch (error) {
          this.failed(entry, error);
        }
      });
    };
    try {
      const plan = planWorkload(entry.identity, trustDomain, { now, validityMs: this.validityMs });
      const wish = { urgency: urgencyOf(entry), isWanted: () => isAwaited() && issues() };
      const answer = issuer.issue(plan, wish);
      if (answer instanceof Promise) answer.then(take, fail);
      else take(answer);
    } catch (error) {
      fail(error);
    }
  }

  private isOpen(entry: Entry): boolean {
    return this.entries.get(identityKey(entry.identity)) === entry;
  }

  private take(
    entry: Entry,
    { fingerprint }: Issuer,
    { pair, issuedAt }: { readonly pair: IssuedPair; readonly issuedAt: number },
  ): void {
    const { clock, log } = this.options;
    this.issued += 1;
    contained(log, "a leaf was issued", () => {
      this.told?.(clock.now() - issuedAt);
    });
    const seed = `${identityKey(entry.identity)} ${pair.serial}`;
    const { notAfter } = pair;
    entry.renewAt = planRotation(clock.now(), { seed, issuedAt, notAfter });
    const version = leafVersion(fingerprint, entry.renewAt);
    const keys = { certificateChain: pair.certPem, privateKey: pair.keyPem };
    const layer = layerOf(certificateSecret(SDS_SERVICE_CERT, version, keys));
    if (entry.leaf !== undefined)
      log.debug("renewed a workload certificate", { identity: identityKey(entry.identity) });
    entry.leaf = { layer, seed, issuedAt, notAfter, root: fingerprint };
    this.note(entry, undefined);
    entry.backoff.succeeded();
    this.publish(entry);
    this.schedule(entry);
  }

  /** The leaf in use stays in use, and another is asked for until there is one. */
  private failed(entry: Entry, error: unknown): void {
    const { clock, log } = this.options;
    if (entry.failure === undefined)
      log.warn("no certificate for a workload; tried again", {
        identity: identityKey(entry.identity),
        error: messageOf(error),
      });
    this.note(entry, { error });
    entry.renewAt = clock.now() + entry.backoff.failed();
    this.schedule(entry);
  }

  private note(entry: Entry, failure: Entry["failure"]): void {
    const isNews = (entry.failure === undefined) !== (failure === undefined);
    entry.failure = failure;
    if (!isNews) return;
    for (const listener of [...this.troubled]) contained(this.options.log, "trouble of an issuer", listener);
  }

  private publish(entry: Entry): void {
    const layers = entry.leaf === undefined ? [this.trust] : [this.trust, entry.leaf.layer];
    entry.secrets = resourceSet(TYPE_URLS.secret, ...layers);
    for (const listener of [...entry.listeners]) this.deliver(entry, listener);
  }

  private deliver(entry: Entry, listener: (secrets: ResourceSet) => void): void {
    const tell = (): void => {
      listener(entry.secrets);
    };
    contained(this.options.log, "secrets of a stream", tell, { identity: identityKey(entry.identity) });
  }

  private schedule(entry: Entry): void {
    entry.timer?.cancel();
    const wait = Math.max(0, entry.renewAt - this.options.clock.now());
    const judge = (): void => {
      const now = this.options.clock.now();
      // Far too late: the clock has jumped, and for all leaves at once.
      if (now - entry.renewAt >= LOOK_MS && entry.leaf !== undefined)
        entry.renewAt = planRotation(now, entry.leaf);
      if (entry.renewAt <= now) this.ask(entry);
      else this.schedule(entry);
    };
    const look = (): void => {
      const fields = { identity: identityKey(entry.identity) };
      // What goes wrong now is tried again: without a timer the leaf would come to its end.
      if (!contained(this.options.log, "renewal of a leaf", judge, fields)) again();
    };
    const again = (): void => {
      entry.timer = this.options.clock.setTimeout(look, LOOK_MS);
    };
    entry.timer = this.options.clock.setTimeout(look, Math.min(wait, LOOK_MS));
  }
}

function urgencyOf({ leaf, failure }: Entry): Urgency {
  if (leaf !== undefined) return "renewal";
  return failure === undefined ? "new" : "waiting";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What clients trust, and what servers accept; of one version, as roots have a trust domain each. */
function trustOf({ trustVersion, trustPem, trustDomains }: WorkloadRoots, own: string): Layer {
  const uriPrefixes = (trustDomains ?? [own]).map(workloadPrefix);
  return layerOf(
    trustSecret(SDS_ROOT_CERT, trustVersion, trustPem),
    peersSecret(SDS_PEERS, trustVersion, { roots: trustPem, uriPrefixes }),
  );
}

function layerOf(...resources: readonly EncodedResource[]): Layer {
  return new Map(resources.map(resource => [resource.name, resource]));
}

/** An issuer alone: its own root is all that is trusted. */
export function rootsOf(issuer: Issuer): WorkloadRoots {
  return { issuer, trustVersion: issuer.fingerprint, trustPem: issuer.anchorsPem };
}
