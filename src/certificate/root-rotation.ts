/**
 * Rotation of the workloads' root: which roots are trusted and which one issues. Three moves, one at a time: trust a root,
 * issue from a root, drop a root. Trusting needs no proof; the other two wait for it (`root-proof.ts`). What is not
 * persisted is never needed, so a writer that dies anywhere goes on where it was.
 */
import type { MeshRootCertificateSpec } from "../api/mesh-root-certificate";
import { proofOf, type Proof, type RotationFacts } from "./root-proof";

/** A root that workloads trust. */
export interface TrustedRoot {
  /** Names the root in versions of trust bundles and of leaves: hexadecimal. */
  readonly fingerprint: string;
  /** Name of the MeshRootCertificate it comes from; undefined: the built-in one. */
  readonly owner: string | undefined;
  /** What verifies its certificates, PEM. */
  readonly anchorsPem: string;
  /** How its issuer is reached; undefined: the built-in one. */
  readonly provider: MeshRootCertificateSpec["provider"] | undefined;
  /** Trust domain of the names it issues; absent: that of the mesh. */
  readonly trustDomain?: string;
}

/** One of the three changes. */
export interface RootMove {
  readonly kind: "trust" | "issue" | "drop";
  readonly root: TrustedRoot;
}

/** A move that was made, for the record. */
export interface MadeMove {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly kind: RootMove["kind"];
  readonly fingerprint: string;
  /** Whom the operator told not to wait for, and who was therefore not waited for. */
  readonly without: readonly string[];
}

/** Everything that has to survive. */
export interface RotationState {
  /** In the order in which they came. */
  readonly roots: readonly TrustedRoot[];
  /** Fingerprint of the root that leaves are issued from; one of {@link RotationState.roots}. */
  readonly issuing: string;
  /**
   * Live proxies that are connected to no replica, by pod uid, while a move waits: when the leaf each of them may have has
   * expired for sure, epoch milliseconds.
   */
  readonly absent: Readonly<Record<string, number>>;
  /**
   * Trust domains of roots that have been dropped, by name: until when callers are still known by names of them, epoch
   * milliseconds. Nobody completes a handshake with such a name any more, but connections may be open; see
   * {@link callerDomainsOf}. Absent: none.
   */
  readonly past?: Readonly<Record<string, number>>;
  /** The last moves, oldest first. */
  readonly made: readonly MadeMove[];
  /** Since when the proof for a move has stood without a break; not persisted, so a new writer waits once more. */
  readonly proven?: { readonly move: string; readonly since: number };
  /** Who was there when all replicas were ready for a move; not persisted, so a new writer counts everybody once more. */
  readonly counted?: { readonly move: string; readonly names: ReadonlySet<string> };
}

/** Which roots should be, by what operators ask for. */
export interface WantedRoots {
  /** Fingerprint of the root to issue from; undefined: the one in use. */
  readonly issuing: string | undefined;
  readonly roots: readonly TrustedRoot[];
}

/** Where a rotation stands. */
export interface RotationStep {
  readonly state: RotationState;
  /** The move that was made in this step; the new state must be persisted before anything follows from it. */
  readonly made: RootMove | undefined;
  /** The move that comes next; undefined: everything is as it should be. */
  readonly next: RootMove | undefined;
  /** How far the proof for the next move is; undefined where none is needed. */
  readonly proof: Proof | undefined;
  /** In a sentence. */
  readonly text: string;
}

/**
 * How long a proof must stand: Envoy's acknowledgement precedes its worker threads by a moment (decision 0031), and a
 * handshake that began before comes to its end; milliseconds.
 */
export const PROOF_STANDS_MS = 2_000;
/**
 * The same where the new root's names are of another trust domain: listeners and clusters that know them are acknowledged
 * before they have warmed up, which takes Envoy a second or so; milliseconds.
 */
export const NAMES_STAND_MS = 5_000;
/** Moves that are remembered. */
const MOVES_KEPT = 12;

/** The state of a mesh that has never rotated: the built-in root alone. */
export function initialRotation(builtIn: TrustedRoot): RotationState {
  return { roots: [builtIn], issuing: builtIn.fingerprint, absent: {}, made: [] };
}

/** Version of a trust bundle: the fingerprints of its roots, so that an acknowledged version tells what is trusted. */
export function bundleVersion(roots: readonly Pick<TrustedRoot, "fingerprint">[]): string {
  return roots.map(({ fingerprint }) => fingerprint).join("+");
}

/** Trust domains of roots, in their order; which one issues changes nothing. `own`: of those that name none. */
export function trustDomainsOf(
  roots: readonly Pick<TrustedRoot, "trustDomain">[],
  own: string,
): readonly string[] {
  return [...new Set(roots.map(({ trustDomain }) => trustDomain ?? own))];
}

/** Trust domains by whose names callers are known: those of all roots, and past ones. */
export function callerDomainsOf(
  { roots, past }: Pick<RotationState, "roots" | "past">,
  own: string,
): readonly string[] {
  return [...new Set([...trustDomainsOf(roots, own), ...Object.keys(past ?? {})])];
}

/** The trust bundle, PEM; roots may share an anchor. */
export function bundlePem(roots: readonly Pick<TrustedRoot, "anchorsPem">[]): string {
  return [...new Set(roots.map(({ anchorsPem }) => `${anchorsPem.trimEnd()}\n`))].join("");
}

/** The next of the moves that lead from what is to what is wanted; undefined: none is needed. */
export function nextMove({ roots, issuing }: RotationState, wanted: WantedRoots): RootMove | undefined {
  const isTrusted = (root: TrustedRoot): boolean =>
    roots.some(({ fingerprint }) => fingerprint === root.fingerprint);
  const added = wanted.roots.find(root => !isTrusted(root));
  if (added !== undefined) return { kind: "trust", root: added };
  const issuer = roots.find(({ fingerprint }) => fingerprint === (wanted.issuing ?? issuing));
  if (issuer !== undefined && issuer.fingerprint !== issuing) return { kind: "issue", root: issuer };
  const stays = new Set([issuing, ...wanted.roots.map(({ fingerprint }) => fingerprint)]);
  const dropped = roots.find(({ fingerprint }) => !stays.has(fingerprint));
  return dropped && { kind: "drop", root: dropped };
}

/** Makes at most one move: the next one, where its proof has stood long enough. */
export function stepRotation(last: RotationState, wanted: WantedRoots, facts: RotationFacts): RotationStep {
  const before = withoutOldNames(last, facts.now);
  const next = nextMove(before, wanted);
  if (next === undefined) {
    const state = { ...persisted(before), absent: {} };
    return { state, made: undefined, next, proof: undefined, text: "Settled." };
  }
  if (next.kind === "trust") return makeMove(before, next, { facts, without: [] });
  return stepToProof(before, next, facts);
}

/** Makes the move, or waits with what is known so far. */
function stepToProof(before: RotationState, next: RootMove, facts: RotationFacts): RotationStep {
  const key = `${next.kind} ${next.root.fingerprint}`;
  const absent = absentProxies(before, facts);
  const known = before.counted?.move === key ? before.counted : undefined;
  const issuingDomain = issuingDomainOf(before, facts);
  const proof = proofOf(next, { ...facts, absentUntil: absent, issuingDomain, counted: known?.names });
  const named = proof.replicasReady ? { counted: { move: key, names: namesIn(facts) } } : {};
  const waiting: RotationState = { ...persisted(before), absent, ...(known ? { counted: known } : named) };
  if (!proof.complete) return { state: waiting, made: undefined, next, proof, text: proof.text };
  const since = before.proven?.move === key ? Math.min(before.proven.since, facts.now) : facts.now;
  if (facts.now - since < standsMs(before, next, facts)) {
    const state = { ...waiting, proven: { move: key, since } };
    return { state, made: undefined, next, proof, text: proof.text };
  }
  return makeMove(waiting, next, { facts, without: proof.without });
}

/** How long the proof of a move must stand. */
function standsMs(before: RotationState, { kind, root }: RootMove, facts: RotationFacts): number {
  const isOther = (root.trustDomain ?? facts.trustDomain) !== issuingDomainOf(before, facts);
  return kind === "issue" && isOther ? NAMES_STAND_MS : PROOF_STANDS_MS;
}

function issuingDomainOf({ roots, issuing }: RotationState, { trustDomain }: RotationFacts): string {
  return roots.find(({ fingerprint }) => fingerprint === issuing)?.trustDomain ?? trustDomain;
}

function namesIn({ fleet }: RotationFacts): ReadonlySet<string> {
  return new Set([...(fleet?.proxies.map(({ name }) => name) ?? []), ...(fleet?.absent.values() ?? [])]);
}

/** A state without what is not persisted. */
function persisted({ roots, issuing, absent, made, past }: RotationState): RotationState {
  return { roots, issuing, absent, made, ...(past === undefined ? {} : { past }) };
}

/** A state in which past trust domains have had their time. */
function withoutOldNames({ past, ...state }: RotationState, now: number): RotationState {
  const left = Object.entries(past ?? {}).filter(([, until]) => now < until);
  return left.length === 0 ? state : { ...state, past: Object.fromEntries(left) };
}

/**
 * A dropped root takes its names from handshakes, but not yet from those who are connected: their last certificates would
 * have been valid for a leaf's life at most.
 */
function pastAfter(
  { past, roots }: RotationState,
  { kind, root }: RootMove,
  { now, leafLifeMs, trustDomain: own }: RotationFacts,
): RotationState["past"] {
  const domain = root.trustDomain ?? own;
  const others = roots.filter(({ fingerprint }) => fingerprint !== root.fingerprint);
  const isPast = kind === "drop" && !trustDomainsOf(others, own).includes(domain);
  return isPast ? { ...past, [domain]: now + leafLifeMs } : past;
}

/** Who is away, and until when each of them may still hold a leaf that is valid. */
function absentProxies({ absent }: RotationState, facts: RotationFacts): Readonly<Record<string, number>> {
  // While a replica cannot be asked, nobody knows who is away, and those who were are not forgotten.
  if (facts.fleet?.complete !== true) return absent;
  const expiry = facts.now + facts.leafLifeMs;
  return Object.fromEntries([...facts.fleet.absent.keys()].map(uid => [uid, absent[uid] ?? expiry]));
}

const SENTENCES: Readonly<Record<RootMove["kind"], string>> = {
  trust: "The new root is being distributed.",
  issue: "Certificates are being issued from the new root.",
  drop: "The old root is being dropped.",
};

function makeMove(
  before: RotationState,
  move: RootMove,
  { facts, without }: { readonly facts: RotationFacts; readonly without: readonly string[] },
): RotationStep {
  const { now } = facts;
  const { kind, root } = move;
  const { fingerprint } = root;
  const past = pastAfter(before, move, facts);
  const made = [...before.made, { at: now, kind, fingerprint, without }].slice(-MOVES_KEPT);
  const state: RotationState = {
    roots:
      kind === "trust"
        ? [...before.roots, root]
        : before.roots.filter(other => kind !== "drop" || other.fingerprint !== fingerprint),
    issuing: kind === "issue" ? fingerprint : before.issuing,
    absent: before.absent,
    made,
    ...(past === undefined ? {} : { past }),
  };
  return { state, made: move, next: undefined, proof: undefined, text: SENTENCES[kind] };
}
