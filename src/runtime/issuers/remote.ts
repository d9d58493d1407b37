/** An issuer from a signer outside this process: keys stay here, answers are checked, waiting ends. */
import { createHash } from "node:crypto";
import { IssuerError, type Signer, type SignerAnswer } from "../../certificate/issuer";
import { planWorkload, type CertificatePlan } from "../../certificate/plan";
import type { ServiceIdentity } from "../../model/identity";
import type { Clock } from "../ports";
import { keyPemOf, newKey, requestPem } from "../secrets/authority";
import { checkAnswer, type CheckedChain, type Expectation } from "./checked";
import { pemOf } from "./chain";
import type { IssuedPair, Issuer } from "./issuer";
import { Turns } from "./turns";

/** What a signer becomes an issuer with. */
export interface RemoteOptions {
  readonly signer: Signer;
  /** Describes the provider in full, for the fingerprint: other text, other issuer. */
  readonly description: string;
  readonly trustDomain: string;
  /** The name the throw-away certificate is asked for; no proxy ever has it. */
  readonly probe: ServiceIdentity;
  readonly clock: Clock;
  /** Longest time for one certificate, milliseconds. */
  readonly deadlineMs: number;
}

/** Life of the throw-away certificate, milliseconds. */
const PROBE_VALIDITY_MS = 60_000;
/**
 * Requests to one issuer at once. After a change of the root every identity asks within seconds; a slow issuer would let
 * all of them run into the deadline and come again, for ever. The time counts from each one's turn.
 */
const AT_ONCE = 16;

async function inTime(
  options: RemoteOptions,
  run: (signal: AbortSignal) => Promise<SignerAnswer>,
): Promise<SignerAnswer> {
  const { clock, deadlineMs, signer } = options;
  const stopping = new AbortController();
  let timer: { cancel(): void } | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = clock.setTimeout(() => {
      stopping.abort();
      const seconds = Math.round(deadlineMs / 1000);
      reject(new IssuerError("unavailable", `${signer.title} gave no answer within ${seconds} s`));
    }, deadlineMs);
  });
  try {
    return await Promise.race([run(stopping.signal), late]);
  } finally {
    timer?.cancel();
  }
}

type Issued = CheckedChain & Pick<IssuedPair, "keyPem">;

async function issueChecked(
  options: RemoteOptions,
  plan: CertificatePlan,
  anchors: Expectation["anchors"],
): Promise<Issued> {
  const { signer, clock } = options;
  if (plan.purpose === "root") throw new Error("a root is not issued by another root");
  const key = newKey();
  const request = {
    plan,
    csrPem: requestPem(plan, key),
    lifetimeSeconds: Math.max(1, Math.round((plan.notAfter - clock.now()) / 1000)),
  };
  const answer = await inTime(options, signal => signer.sign(request, signal));
  const expectation = { plan, key: key.privateKey, now: clock.now(), anchors };
  return { ...checkAnswer(signer.title, answer, expectation), keyPem: keyPemOf(key.privateKey) };
}

/**
 * Opens a signer by letting it issue a certificate that is thrown away: this proves the way there, the right to ask, the
 * names it allows, and gives the CA. Rejects with an IssuerError.
 */
export async function openRemote(options: RemoteOptions): Promise<Issuer> {
  const { clock, probe, trustDomain, description } = options;
  const lifetime = { now: clock.now(), validityMs: PROBE_VALIDITY_MS };
  const { anchor } = await issueChecked(options, planWorkload(probe, trustDomain, lifetime), undefined);
  const turns = new Turns(AT_ONCE);
  const identity = createHash("sha256").update(description).update("\0").update(anchor.raw);
  return {
    anchorsPem: pemOf([anchor]),
    fingerprint: identity.digest("hex").slice(0, 16),
    issue: async (plan, wish) => {
      const issued = await turns.run(() => issueChecked(options, plan, [anchor]), wish);
      const { chainPem, keyPem, notAfter, serial } = issued;
      return { certPem: chainPem, keyPem, notAfter, serial };
    },
  };
}
