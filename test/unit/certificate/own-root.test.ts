import { expect } from "chai";
import { ownFleet, ownText, parseOwnRoots, printOwnRoots } from "../../../src/certificate/own-root";
import type { FleetTrust } from "../../../src/certificate/root-proof";
import { planRoot } from "../../../src/certificate/plan";
import { createPublicKey, X509Certificate } from "node:crypto";
import { createRoot, issueServing, loadAuthority } from "../../../src/runtime/secrets/authority";
import { FollowingAuthority } from "../../../src/runtime/secrets/own-authority";
import { builtInRoot } from "../../../src/runtime/secrets/root-record";

const NOW = Date.now();
const first = createRoot(NOW);
const builtIn = loadAuthority(first.certPem, first.keyPem);
const next = createRoot(NOW, "next");
const nextAuthority = loadAuthority(next.certPem, next.keyPem);
const publicKey = createPublicKey(next.certPem).export({ type: "spki", format: "der" });
const crossPem = builtIn.crossSign(planRoot(NOW, "next"), publicKey);
const keys = { [nextAuthority.fingerprint]: { keyPem: next.keyPem, crossPem } };
const roots = [builtInRoot(builtIn), builtInRoot(nextAuthority)];
const record = (issuing: string): string =>
  printOwnRoots({ rotation: { roots, issuing, absent: {}, made: [] }, keys, asked: "one" });

describe("the control plane's own root", () => {
  it("is read as it was written, and not at all where it is something else", () => {
    expect(parseOwnRoots(record(builtIn.fingerprint))).to.deep.equal({
      rotation: { roots, issuing: builtIn.fingerprint, absent: {}, made: [] },
      keys,
      asked: "one",
    });
    for (const wrong of ["", "{}", '{"rotation":"{}"}']) expect(() => parseOwnRoots(wrong)).to.throw();
  });

  it("issues by the root of the record, with a certificate that the root before verifies; what is wrong changes nothing", () => {
    const authority = new FollowingAuthority(builtIn);
    let changes = 0;
    authority.onChange(() => (changes += 1));
    expect([authority.certPem, authority.anchorsPem, authority.crossPem]).to.deep.equal([
      builtIn.certPem,
      builtIn.anchorsPem,
      "",
    ]);
    authority.take(record(builtIn.fingerprint));
    expect([authority.certPem, authority.anchorsPem]).to.deep.equal([
      first.certPem,
      first.certPem + next.certPem,
    ]);
    authority.take(record(nextAuthority.fingerprint));
    authority.take(record(nextAuthority.fingerprint));
    expect(() => {
      authority.take("{}");
    }).to.throw();
    expect([changes, authority.fingerprint]).to.deep.equal([2, nextAuthority.fingerprint]);
    const { certPem } = issueServing(authority, ["a.example"], { now: NOW, validityMs: 60_000 });
    const [leaf = "", cross = ""] = certPem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
    const crossed = new X509Certificate(cross);
    expect(new X509Certificate(leaf).checkIssued(crossed)).to.equal(true);
    expect(crossed.verify(createPublicKey(first.certPem))).to.equal(true);
    expect(crossed.subject).to.equal(new X509Certificate(next.certPem).subject);
    const lost = printOwnRoots({
      rotation: { roots, issuing: nextAuthority.fingerprint, absent: {}, made: [] },
      keys: {},
      asked: "",
    });
    expect(() => new FollowingAuthority(builtIn, lost), "its key is not there").to.throw();
  });

  it("waits for replicas to know, and for each proxy's handshake; an older replica proves nothing", () => {
    const own = { trust: "a+b", issuing: "b" };
    const replica = { trust: "w", issuing: "w" };
    const absent = new Map([["uid", "shop/away"]]);
    const proxies = [
      { name: "shop/new", own: "b" },
      { name: "shop/crossed", own: null },
      { name: "shop/older" },
    ];
    const fleet: FleetTrust = { complete: true, replicas: [{ ...replica, own }], proxies, absent };
    expect(ownFleet(fleet, "issue")).to.deep.equal({
      complete: true,
      replicas: [own],
      proxies: [],
      absent: new Map(),
    });
    expect(ownFleet(fleet, "drop")?.proxies).to.deep.equal([
      { name: "shop/new", issuer: "b" },
      { name: "shop/crossed", issuer: null },
      { name: "shop/older", issuer: null },
    ]);
    expect(ownFleet({ ...fleet, replicas: [{ ...replica, own }, replica] }, "drop")?.complete).to.equal(
      false,
    );
    const proof = {
      complete: false,
      known: true,
      proxies: 3,
      ready: 1,
      without: [],
      replicasReady: true,
      text: "",
    };
    expect(ownText({ ...proof, waiting: ["shop/crossed"] })).to.equal(
      "1 of 3 proxies have connected by the new root alone; waiting for shop/crossed",
    );
  });
});
