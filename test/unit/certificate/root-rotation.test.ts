import { expect } from "chai";
import { GATEWAY_TAKES_MS, type RotationFacts } from "../../../src/certificate/root-proof";
import {
  bundlePem,
  bundleVersion,
  callerDomainsOf,
  initialRotation,
  NAMES_STAND_MS,
  PROOF_STANDS_MS,
  stepRotation,
  trustDomainsOf,
  type RotationState,
  type TrustedRoot,
} from "../../../src/certificate/root-rotation";
import { parseRotation, printRotation } from "../../../src/certificate/rotation-record";
import { wantedRoots, type RootRequest } from "../../../src/certificate/wanted-roots";

const LEAF_MS = 3_600_000;

function rootOf(letter: string, owner: string | undefined): TrustedRoot {
  const anchorsPem = `-----BEGIN CERTIFICATE-----\n${letter}\n-----END CERTIFICATE-----\n`;
  return { fingerprint: letter.repeat(16), owner, anchorsPem, provider: undefined };
}

const A = rootOf("a", undefined);
const B = rootOf("b", "one");
const C = rootOf("c", "two");
const START = initialRotation(A);
const TO_B = { issuing: B.fingerprint, roots: [B] };
const BOTH: RotationState = { ...START, roots: [A, B] };
const given = { trust: bundleVersion([A, B]), issuing: A.fingerprint };

function facts(changes: Partial<RotationFacts> = {}): RotationFacts {
  const fleet = { complete: true, replicas: [given], proxies: [], absent: new Map<string, string>() };
  const always = { gateway: undefined, leafLifeMs: LEAF_MS, ignored: new Set<string>(), trustDomain: "mesh" };
  return { now: 0, fleet, ...always, ...changes };
}

function fleet(changes: Partial<NonNullable<RotationFacts["fleet"]>>): Pick<RotationFacts, "fleet"> {
  return { fleet: { complete: true, replicas: [given], proxies: [], absent: new Map(), ...changes } };
}

/** The step after the proof has stood. */
function afterProof(state: RotationState, given: RotationFacts): ReturnType<typeof stepRotation> {
  const first = stepRotation(state, TO_B, given);
  return stepRotation(first.state, TO_B, { ...given, now: given.now + PROOF_STANDS_MS });
}

describe("the rotation of roots", () => {
  it("knows callers by names of a dropped trust domain for as long as a leaf of it could live, also after a kill", () => {
    const other: TrustedRoot = { ...B, trustDomain: "other" };
    const left: RotationState = { ...START, roots: [other, A], issuing: A.fingerprint };
    const only = { issuing: A.fingerprint, roots: [A] };
    const dropping = stepRotation(left, only, facts());
    const { state, made } = stepRotation(dropping.state, only, facts({ now: PROOF_STANDS_MS }));
    expect([made?.kind, trustDomainsOf(state.roots, "mesh")]).to.deep.equal(["drop", ["mesh"]]);
    const read = parseRotation(printRotation(state));
    expect(callerDomainsOf(read, "mesh")).to.deep.equal(["mesh", "other"]);
    const until = PROOF_STANDS_MS + LEAF_MS;
    const later = (now: number): readonly string[] =>
      callerDomainsOf(stepRotation(read, only, facts({ now })).state, "mesh");
    expect(later(until - 1)).to.deep.equal(["mesh", "other"]);
    expect(later(until)).to.deep.equal(["mesh"]);
  });

  it("has nothing past where the trust domain stays", () => {
    const left: RotationState = { ...START, roots: [B, A], issuing: A.fingerprint };
    const only = { issuing: A.fingerprint, roots: [A] };
    const { state } = stepRotation(
      stepRotation(left, only, facts()).state,
      only,
      facts({ now: PROOF_STANDS_MS }),
    );
    expect([state.roots, state.past]).to.deep.equal([[A], undefined]);
  });

  it("names who is waited for, and how many are ready", () => {
    const proxies = ["a", "b", "c", "d", "e"].map(name => ({ name: `shop/${name}`, trust: A.fingerprint }));
    const ready = { name: "shop/ready", trust: given.trust };
    const { proof } = stepRotation(BOTH, TO_B, facts(fleet({ proxies: [ready, ...proxies] })));
    expect(proof?.text).to.equal(
      "1 of 6 proxies trust the new root; waiting for shop/a, shop/b, shop/c and 2 more",
    );
  });

  it("makes no move while a replica cannot be asked, whatever the others say", () => {
    const step = afterProof(BOTH, facts(fleet({ complete: false })));
    expect([step.made, step.proof?.known]).to.deep.equal([undefined, false]);
    expect(afterProof(BOTH, facts({ fleet: undefined })).made).to.equal(undefined);
  });

  it("waits for a replica that still gives out the old bundle, and for a proof to stand", () => {
    const old = { trust: A.fingerprint, issuing: A.fingerprint };
    expect(afterProof(BOTH, facts(fleet({ replicas: [given, old] }))).proof?.waiting).to.deep.equal([
      "a replica of the control plane",
    ]);
    const step = stepRotation(BOTH, TO_B, facts());
    expect([step.made, step.proof?.complete]).to.deep.equal([undefined, true]);
    expect(afterProof(BOTH, facts()).made).to.deep.equal({ kind: "issue", root: B });
  });

  it("counts a proof anew when it was broken, and when the clock went back", () => {
    const held = stepRotation(BOTH, TO_B, facts()).state;
    const broken = stepRotation(held, TO_B, facts({ now: 1_000, ...fleet({ complete: false }) })).state;
    expect(stepRotation(broken, TO_B, facts({ now: 2_000 })).made).to.equal(undefined);
    const back = stepRotation(held, TO_B, facts({ now: -10_000 })).state;
    expect(stepRotation(back, TO_B, facts({ now: -10_000 + PROOF_STANDS_MS })).made?.kind).to.equal("issue");
  });

  it("waits for a live proxy that is not connected until its leaf has expired for sure, also after a restart", () => {
    const absent = new Map([["uid", "shop/away"]]);
    const first = stepRotation(BOTH, TO_B, facts(fleet({ absent })));
    expect(first.proof?.waiting).to.deep.equal(["shop/away (not connected)"]);
    const restarted = parseRotation(printRotation(first.state));
    const before = stepRotation(restarted, TO_B, facts({ now: LEAF_MS - 1, ...fleet({ absent }) }));
    expect(before.proof?.complete).to.equal(false);
    const after = stepRotation(before.state, TO_B, facts({ now: LEAF_MS, ...fleet({ absent }) }));
    expect(after.proof?.complete).to.equal(true);
  });

  it("goes on without those whom the operator names, or without any, and remembers it", () => {
    const absent = new Map([
      ["1", "shop/x"],
      ["2", "shop/y"],
    ]);
    const one = facts({ ...fleet({ absent }), ignored: new Set(["shop/x"]) });
    expect(afterProof(BOTH, one).proof?.waiting).to.deep.equal(["shop/y (not connected)"]);
    const all = afterProof(BOTH, facts({ ...fleet({ absent }), ignored: new Set(["*"]) }));
    expect(all.state.made.at(-1)).to.deep.include({ kind: "issue", without: ["shop/x", "shop/y"] });
  });

  it("does not wait for proxies that came after all replicas were ready", () => {
    const late = { name: "shop/new", trust: null, issuer: null };
    const old = { name: "shop/old", trust: bundleVersion([A]), issuer: A.fingerprint };
    const behind = { ...given, trust: bundleVersion([A]) };
    const first = stepRotation(BOTH, TO_B, facts(fleet({ proxies: [old], replicas: [given, behind] })));
    const second = stepRotation(first.state, TO_B, facts(fleet({ proxies: [old, late] })));
    expect(second.proof?.waiting, "both were there by then").to.deep.equal(["shop/old", "shop/new"]);
    const newest = { ...late, name: "shop/newest" };
    const absent = new Map([["uid", "shop/starting"]]);
    const ready = { ...old, trust: bundleVersion([A, B]) };
    const proxies = [ready, { ...late, trust: bundleVersion([A, B]) }, newest];
    const third = stepRotation(second.state, TO_B, facts(fleet({ proxies, absent })));
    expect(third.proof).to.deep.include({ complete: true, waiting: [] });
    const again = stepRotation(
      parseRotation(printRotation(third.state)),
      TO_B,
      facts(fleet({ proxies, absent })),
    );
    expect(again.proof?.waiting, "a new writer counts all").to.deep.equal([
      "shop/newest",
      "shop/starting (not connected)",
    ]);
  });

  it("takes an ingress gateway's Secret for taken up only after a while", () => {
    const gateway = { trust: [A.fingerprint, B.fingerprint], issuing: A.fingerprint, since: 0 };
    const early = facts({ gateway, now: GATEWAY_TAKES_MS - 1 });
    expect(stepRotation(BOTH, TO_B, early).proof?.waiting).to.deep.equal(["the ingress gateway's Secret"]);
    expect(stepRotation(BOTH, TO_B, facts({ gateway, now: GATEWAY_TAKES_MS })).proof?.complete).to.equal(
      true,
    );
    const issuing: RotationState = { ...BOTH, issuing: B.fingerprint };
    const unknown = facts({ gateway: { ...gateway, issuing: undefined }, now: GATEWAY_TAKES_MS });
    expect(stepRotation(issuing, TO_B, unknown).proof?.complete, "of no known root").to.equal(false);
  });

  it("of another trust domain waits for configuration that knows it, at every proxy and every replica", () => {
    const other = { ...B, trustDomain: "other" };
    const both: RotationState = { ...START, roots: [A, other] };
    const proxy = { name: "shop/a", trust: bundleVersion([A, other]), issuer: A.fingerprint };
    const waiting = (
      ofProxy: readonly string[] | undefined,
      ofReplica: readonly string[] | undefined,
    ): readonly string[] | undefined => {
      const proxies = [{ ...proxy, ...(ofProxy && { domains: ofProxy }) }];
      const replicas = [{ ...given, ...(ofReplica && { domains: ofReplica }) }];
      const to = { issuing: other.fingerprint, roots: [other] };
      return stepRotation(both, to, facts(fleet({ proxies, replicas }))).proof?.waiting;
    };
    const known = ["mesh", "other"];
    expect(waiting(known, known)).to.deep.equal([]);
    expect(waiting(["mesh"], known)).to.deep.equal(["shop/a"]);
    expect(waiting([], known)).to.deep.equal(["shop/a"]);
    // An older release says nothing, and knows that of the mesh alone.
    expect(waiting(undefined, known)).to.deep.equal(["shop/a"]);
    expect(waiting(known, undefined)).to.deep.equal(["a replica of the control plane"]);
    const ready = fleet({ replicas: [{ ...given, domains: known }] });
    const to = { issuing: other.fingerprint, roots: [other] };
    const { state } = stepRotation(both, to, facts(ready));
    const after = (now: number): unknown => stepRotation(state, to, facts({ ...ready, now })).made?.kind;
    expect([after(NAMES_STAND_MS - 1), after(NAMES_STAND_MS)]).to.deep.equal([undefined, "issue"]);
  });

  it("of the issuing root's trust domain waits for no configuration: its names are in use", () => {
    const [first, second] = [A, B].map(root => ({ ...root, trustDomain: "other" })) as [
      TrustedRoot,
      TrustedRoot,
    ];
    const trust = bundleVersion([A, B]);
    const proxies = [{ name: "shop/a", trust, issuer: A.fingerprint, domains: [] }];
    const replicas = [{ ...given, domains: [] }];
    const proofOf = (roots: readonly TrustedRoot[], root: TrustedRoot): readonly string[] | undefined => {
      const to = { issuing: root.fingerprint, roots: [root] };
      return stepRotation({ ...START, roots }, to, facts(fleet({ proxies, replicas }))).proof?.waiting;
    };
    expect(proofOf([A, B], B), "both the mesh's own").to.deep.equal([]);
    expect(proofOf([first, second], second), "both another").to.deep.equal([]);
    const all = ["shop/a", "a replica of the control plane"];
    expect(proofOf([first, B], B), "back to the mesh's own").to.deep.equal(all);
  });

  it("turns back at once when nothing of the new root has been issued", () => {
    const back = stepRotation(BOTH, { issuing: A.fingerprint, roots: [A] }, facts());
    expect(back.next).to.deep.equal({ kind: "drop", root: B });
  });

  it("trusts an anchor that two roots share once", () => {
    expect(bundlePem([A, { anchorsPem: A.anchorsPem }, B])).to.equal(A.anchorsPem + B.anchorsPem);
  });
});

describe("the record of a rotation", () => {
  it("is read as it was written, without what need not survive", () => {
    const other: RotationState = { ...BOTH, roots: [A, { ...B, trustDomain: "other" }] };
    expect(parseRotation(printRotation(other))).to.deep.equal(other);
    const state = afterProof(BOTH, facts()).state;
    expect(parseRotation(printRotation({ ...state, proven: { move: "x", since: 1 } }))).to.deep.equal(state);
  });

  it("is never taken for none when it cannot be understood", () => {
    const text = printRotation(BOTH);
    for (const bad of [
      "",
      "{}",
      text.replace('"version":1', '"version":2'),
      text.replace(/"issuing":"a+"/, '"issuing":"f"'),
      text.replaceAll("BEGIN CERTIFICATE", "BEGIN"),
    ])
      expect(() => parseRotation(bad)).to.throw();
  });
});

describe("what MeshRootCertificates ask for", () => {
  const request = (root: TrustedRoot, role: RootRequest["role"], createdAt = "1"): RootRequest => ({
    name: root.owner ?? "",
    role,
    createdAt,
    root,
  });
  const wanted = (requests: readonly RootRequest[], state = START): readonly [string | undefined, string] => {
    const { issuing, roots } = wantedRoots(requests, A, state);
    return [issuing?.slice(0, 1), roots.map(({ fingerprint }) => fingerprint.slice(0, 1)).join("")];
  };

  it("follows OSM's table", () => {
    const [b, c] = [
      (role: RootRequest["role"]) => request(B, role),
      (role: RootRequest["role"]) => request(C, role),
    ];
    expect(wanted([])).to.deep.equal(["a", "a"]);
    expect(wanted([b("active")])).to.deep.equal(["b", "b"]);
    expect(wanted([b("passive")])).to.deep.equal(["a", "ab"]);
    expect(wanted([b("active"), c("passive")])).to.deep.equal(["b", "bc"]);
    const inUse: RotationState = { ...START, roots: [B, C], issuing: C.fingerprint };
    expect(wanted([b("active"), c("active")], inUse)).to.deep.equal([undefined, "bc"]);
    expect(wanted([b("active"), c("active")])).to.deep.equal(["b", "bc"]);
    expect(wanted([b("passive"), c("active")])).to.deep.equal(["c", "bc"]);
    expect(wanted([b("inactive"), c("active")])).to.deep.equal(["c", "c"]);
  });

  it("changes nothing for a provider that cannot be asked, and takes the older two of three", () => {
    const silent = { ...request(B, "active"), root: undefined };
    expect(wanted([silent])).to.deep.equal([undefined, ""]);
    expect(wanted([silent], { ...START, roots: [A, B], issuing: B.fingerprint })).to.deep.equal([
      undefined,
      "b",
    ]);
    const third = request({ ...rootOf("d", "three") }, "active", "3");
    expect(wanted([third, request(B, "active", "1"), request(C, "passive", "2")])).to.deep.equal(["b", "bc"]);
  });
});
