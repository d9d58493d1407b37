import { createPrivateKey, type X509Certificate } from "node:crypto";
import { expect } from "chai";
import { usagesOf } from "../../src/certificate/der";
import { IssuerError, type IssuerTrouble } from "../../src/certificate/issuer";
import { planGateway, planWorkload } from "../../src/certificate/plan";
import { systemClock } from "../../src/runtime/clock";
import type { Clock } from "../../src/runtime/ports";
import { readCertificates } from "../../src/runtime/issuers/chain";
import type { IssuedPair, Issuer } from "../../src/runtime/issuers/issuer";
import type { OpensslCa } from "./openssl-ca";

/** What can be wrong with who issues. */
export type Fault =
  | "down"
  | "slow"
  | "ill"
  | "refusing"
  | "garbage"
  | "another key"
  | "other names"
  | "too long"
  | "another CA";

/** The trouble that each fault has to be named as. */
const NAMED: Readonly<Record<Fault, IssuerTrouble>> = {
  down: "unavailable",
  slow: "unavailable",
  ill: "unavailable",
  refusing: "refused",
  garbage: "garbage",
  "another key": "garbage",
  "other names": "garbage",
  "too long": "garbage",
  "another CA": "garbage",
};

/** One issuer that the contract is held against. */
export interface ContractSubject {
  readonly open: () => Promise<Issuer>;
  /** Any CA: its OpenSSL verifies. */
  readonly openssl: OpensslCa;
  /** Faults it can be given, and how; undefined ends the present one. */
  readonly faults?: {
    readonly possible: readonly Fault[];
    set(fault: Fault | undefined): Promise<void>;
  };
  /** Secrets that no error may quote. */
  readonly secrets?: readonly string[];
}

/** Trust domain of the contract. */
export const TRUST_DOMAIN = "cluster.local";
const BUYER = { namespace: "bookbuyer", serviceAccount: "bookbuyer.v1" };

function workload(validityMs: number): ReturnType<typeof planWorkload> {
  return planWorkload(BUYER, TRUST_DOMAIN, { now: Date.now(), validityMs });
}

function leafOf({ certPem }: IssuedPair): X509Certificate {
  const [leaf] = readCertificates(certPem);
  if (leaf === undefined) throw new Error("no leaf");
  return leaf;
}

/** How an attempt failed; undefined: it did not. */
export async function failureOf(attempt: () => unknown): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A clock on which waiting is over at once while somebody is slow, so that no test waits for a deadline. */
export class HurriedClock implements Clock {
  hurried = false;

  now(): number {
    return systemClock.now();
  }

  setTimeout(run: () => void, ms: number): { cancel(): void } {
    return systemClock.setTimeout(run, this.hurried ? 100 : ms);
  }

  /** Faults as before, and the clock with them. */
  with(faults: NonNullable<ContractSubject["faults"]>): NonNullable<ContractSubject["faults"]> {
    const set = async (fault: Fault | undefined): Promise<void> => {
      await faults.set(fault);
      this.hurried = fault === "slow";
    };
    return { possible: faults.possible, set };
  }
}

/** The same tests for every issuer; `subject` is asked for inside of them. */
export function holdsTheContract(subject: () => ContractSubject): void {
  it("gives the names, usages and key asked for, in a chain that OpenSSL accepts", async () => {
    const { open, openssl } = subject();
    const issuer = await open();
    const pair = await issuer.issue(workload(3_600_000));
    const leaf = leafOf(pair);
    // In any order: cert-manager has one of its own.
    expect(leaf.subjectAltName?.split(", ")).to.have.members([
      "URI:spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer.v1",
      "DNS:bookbuyer.v1.bookbuyer.cluster.local",
    ]);
    expect(leaf.keyUsage).to.include.members([...usagesOf("workload")]);
    expect(leaf.ca).to.equal(false);
    expect(leaf.checkPrivateKey(createPrivateKey(pair.keyPem))).to.equal(true);
    expect(Math.floor(pair.notAfter / 1000) * 1000).to.equal(Date.parse(leaf.validTo));
    expect(BigInt(`0x${pair.serial}`)).to.equal(BigInt(`0x${leaf.serialNumber}`));
    for (const purpose of ["sslserver", "sslclient"] as const)
      expect(await openssl.verify(pair.certPem, issuer.anchorsPem, purpose)).to.contain(": OK");
  });

  it("issues for a gateway, which has no identity of a workload", async () => {
    const { open, openssl } = subject();
    const issuer = await open();
    const plan = planGateway(["gateway.ingress.cluster.local"], { now: Date.now(), validityMs: 600_000 });
    const pair = await issuer.issue(plan);
    expect(leafOf(pair).subjectAltName).to.equal("DNS:gateway.ingress.cluster.local");
    expect(await openssl.verify(pair.certPem, issuer.anchorsPem, "sslclient")).to.contain(": OK");
  });

  for (const seconds of [60, 600, 3_601]) {
    it(`gives a life of ${seconds} s to the second`, async () => {
      const issuer = await subject().open();
      const plan = workload(seconds * 1_000);
      const pair = await issuer.issue(plan);
      // Half a second of rounding, and a second that X.509 does not divide; signed before now.
      expect(Date.parse(leafOf(pair).validTo)).to.be.within(
        plan.notAfter - 1_500,
        Date.now() + seconds * 1_000 + 500,
      );
    });
  }

  it("is the same issuer each time it is opened, with another key and serial number for each leaf", async () => {
    const [first, second] = [await subject().open(), await subject().open()];
    expect(second.fingerprint)
      .to.equal(first.fingerprint)
      .and.match(/^[0-9a-f]{16}$/);
    expect(second.anchorsPem).to.equal(first.anchorsPem);
    const pairs = [await first.issue(workload(60_000)), await second.issue(workload(60_000))];
    expect(new Set(pairs.map(({ serial }) => serial)).size).to.equal(2);
    expect(new Set(pairs.map(({ keyPem }) => keyPem)).size).to.equal(2);
  });

  it("says what is wrong by name, quotes no secret, and issues again when it is over", async () => {
    const { open, faults, secrets = [] } = subject();
    if (faults === undefined) return;
    const issuer = await open();
    for (const fault of faults.possible) {
      await faults.set(fault);
      const error = await failureOf(() => issuer.issue(workload(60_000)));
      expect(error, fault).to.be.instanceOf(IssuerError);
      expect((error as IssuerError).trouble, `${fault}: ${String(error)}`).to.equal(NAMED[fault]);
      for (const secret of secrets) expect(String(error)).to.not.contain(secret);
      await faults.set(undefined);
      expect(await issuer.issue(workload(60_000)), `after ${fault}`).to.have.property("certPem");
    }
  });
}
