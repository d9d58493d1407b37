import { expect } from "chai";
import { initialRotation, type RotationStep, type TrustedRoot } from "../../../src/certificate/root-rotation";
import type { RootView } from "../../../src/runtime/control-plane/root-keeper";
import { readRootObject } from "../../../src/runtime/control-plane/root-objects";
import { rootFields, rootFindings, rootProgress } from "../../../src/runtime/control-plane/root-reports";
import { conditionsOf } from "../../../src/status/conditions";

const PLACE = { osmNamespace: "osm-system" };
const builtIn: TrustedRoot = {
  fingerprint: "a".repeat(16),
  owner: undefined,
  anchorsPem: "a",
  provider: undefined,
};
const own: TrustedRoot = { ...builtIn, fingerprint: "b".repeat(16), owner: "own" };
const state = { ...initialRotation(builtIn), roots: [builtIn, own] };

function object(spec: object, name = "own"): ReturnType<typeof readRootObject> {
  const metadata = {
    name,
    generation: 3,
    annotations: { "openservicemesh.io/rotation-without": " shop/a,*, " },
  };
  return readRootObject({ metadata, spec } as unknown as Parameters<typeof readRootObject>[0]);
}

const REST: RotationStep = { state, made: undefined, next: undefined, proof: undefined, text: "Settled." };

function view(changes: Partial<RootView> = {}): RootView {
  const objects = [object({ role: "active" })];
  return { enabled: true, step: REST, objects, errors: new Map(), next: new Map(), proxies: 40, ...changes };
}

function codes(given: RootView, name = "own", namespace = "osm-system"): readonly string[] {
  const subject = { group: "config.openservicemesh.io", kind: "MeshRootCertificate", namespace, name };
  return rootFindings(subject, given, PLACE).map(({ code }) => code);
}

describe("what a MeshRootCertificate is told", () => {
  it("is nothing when all is well, and one reason otherwise", () => {
    expect(codes(view())).to.deep.equal([]);
    expect(codes(view(), "own", "default")).to.deep.equal(["InvalidField"]);
    expect(codes(view({ enabled: false }))).to.deep.equal(["FeatureDisabled"]);
    const other = object({ role: "active", trustDomain: "other.domain" });
    expect(codes(view({ objects: [other] }))).to.deep.equal([]);
    expect(codes(view({ errors: new Map([["own", "Secret x does not exist"]]) }))).to.deep.equal([
      "UnresolvedReferenceIssuer",
    ]);
    const three = ["a", "b", "own"].map(name => object({ intent: "passive" }, name));
    expect(codes(view({ objects: three }))).to.deep.equal(["ConflictTooManyRoots"]);
  });

  it("reads either name of the role, and whom not to wait for", () => {
    expect(object({ intent: "active" })).to.deep.include({ role: "active", ignored: ["shop/a", "*"] });
    expect(object({}).role).to.equal("inactive");
  });

  it("is Programmed only when nothing is under way", () => {
    const conditions = (given: RootView): string => {
      const facts = {
        generation: 3,
        now: 0,
        existing: [],
        diagnostics: [],
        progress: rootProgress("own", given),
      };
      const found = conditionsOf(facts).find(({ type }) => type === "Programmed");
      return `${found?.status ?? ""} ${found?.reason ?? ""}: ${found?.message ?? ""}`;
    };
    expect(conditions(view())).to.equal("True Programmed: 40 of 40 affected proxies");
    const proof = {
      complete: false,
      known: true,
      proxies: 40,
      ready: 38,
      waiting: ["shop/a", "shop/b (not connected)"],
      without: [],
      replicasReady: true,
      text: "38 of 40 proxies trust the new root; waiting for shop/a, shop/b (not connected)",
    };
    const next = { kind: "issue" as const, root: own };
    const waiting = view({ step: { ...REST, next, proof, text: proof.text } });
    expect(conditions(waiting)).to.equal(
      "False Progressing: 38 of 40 affected proxies; waiting for shop/a, shop/b (not connected)",
    );
    expect(rootFields("own", waiting)).to.deep.include({
      state: "validating, to issue",
      progress: proof.text,
    });
    expect(rootFields("own", waiting)?.componentStatuses).to.include({
      sidecar: "validating",
      xdsControlPlane: "unused",
    });
    const standing = { ...proof, complete: true, ready: 40, waiting: [] };
    expect(conditions(view({ step: { ...REST, next, proof: standing } }))).to.contain("False Progressing");
    expect(conditions(view({ step: { ...REST, made: next } }))).to.contain("False Progressing");
    const unknown = { ...standing, complete: false, known: false };
    expect(conditions(view({ step: { ...REST, next, proof: unknown } }))).to.contain(
      "Unknown ReplicaUnreachable",
    );
  });
});
