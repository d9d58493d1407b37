/** What proves that a root may issue, or may be dropped: acknowledgements of every live proxy, counted. */

/** What one connected proxy has acknowledged. */
export interface ProxyTrust {
  /** `namespace/pod`. */
  readonly name: string;
  /** Version of its trust bundle; null: it asks for one and holds none; undefined: it asks for none. */
  readonly trust?: string | null;
  /** Fingerprint of the root its leaf is of; null and undefined likewise. */
  readonly issuer?: string | null;
  /** Trust domains whose names its configuration accepts; undefined: that of the mesh alone. */
  readonly domains?: readonly string[];
  /** Root of the control plane that it has been shown alone by its replica; null: another along with it. */
  readonly own?: string | null;
}

/** What a replica hands out to proxies that connect now. */
export interface ReplicaTrust {
  /** Version of the trust bundle. */
  readonly trust: string;
  /** Fingerprint of the root it issues from. */
  readonly issuing: string;
  /** Trust domains whose names its configuration accepts; undefined: that of the mesh alone. */
  readonly domains?: readonly string[];
  /** The same of the control plane's own root. */
  readonly own?: Pick<ReplicaTrust, "trust" | "issuing">;
  /** Why it has no certificate for somebody, as its issuer said last; undefined: everybody has one that is not overdue. */
  readonly trouble?: string;
}

/** The live proxies and the replicas that serve them. */
export interface FleetTrust {
  /** False when a replica cannot be asked: nothing is proven. */
  readonly complete: boolean;
  readonly replicas: readonly ReplicaTrust[];
  readonly proxies: readonly ProxyTrust[];
  /** Live proxies that no replica is connected to: `namespace/pod` by pod uid. */
  readonly absent: ReadonlyMap<string, string>;
}

/** The Secret of an ingress controller, which acknowledges nothing. */
export interface GatewayTrust {
  /** Fingerprints of the roots in it. */
  readonly trust: readonly string[];
  /** Fingerprint of the root its certificate is of; undefined: of none that is known. */
  readonly issuing: string | undefined;
  /** When it was written, epoch milliseconds. */
  readonly since: number;
}

/** Everything a step of the rotation follows from. */
export interface RotationFacts {
  /** Epoch milliseconds. */
  readonly now: number;
  /** undefined: nobody has counted yet. */
  readonly fleet: FleetTrust | undefined;
  /** undefined: there is no ingress gateway. */
  readonly gateway: GatewayTrust | undefined;
  /** Longest life of a leaf that a proxy may hold, milliseconds. */
  readonly leafLifeMs: number;
  /** Trust domain of the mesh: that of roots, proxies and replicas that name none. */
  readonly trustDomain: string;
  /** Proxies, as `namespace/pod`, that the operator does not wait for; `*`: none is waited for. */
  readonly ignored: ReadonlySet<string>;
}

/** How far a proof is. */
export interface Proof {
  readonly complete: boolean;
  /** False: a replica cannot be asked, and the numbers say nothing. */
  readonly known: boolean;
  /** Proxies that count, and those of them for whom the move is safe. */
  readonly proxies: number;
  readonly ready: number;
  /** Who is waited for, by name. */
  readonly waiting: readonly string[];
  /** Who would be waited for, had the operator not said otherwise. */
  readonly without: readonly string[];
  /** Whether all replicas are ready, whatever proxies hold. */
  readonly replicasReady: boolean;
  /** In a sentence. */
  readonly text: string;
}

/** A move that needs a proof. */
export interface ProvenMove {
  readonly kind: "trust" | "issue" | "drop";
  readonly root: { readonly fingerprint: string; readonly trustDomain?: string };
}

/** What a proof is made from. */
export type ProofFacts = RotationFacts & {
  /** By pod uid, when the leaf of an absent proxy has expired for sure, epoch milliseconds. */
  readonly absentUntil: Readonly<Record<string, number>>;
  /** Trust domain of the root that issues. A move to a root of the same brings no names that are not in use already. */
  readonly issuingDomain: string;
  /**
   * Proxies, as `namespace/pod`, that were there when all replicas were ready for the move; undefined: they have not been
   * yet. Those that came later are given nothing else by any replica, so they are not waited for: or a cluster in which pods
   * start all the time would never rotate.
   */
  readonly counted: ReadonlySet<string> | undefined;
};

/**
 * An ingress controller acknowledges nothing. Those that watch Secrets take a new one at once, those that mount it within
 * the kubelet's minute and a half; two minutes, in milliseconds, are taken for proof.
 */
export const GATEWAY_TAKES_MS = 120_000;
/** Names in a sentence. */
const NAMED = 3;

/** Whether a trust bundle of that version holds a root. */
export function trusts(version: string, fingerprint: string): boolean {
  return version.split("+").includes(fingerprint);
}

/** A move with what it is judged by. */
interface Judged {
  readonly kind: ProvenMove["kind"];
  readonly fingerprint: string;
  /** Whether the move brings no names of a trust domain that is not accepted. */
  readonly accepts: (domains: readonly string[] | undefined) => boolean;
}

function judged({ kind, root }: ProvenMove, { trustDomain, issuingDomain }: ProofFacts): Judged {
  const wanted = root.trustDomain ?? trustDomain;
  return {
    kind,
    fingerprint: root.fingerprint,
    accepts: domains => wanted === issuingDomain || (domains ?? [trustDomain]).includes(wanted),
  };
}

/** Whether a proxy stands in the way of a move. A proxy that asks for no secret is given what its replica hands out then. */
function isReady({ trust, issuer, domains }: ProxyTrust, { kind, fingerprint, accepts }: Judged): boolean {
  if (kind === "drop") return issuer === undefined || (issuer !== null && issuer !== fingerprint);
  return trust === undefined || (trust !== null && trusts(trust, fingerprint) && accepts(domains));
}

function isReplicaReady(
  { trust, issuing, domains }: ReplicaTrust,
  { kind, fingerprint, accepts }: Judged,
): boolean {
  return kind === "drop" ? issuing !== fingerprint : trusts(trust, fingerprint) && accepts(domains);
}

function isGatewayReady(
  { trust, issuing, since }: GatewayTrust,
  { kind, fingerprint }: Judged,
  now: number,
): boolean {
  const isOther = issuing !== undefined && issuing !== fingerprint;
  const said = kind === "issue" ? trust.includes(fingerprint) : isOther;
  return said && now - since >= GATEWAY_TAKES_MS;
}

/** The proof for a move, as far as it is. */
export function proofOf(move: ProvenMove, facts: ProofFacts): Proof {
  const { fleet, now, gateway, ignored } = facts;
  const by = judged(move, facts);
  if (fleet?.complete !== true) {
    const text = "not known how many proxies are ready; a replica of the control plane cannot be asked";
    const nobody = { proxies: 0, ready: 0, waiting: [], without: [], replicasReady: false };
    return { complete: false, known: false, ...nobody, text };
  }
  const away = [...fleet.absent].filter(([uid]) => now < (facts.absentUntil[uid] ?? Infinity));
  const late = [
    ...fleet.proxies.filter(proxy => !isReady(proxy, by)).map(({ name }) => ({ name, shown: name })),
    ...away.map(([, name]) => ({ name, shown: `${name} (not connected)` })),
  ].filter(({ name }) => facts.counted?.has(name) !== false);
  const isIgnored = (name: string): boolean => ignored.has("*") || ignored.has(name);
  const waiting = late.filter(({ name }) => !isIgnored(name)).map(({ shown }) => shown);
  const without = late.filter(({ name }) => isIgnored(name)).map(({ name }) => name);
  const replicasReady = fleet.replicas.every(replica => isReplicaReady(replica, by));
  const others = [
    ...(replicasReady ? [] : ["a replica of the control plane"]),
    ...(gateway === undefined || isGatewayReady(gateway, by, now) ? [] : ["the ingress gateway's Secret"]),
  ];
  const proxies = fleet.proxies.length + away.length;
  const counted = { proxies, ready: proxies - late.length };
  const all = [...waiting, ...others];
  return {
    complete: all.length === 0,
    known: true,
    ...counted,
    waiting: all,
    without,
    replicasReady,
    text: textOf(move, counted, all),
  };
}

function textOf(
  { kind }: ProvenMove,
  { ready, proxies }: Pick<Proof, "ready" | "proxies">,
  waiting: readonly string[],
): string {
  const what = kind === "issue" ? "trust the new root" : "hold no certificate of the old root";
  const named = waiting.slice(0, NAMED).join(", ");
  const more = waiting.length > NAMED ? ` and ${waiting.length - NAMED} more` : "";
  const rest = waiting.length === 0 ? "" : `; waiting for ${named}${more}`;
  return `${ready} of ${proxies} proxies ${what}${rest}`;
}
