/** The control plane's own CA, which may change while it is used. */
import { CA_SECRET_NAME } from "../../model/mesh-words";
import type { CertificatePlan } from "../../certificate/plan";
import {
  bundlePem,
  bundleVersion,
  initialRotation,
  type RotationState,
} from "../../certificate/root-rotation";
import { parseOwnRoots, type OwnRoots } from "../../certificate/own-root";
import type { IssuedPair } from "../issuers/issuer";
import type { KubeClient, KubeObject } from "../kube";
import { contained } from "../contained";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Log, Subscription } from "../ports";
import { loadAuthority, type Authority } from "./authority";
import { builtInRoot } from "./root-record";

/** Key of the CA's Secret with the control plane's own roots; absent as long as they have never been rotated. */
export const OWN_ROOTS_KEY = "control-plane.json";

/** An {@link Authority} that is whichever CA the control plane uses now. */
export interface OwnAuthority extends Authority {
  /** All roots that are trusted, PEM. */
  readonly anchorsPem: string;
  /** Version of {@link OwnAuthority.anchorsPem}. */
  readonly trustVersion: string;
  /** The CA's certificate by the one before it, which {@link Authority.issue} appends; "": there was none. */
  readonly crossPem: string;
  /** Called after every change. */
  onChange(listener: () => void): Subscription;
}

interface OwnSecret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** The record in the Secret of the CA, as text; undefined: there is none. */
export function ownRootsText(secret: object): string | undefined {
  const value = (secret as OwnSecret).data?.[OWN_ROOTS_KEY];
  return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
}

/** What a record says; without one the built-in CA is all there is. Throws when it cannot be understood. */
export function ownRootsOf(text: string | undefined, builtIn: Authority): OwnRoots {
  if (text !== undefined) return parseOwnRoots(text);
  return { rotation: initialRotation(builtInRoot(builtIn)), keys: {}, asked: "" };
}

/** What is in use of a record. */
interface InUse {
  readonly authority: Authority;
  readonly crossPem: string;
  readonly rotation: RotationState;
}

function inUse({ rotation, keys }: OwnRoots, builtIn: Authority): InUse {
  const root = rotation.roots.find(({ fingerprint }) => fingerprint === rotation.issuing);
  const key = keys[rotation.issuing];
  if (root === undefined || key === undefined) {
    if (rotation.issuing !== builtIn.fingerprint)
      throw new Error("the key of the control plane's root is not there");
    return { authority: builtIn, crossPem: "", rotation };
  }
  return { authority: loadAuthority(root.anchorsPem, key.keyPem), crossPem: key.crossPem, rotation };
}

/** The CA as a record says, and as later ones do. */
export class FollowingAuthority implements OwnAuthority {
  private readonly listeners = new Set<() => void>();
  private current: InUse;

  constructor(
    private readonly builtIn: Authority,
    text?: string,
    /** Told of what a listener throws; default: nobody. */
    private readonly log?: Log,
  ) {
    this.current = inUse(ownRootsOf(text, builtIn), builtIn);
  }

  /** Throws when the text cannot be understood; what was in use then stays in use. */
  take(text: string): void {
    const next = inUse(ownRootsOf(text, this.builtIn), this.builtIn);
    const before = `${this.fingerprint} ${this.trustVersion}`;
    this.current = next;
    if (before === `${this.fingerprint} ${this.trustVersion}`) return;
    for (const listener of [...this.listeners]) contained(this.log, "the own root has changed", listener);
  }

  onChange(listener: () => void): Subscription {
    this.listeners.add(listener);
    return { close: () => this.listeners.delete(listener) };
  }

  get certPem(): string {
    return this.current.authority.certPem;
  }

  get anchorsPem(): string {
    return bundlePem(this.current.rotation.roots);
  }

  get trustVersion(): string {
    return bundleVersion(this.current.rotation.roots);
  }

  get crossPem(): string {
    return this.current.crossPem;
  }

  get fingerprint(): string {
    return this.current.authority.fingerprint;
  }

  get notAfter(): number {
    return this.current.authority.notAfter;
  }

  issue(plan: CertificatePlan): IssuedPair {
    const pair = this.current.authority.issue(plan);
    return { ...pair, certPem: pair.certPem + this.crossPem };
  }

  certify(plan: CertificatePlan, publicKey: Uint8Array): string {
    return this.current.authority.certify(plan, publicKey) + this.crossPem;
  }

  crossSign(plan: CertificatePlan, publicKey: Uint8Array): string {
    return this.current.authority.crossSign(plan, publicKey);
  }
}

/** What following works with. */
export interface OwnAuthorityOptions extends KeeperOptions {
  readonly kube: KubeClient;
  /** Namespace of the CA's Secret. */
  readonly namespace: string;
  readonly builtIn: Authority;
}

/** The CA of the control plane, followed. Rejects when the record cannot be read or understood. */
export async function followOwnAuthority(
  options: OwnAuthorityOptions,
): Promise<{ readonly authority: OwnAuthority; stop(): void }> {
  const { kube, namespace, builtIn, log } = options;
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  const authority = new FollowingAuthority(
    builtIn,
    ownRootsText(await kube.get<OwnSecret>(`${path}/${CA_SECRET_NAME}`)),
    log,
  );
  const take = (text: string | undefined): void => {
    // A record that is gone is no order to forget.
    if (text === undefined) return;
    try {
      authority.take(text);
    } catch (error) {
      log.error("the record of the control plane's roots cannot be used; the last one stays in force", {
        error: String(error),
      });
    }
  };
  const informer = startInformer<string | undefined>({
    ...options,
    source: {
      kind: "Secret",
      path,
      fieldSelector: `metadata.name=${CA_SECRET_NAME}`,
      project: ownRootsText,
    },
    onChange: change => {
      if (change.type === "upsert") take(change.value);
      if (change.type === "reset") change.entries.forEach(take);
    },
  });
  return {
    authority,
    stop: () => {
      informer.stop();
    },
  };
}
