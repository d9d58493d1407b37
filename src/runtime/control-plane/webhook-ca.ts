/**
 * How the webhook's own CA is replaced: the API server verifies by what stands in two configurations, and presents its trust to
 * nobody, so each step rests on what has been read back and on time. What is done is decided here, as a function of the Secret,
 * the time and the configurations; who writes it is `webhook-ca-keeper.ts`.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { WEBHOOK_DNS_NAMES } from "../../install/names";
import type { WebhookCaRotation, WebhookIdentity } from "../../install/webhook-secret";
import { pemOf, readCertificates } from "../issuers/chain";
import { createRoot, issueServing, loadAuthority, type Authority } from "../secrets/authority";

/** Life of the webhook's serving certificate: 90 days, in milliseconds; renewed at half of it. */
export const SERVING_VALIDITY_MS = 90 * 86_400_000;

/** Share of the CA's life that is left when the next one is made unasked: of ten years, two. */
const LEFT = 1 / 5;
/** A CA must outlive so many certificates, or they would be cut short by its end. */
const SERVING_LIVES = 2;

/** How long the steps are apart, milliseconds. */
export interface WebhookCaWaits {
  /** From when both configurations hold both CAs to the first certificate of the next one. */
  readonly configuredMs: number;
  /** From when the Secret holds that certificate to the end of the trust in the CA before. */
  readonly servedMs: number;
}

/**
 * An API server follows its configurations by a watch on itself. One that is cut is noticed after 45 s (HTTP/2 pings after 30 s
 * of silence, given up after 15), and the watch of etcd behind it after 40 s: two minutes hold both, one after the other. A pod of
 * the control plane follows the Secret by watches of ten seconds, notices a dead one after twelve and tries again every two; five
 * minutes hold an upgrade of the API server in between, and nobody waits for the end of a CA.
 */
export const WEBHOOK_CA_WAITS: WebhookCaWaits = { configuredMs: 120_000, servedMs: 300_000 };

/** The Secret, as far as its CA is concerned. */
export interface WebhookCaState {
  readonly identity: WebhookIdentity;
  /** undefined: none is under way. */
  readonly rotation: WebhookCaRotation | undefined;
}

/** What a step follows from, besides the Secret. */
export interface WebhookCaFacts {
  /** Epoch milliseconds. */
  readonly now: number;
  /** Somebody wants another CA. */
  readonly asked: boolean;
  /** The CA bundle of each webhook of both configurations, PEM; undefined: one of them could not be read, or is not there. */
  readonly bundles: readonly string[] | undefined;
  readonly waits: WebhookCaWaits;
}

/** What is to be done. All but the first two are one write of the Secret. */
export type WebhookCaStep =
  /** Nothing, and nothing is under way. */
  | { readonly kind: "rest" }
  /** Nothing yet, for so long at least, milliseconds; undefined: not before something else has changed. */
  | { readonly kind: "wait"; readonly forMs: number | undefined }
  /** Another certificate by the CA that issues. */
  | { readonly kind: "renew" }
  /** The next CA is made, and stands beside the present one. */
  | { readonly kind: "trust" }
  /** Both configurations hold both: the wait begins. */
  | { readonly kind: "seen" }
  /** One of them does not any more: the wait is over for nothing. */
  | { readonly kind: "unseen" }
  /** The next CA issues. */
  | { readonly kind: "issue" }
  /** The CA before it is forgotten. */
  | { readonly kind: "drop" };

/** The CA whose key the Secret holds, among all that are trusted. Throws when there is none. */
function issuing({ caCertPem, caKeyPem }: WebhookIdentity): Authority {
  return loadAuthority(caCertPem, caKeyPem);
}

/** Whether the next CA is due by the present one's life. */
function isEnding({ certPem, notAfter }: Authority, now: number): boolean {
  const begin = Date.parse(new X509Certificate(certPem).validFrom);
  const life = notAfter - begin;
  // One that has not begun is of a clock that was ahead: nobody believes it.
  return now < begin || now > notAfter - Math.max(life * LEFT, SERVING_LIVES * SERVING_VALIDITY_MS);
}

/** Whether half of the serving certificate's life is over, and another one would last longer. */
function isServingDue(identity: WebhookIdentity, now: number): boolean {
  const { validFrom, validTo } = new X509Certificate(identity.certPem);
  const [begin, end] = [Date.parse(validFrom), Date.parse(validTo)];
  if (now < begin) return true;
  return now >= begin + (end - begin) / 2 && issuing(identity).notAfter > end;
}

/** Whether a PEM text holds all certificates of another. */
function holds(pem: string, wanted: string): boolean {
  const raws = (text: string): ReadonlySet<string> =>
    new Set(text === "" ? [] : readCertificates(text).map(({ fingerprint256 }) => fingerprint256));
  try {
    const held = raws(pem);
    return [...raws(wanted)].every(each => held.has(each));
  } catch {
    return false;
  }
}

/**
 * Whether a CA can issue once it is trusted: its key is that of its certificate, which is among those that are handed out, and it
 * has begun (one that has not is of a clock that was ahead).
 */
function isUsable({ certPem, keyPem }: NonNullable<WebhookCaRotation["next"]>, now: number): boolean {
  try {
    const certificate = new X509Certificate(certPem);
    return certificate.checkPrivateKey(createPrivateKey(keyPem)) && Date.parse(certificate.validFrom) <= now;
  } catch {
    return false;
  }
}

/** What keeps from the next step, for which something must have been so for a while; undefined: nothing. */
function stepAfter(since: number | undefined, now: number, waitMs: number): WebhookCaStep | undefined {
  // A time to come is of a clock that has been set back since: nobody knows how long it has been so.
  if (since === undefined || since > now) return { kind: "seen" };
  const left = since + waitMs - now;
  return left > 0 ? { kind: "wait", forMs: left } : undefined;
}

/** Whether the next CA can issue as soon as all trust what the Secret says. */
function isNextTrusted({ identity, rotation }: WebhookCaState, now: number): boolean {
  const { next } = rotation ?? {};
  return next !== undefined && isUsable(next, now) && holds(identity.caCertPem, next.certPem);
}

/** Both are trusted, or are to be. */
function stepToIssue(state: WebhookCaState, { now, bundles = [], waits }: WebhookCaFacts): WebhookCaStep {
  const { identity, rotation } = state;
  const since = rotation?.since;
  // An older release that wrote what it had read before, or a hand: it has to be trusted again, and perhaps made again.
  if (!isNextTrusted(state, now)) return { kind: "trust" };
  // A rotation that is held up must not let the certificate come to its end.
  if (isServingDue(identity, now)) return { kind: "renew" };
  const isSeen = bundles.length > 0 && bundles.every(bundle => holds(bundle, identity.caCertPem));
  if (!isSeen) return since === undefined ? { kind: "wait", forMs: undefined } : { kind: "unseen" };
  return stepAfter(since, now, waits.configuredMs) ?? { kind: "issue" };
}

/** The next CA issues; that before it is still trusted. */
function stepToDrop({ identity, rotation }: WebhookCaState, { now, waits }: WebhookCaFacts): WebhookCaStep {
  const ca = new X509Certificate(issuing(identity).certPem);
  // Made by a clock that was ahead: nobody believes it, so what it waits for would never come.
  if (Date.parse(ca.validFrom) > now) return { kind: "trust" };
  const isItsOwn = new X509Certificate(identity.certPem).verify(ca.publicKey);
  if (!isItsOwn || isServingDue(identity, now)) return { kind: "renew" };
  return stepAfter(rotation?.since, now, waits.servedMs) ?? { kind: "drop" };
}

/**
 * What is due. Whoever is killed before or after the write that a step is finds the same step, or the next one. Throws when the CA
 * of the Secret cannot be used.
 */
export function webhookCaStep(state: WebhookCaState, facts: WebhookCaFacts): WebhookCaStep {
  const { identity, rotation } = state;
  if (rotation !== undefined)
    return rotation.next === undefined ? stepToDrop(state, facts) : stepToIssue(state, facts);
  if (isServingDue(identity, facts.now)) return { kind: "renew" };
  if (facts.asked || isEnding(issuing(identity), facts.now)) return { kind: "trust" };
  return { kind: "rest" };
}

/** A certificate and key for the webhook server; `dnsNames`: by default those of its Service. */
export function served(
  { caCertPem, caKeyPem }: Pick<WebhookIdentity, "caCertPem" | "caKeyPem">,
  now: number,
  dnsNames: readonly string[] = WEBHOOK_DNS_NAMES,
): Pick<WebhookIdentity, "certPem" | "keyPem"> {
  const lifetime = { now, validityMs: SERVING_VALIDITY_MS };
  const { certPem, keyPem } = issueServing(loadAuthority(caCertPem, caKeyPem), dnsNames, lifetime);
  return { certPem, keyPem };
}

function trusted({ state: { identity, rotation }, now }: Written): WebhookCaState {
  const kept = rotation?.next !== undefined && isUsable(rotation.next, now) ? rotation.next : undefined;
  const next = kept ?? newCa(now);
  const caCertPem = holds(identity.caCertPem, next.certPem)
    ? identity.caCertPem
    : pemOf([...readCertificates(identity.caCertPem), new X509Certificate(next.certPem)]);
  return { identity: { ...identity, caCertPem }, rotation: { next, since: undefined } };
}

function newCa(now: number): NonNullable<WebhookCaRotation["next"]> {
  // Verifiers look for issuers by name first: two of one name would be tried one after the other.
  const { certPem, keyPem } = createRoot(now, `osm-webhook-${now.toString(36)}.openservicemesh.io`);
  return { certPem, keyPem };
}

interface Written {
  readonly state: WebhookCaState;
  readonly now: number;
  readonly dnsNames?: readonly string[] | undefined;
}

function renewed({ state, now, dnsNames }: Written): WebhookCaState {
  const { identity, rotation } = state;
  const isIssuing = rotation !== undefined && rotation.next === undefined;
  return {
    identity: { ...identity, ...served(identity, now, dnsNames) },
    // Pods follow anew.
    rotation: isIssuing ? { next: undefined, since: now } : rotation,
  };
}

function issued({ state: { identity, rotation }, now, dnsNames }: Written): WebhookCaState {
  const issuer = { ...identity, caKeyPem: rotation?.next?.keyPem ?? identity.caKeyPem };
  return {
    identity: { ...issuer, ...served(issuer, now, dnsNames) },
    rotation: { next: undefined, since: now },
  };
}

/** A step that is a write. */
export type WrittenStep = Exclude<WebhookCaStep["kind"], "rest" | "wait">;

const AFTER: Readonly<Record<WrittenStep, (written: Written) => WebhookCaState>> = {
  renew: renewed,
  trust: trusted,
  seen: ({ state: { identity, rotation }, now }) => ({
    identity,
    rotation: { next: rotation?.next, since: now },
  }),
  unseen: ({ state: { identity, rotation } }) => ({
    identity,
    rotation: { next: rotation?.next, since: undefined },
  }),
  issue: issued,
  drop: ({ state: { identity } }) => ({
    identity: { ...identity, caCertPem: issuing(identity).certPem },
    rotation: undefined,
  }),
};

/** The Secret after a step; `dnsNames`: of the serving certificate, by default those of the webhook's Services. */
export function afterStep(
  state: WebhookCaState,
  kind: WrittenStep,
  at: { readonly now: number; readonly dnsNames?: readonly string[] | undefined },
): WebhookCaState {
  return AFTER[kind]({ state, ...at });
}
