/** Every pod follows the record of the rotation: whom workloads trust and who issues, as it is persisted. */
import { IssuerError } from "../../certificate/issuer";
import {
  bundlePem,
  bundleVersion,
  callerDomainsOf,
  trustDomainsOf,
  type RotationState,
  type TrustedRoot,
} from "../../certificate/root-rotation";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import { contained } from "../contained";
import { KeyedWorker } from "../control-plane/keyed-worker";
import type { Issuer, OpenIssuer } from "../issuers/issuer";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Subscription } from "../ports";
import { readRecord, recordText, rotationOf } from "./root-record";
import type { WorkloadRoots } from "./workload-secrets";

/** What a follower works with. */
export interface RootFollowerOptions extends KeeperOptions {
  /** Namespace of the CA's Secret. */
  readonly namespace: string;
  /** The built-in CA. */
  readonly authority: Issuer;
  readonly trustDomain: string;
  readonly openIssuer: OpenIssuer;
}

/** The roots as they are persisted. */
export interface RootFollower {
  roots(): WorkloadRoots;
  /** Called after every change. */
  onRoots(listener: (roots: WorkloadRoots) => void): Subscription;
  stop(): void;
}

const KEY = "workload roots";

/**
 * Starts following; resolves when the record has been read once, so that nobody is given an older bundle by a pod that has
 * just started. Rejects when it cannot be read or understood. An issuer that cannot be opened is tried again: until then
 * the one before goes on, or nobody issues.
 */
export async function followRoots(options: RootFollowerOptions): Promise<RootFollower> {
  const text = await readRecord(options);
  const follower = new Follower(options, rotationOf(text, options.authority));
  await follower.begin();
  return follower;
}

class Follower implements RootFollower {
  private readonly listeners = new Set<(roots: WorkloadRoots) => void>();
  private readonly worker: KeyedWorker;
  private readonly informer: { stop(): void };
  private issuer: Issuer;
  private current: WorkloadRoots;

  constructor(
    private readonly options: RootFollowerOptions,
    private state: RotationState,
  ) {
    const log = options.log.child("roots");
    this.issuer = this.placeholder();
    this.current = this.compose();
    this.worker = new KeyedWorker({ ...options, log, work: () => this.open() });
    this.informer = startInformer<string | undefined>({
      ...options,
      source: {
        kind: "Secret",
        path: `/api/v1/namespaces/${options.namespace}/secrets`,
        fieldSelector: `metadata.name=${CA_SECRET_NAME}`,
        project: recordText,
      },
      onChange: change => {
        // A record that is gone is no order to forget: the last one stays in force.
        const texts = change.type === "reset" ? [...change.entries.values()] : [];
        const next = change.type === "upsert" ? change.value : texts[0];
        if (next !== undefined) this.take(next);
      },
    });
  }

  /** Tries once to have an issuer from the first moment on. */
  async begin(): Promise<void> {
    await this.open().catch(() => {
      this.worker.enqueue(KEY);
    });
  }

  roots(): WorkloadRoots {
    return this.current;
  }

  onRoots(listener: (roots: WorkloadRoots) => void): Subscription {
    this.listeners.add(listener);
    return { close: () => this.listeners.delete(listener) };
  }

  stop(): void {
    this.informer.stop();
    this.worker.stop();
    this.listeners.clear();
  }

  private take(text: string): void {
    const { authority, log } = this.options;
    try {
      this.state = rotationOf(text, authority);
    } catch (error) {
      log.error("the record of the root's rotation cannot be used; the last one stays in force", {
        error: String(error),
      });
      return;
    }
    // Trust never waits for an issuer.
    this.publish();
    this.worker.enqueue(KEY);
  }

  /** Opens the issuer of the state, unless it is open. */
  private async open(): Promise<void> {
    const { state } = this;
    const root = issuingRoot(state);
    if (this.issuer.fingerprint !== root.fingerprint || isPlaceholder(this.issuer)) {
      const issuer = await this.issuerOf(root);
      if (this.state !== state && issuingRoot(this.state).fingerprint !== root.fingerprint) return;
      this.issuer = issuer;
    }
    this.publish();
  }

  private async issuerOf(root: TrustedRoot): Promise<Issuer> {
    const { authority, openIssuer } = this.options;
    const trustDomain = root.trustDomain ?? this.options.trustDomain;
    const issuer =
      root.provider === undefined
        ? authority
        : await openIssuer(root.provider, trustDomain, root.fingerprint);
    if (issuer.fingerprint === root.fingerprint) return issuer;
    throw new IssuerError("garbage", `the issuer of ${root.owner ?? "the mesh"} has another root by now`);
  }

  private placeholder(): Issuer {
    const { fingerprint, anchorsPem } = issuingRoot(this.state);
    return new UnopenedIssuer(fingerprint, anchorsPem);
  }

  private compose(): WorkloadRoots {
    const { roots } = this.state;
    const { issuer } = this;
    const own = this.options.trustDomain;
    // The issuer may still be that of the state before; its leaves have the names that it has always given.
    const root = roots.find(({ fingerprint }) => fingerprint === issuer.fingerprint);
    return {
      issuer,
      trustVersion: bundleVersion(roots),
      trustPem: bundlePem(roots),
      trustDomain: root?.trustDomain ?? own,
      trustDomains: trustDomainsOf(roots, own),
      callerDomains: callerDomainsOf(this.state, own),
    };
  }

  private publish(): void {
    const next = this.compose();
    const { issuer, trustVersion, callerDomains } = this.current;
    this.current = next;
    const same = next.trustVersion === trustVersion && String(next.callerDomains) === String(callerDomains);
    if (next.issuer === issuer && same) return;
    for (const listener of [...this.listeners]) {
      contained(this.options.log, "roots have changed", () => {
        listener(next);
      });
    }
  }
}

function issuingRoot({ roots, issuing }: RotationState): TrustedRoot {
  const root = roots.find(({ fingerprint }) => fingerprint === issuing);
  if (root === undefined) throw new Error("the root that issues is not among those trusted");
  return root;
}

/** Stands for an issuer that is known by name and could not be opened yet. */
class UnopenedIssuer implements Issuer {
  constructor(
    readonly fingerprint: string,
    readonly anchorsPem: string,
  ) {}

  issue(): never {
    throw new IssuerError("unavailable", "the issuer of workload certificates cannot be opened yet");
  }
}

const isPlaceholder = (issuer: Issuer): boolean => issuer instanceof UnopenedIssuer;
