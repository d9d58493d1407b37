import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../../src/model/mesh-words";
import { watchedLog } from "../../support/told-errors";
import { keepHeldLeaf } from "../../../src/runtime/ads/held-leaf";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import { leafRoot } from "../../../src/runtime/secrets/leaf-version";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { createWorkloadSecrets, rootsOf } from "../../../src/runtime/secrets/workload-secrets";
import { findResource, type ResourceSet } from "../../../src/xds/resource";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";

const HOUR = 3_600_000;

const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);
const identity = { namespace: "shop", serviceAccount: "buyer" };

function source(validityMs = 24 * HOUR, holdMs = 0) {
  const clock = new TurnedClock();
  const secrets = createWorkloadSecrets({
    roots: rootsOf(authority),
    trustDomain: "cluster.local",
    validityMs,
    holdMs,
    clock,
    log: watchedLog,
  });
  const received: ResourceSet[] = [];
  const subscribe = () => secrets.subscribe(identity, set => received.push(set));
  return { clock, secrets, received, subscribe };
}

function leafOf(set: ResourceSet | undefined): X509Certificate {
  const body = set && findResource(set, SDS_SERVICE_CERT)?.body;
  const [pem = ""] =
    /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(Buffer.from(body ?? []).toString()) ??
    [];
  return new X509Certificate(pem);
}

const versionOf = (set: ResourceSet | undefined): string =>
  (set && findResource(set, SDS_SERVICE_CERT)?.version) ?? "";

describe("workload secrets", () => {
  it("issue one leaf per identity, shared by its streams, and release it with the last of them", () => {
    const { clock, secrets, received, subscribe } = source();
    const [first, second] = [subscribe(), subscribe()];
    expect(secrets.issued).to.equal(1);
    expect(received[0]).to.equal(received[1]);
    expect(findResource(received[0] as ResourceSet, SDS_ROOT_CERT)).to.not.equal(undefined);
    first.close();
    expect(clock.pending).to.equal(1);
    second.close();
    expect(clock.pending).to.equal(0);
  });

  it("keep a leaf for a while when its last proxy goes, renewed if that falls due, and then forget it", () => {
    const { clock, secrets, received, subscribe } = source(HOUR, 60_000);
    for (let again = 0; again < 3; again += 1) {
      subscribe().close();
      clock.pass(59_000);
    }
    expect(secrets.issued).to.equal(1);
    expect(new Set(received.map(versionOf)).size).to.equal(1);
    clock.pass(1_000);
    expect(clock.pending).to.equal(0);
    subscribe().close();
    expect(secrets.issued).to.equal(2);
    secrets.stop();
    expect(clock.pending).to.equal(0);
  });

  it("renew at half the life over twenty lives, with a quarter left at least", () => {
    const { clock, received, subscribe } = source(HOUR);
    subscribe();
    for (let minute = 0; minute < 20 * 60; minute += 1) {
      clock.pass(60_000);
      const left = Date.parse(leafOf(received.at(-1)).validTo) - clock.now();
      expect(left).to.be.above(HOUR * 0.25);
    }
    expect(received.length).to.be.within(40, 50);
    expect(new Set(received.map(versionOf)).size).to.equal(received.length);
  });

  it("renew within seconds what would outlive a shortened validity", () => {
    const { clock, secrets, received, subscribe } = source(24 * HOUR);
    subscribe();
    secrets.setValidity(HOUR);
    clock.pass(5_000);
    expect(received).to.have.length(2);
    expect(Date.parse(leafOf(received[1]).validTo) - clock.now()).to.be.within(HOUR - 6_000, HOUR);
    secrets.setValidity(24 * HOUR);
    clock.pass(5_000);
    expect(received).to.have.length(2);
  });

  it("leave a proxy the leaf of another replica until that is due", () => {
    const [here, there] = [source(), source()];
    here.subscribe();
    there.clock.pass(7 * 60_000);
    there.subscribe();
    const held = versionOf(here.received[0]);
    const set = there.received[0] as ResourceSet;
    const now = there.clock.now();
    const kept = keepHeldLeaf(set, held, now);
    expect(versionOf(kept?.secrets)).to.equal(held);
    expect(kept?.until).to.equal(Number(held.split(".")[1]) * 1000);
    expect(keepHeldLeaf(set, held, kept?.until ?? 0), "due").to.equal(undefined);
    expect(keepHeldLeaf(set, held.replace(/^[^.]+/, "0123456789abcdef"), now), "another issuer").to.equal(
      undefined,
    );
    const never = held.replace(/[^.]+$/, "99999999999");
    expect(keepHeldLeaf(set, never, now), "a due time nobody issues").to.equal(undefined);
    for (const odd of ["", "x", "1.2.3", `${held}x`]) expect(keepHeldLeaf(set, odd, now)).to.equal(undefined);
  });

  /** A root of its own, whose answers a test gives. */
  function slowIssuer() {
    const other = createRoot(TURNED_START);
    const authority = loadAuthority(other.certPem, other.keyPem);
    const asked: { answer(): void; fail(): void }[] = [];
    const issuer: Issuer = {
      anchorsPem: authority.anchorsPem,
      fingerprint: authority.fingerprint,
      issue: plan =>
        new Promise((resolve, reject) => {
          asked.push({
            answer: () => {
              resolve(authority.issue(plan));
            },
            fail: () => {
              reject(new Error("nobody answers"));
            },
          });
        }),
    };
    return { issuer, asked };
  }
  /** What promises have led to, has happened. */
  const turn = () => new Promise(resolve => setImmediate(resolve));
  const rootOf = (set: ResourceSet | undefined): string => leafRoot(versionOf(set));

  it("give trust at once and the leaf when the issuer answers; a failure is tried again within seconds", async () => {
    const { clock, secrets, received, subscribe } = source();
    const { issuer, asked } = slowIssuer();
    secrets.setRoots(rootsOf(issuer));
    subscribe();
    expect([versionOf(received[0]), received.length]).to.deep.equal(["", 1]);
    asked[0]?.fail();
    await turn();
    expect(secrets.trouble()).to.deep.include({ waiting: 1 });
    clock.pass(1_000);
    asked[1]?.answer();
    await turn();
    expect(received).to.have.length(2);
    expect(rootOf(received[1])).to.equal(issuer.fingerprint);
    expect(secrets.trouble()).to.equal(undefined);
  });

  it("change trust at once and leaves within seconds, and keep the leaf while the new issuer is silent", async () => {
    const { clock, secrets, received, subscribe } = source();
    subscribe();
    const { issuer, asked } = slowIssuer();
    const trust = { trustVersion: `${authority.fingerprint}+${issuer.fingerprint}`, trustPem: "both" };
    const before = versionOf(received[0]);
    secrets.setRoots({ issuer: authority, ...trust });
    expect(findResource(received[1] as ResourceSet, SDS_ROOT_CERT)?.version).to.equal(trust.trustVersion);
    expect(versionOf(received[1])).to.equal(before);
    secrets.setRoots({ issuer, ...trust });
    expect(secrets.given()).to.deep.equal({ trust: trust.trustVersion, issuing: issuer.fingerprint });
    clock.pass(5_000);
    expect([asked.length, received.length]).to.deep.equal([1, 2]);
    asked[0]?.answer();
    await turn();
    expect(rootOf(received[2])).to.equal(issuer.fingerprint);
  });

  it("never hand out what an issuer gives that issues no more", async () => {
    const { secrets, received, subscribe } = source();
    const { issuer, asked } = slowIssuer();
    secrets.setRoots(rootsOf(issuer));
    subscribe();
    secrets.setRoots(rootsOf(authority));
    asked[0]?.answer();
    await turn();
    expect(received.map(rootOf).filter(root => root !== "")).to.deep.equal([authority.fingerprint]);
  });
});
