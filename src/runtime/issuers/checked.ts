/** What an answer has to be before anybody uses it: a certificate for this key, these names, this life, from this CA. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { usagesOf } from "../../certificate/der";
import { IssuerError, type SignerAnswer } from "../../certificate/issuer";
import type { CertificatePlan } from "../../certificate/plan";
import { climb, earliestEnd, pemOf, readCertificates } from "./chain";

/** What an answer is held against. */
export interface Expectation {
  readonly plan: CertificatePlan;
  readonly key: KeyObject;
  /** Epoch milliseconds. */
  readonly now: number;
  /** The trust anchors, where they are known already. */
  readonly anchors: readonly X509Certificate[] | undefined;
}

/** An answer that is as expected. */
export interface CheckedChain {
  /** The leaf and the intermediates, PEM. */
  readonly chainPem: string;
  readonly anchor: X509Certificate;
  /** Epoch milliseconds: the earliest end in the chain. */
  readonly notAfter: number;
  /** Hexadecimal, lower case. */
  readonly serial: string;
}

/** A certificate may end so much later than asked for, as far as clocks differ, milliseconds. */
const CLOCK_SLACK_MS = 60_000;

function sameNames(leaf: X509Certificate, plan: CertificatePlan): boolean {
  const wanted = [...plan.uris.map(uri => `URI:${uri}`), ...plan.dnsNames.map(name => `DNS:${name}`)];
  const given = new Set((leaf.subjectAltName ?? "").split(", "));
  return given.size === wanted.length && wanted.every(name => given.has(name));
}

/** The first thing that is wrong with the leaf; undefined when nothing is. */
function faultOf(leaf: X509Certificate, { plan, key, now }: Expectation): string | undefined {
  const [begin, end] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  // Node calls the extended key usages keyUsage; its types leave out that a certificate may have none.
  const usages = (leaf.keyUsage as readonly string[] | undefined) ?? [];
  const faults: readonly (readonly [boolean, string])[] = [
    [!leaf.checkPrivateKey(key), "is for another key"],
    [leaf.ca, "is a CA certificate"],
    [!sameNames(leaf, plan), `has other names than asked for (${leaf.subjectAltName ?? "none"})`],
    [!usagesOf(plan.purpose).every(usage => usages.includes(usage)), "lacks an extended key usage"],
    [!(end > now), "has ended already"],
    [begin > now + CLOCK_SLACK_MS, "is not valid yet"],
    [end > plan.notAfter + CLOCK_SLACK_MS, `lives longer than asked for (until ${leaf.validTo})`],
  ];
  return faults.find(([wrong]) => wrong)?.[1];
}

function read(title: string, pem: string): readonly X509Certificate[] {
  try {
    return readCertificates(pem);
  } catch (error) {
    throw new IssuerError("garbage", `${title} answered with no certificate: ${String(error)}`);
  }
}

/** The issuers from the leaf up to one of the anchors, which is the last of them. */
function pathOf(
  title: string,
  certificates: readonly X509Certificate[],
  anchors: Expectation["anchors"],
): readonly X509Certificate[] {
  const [leaf, ...others] = certificates as [X509Certificate, ...X509Certificate[]];
  const path = climb(leaf, [...(anchors ?? []), ...others]);
  if (path.length === 0)
    throw new IssuerError("garbage", `${title} gave a certificate without that of its issuer`);
  if (anchors === undefined) return path;
  const trusted = new Set(anchors.map(({ fingerprint256 }) => fingerprint256));
  const end = path.findIndex(({ fingerprint256 }) => trusted.has(fingerprint256));
  if (end < 0)
    throw new IssuerError("garbage", `${title} issues from another CA than the one that is trusted`);
  return path.slice(0, end + 1);
}

/** Judges an answer; throws an IssuerError `garbage` that says what is wrong with it. */
export function checkAnswer(title: string, answer: SignerAnswer, expectation: Expectation): CheckedChain {
  const certificates = read(title, answer.certificatesPem);
  const [leaf] = certificates as [X509Certificate];
  const fault = faultOf(leaf, expectation);
  if (fault !== undefined) throw new IssuerError("garbage", `the certificate of ${title} ${fault}`);
  const path = pathOf(title, certificates, expectation.anchors);
  const [anchor, between] = [path.at(-1) ?? leaf, path.slice(0, -1)];
  return {
    chainPem: pemOf([leaf, ...between]),
    anchor,
    notAfter: earliestEnd([leaf, ...path]),
    serial: leaf.serialNumber.toLowerCase(),
  };
}
