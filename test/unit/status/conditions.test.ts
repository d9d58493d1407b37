import { expect } from "chai";
import type { Diagnostic } from "../../../src/model/diagnostic";
import { conditionsOf, isRelapse, type Condition, type ProxyProgress } from "../../../src/status/conditions";
import { statusChange } from "../../../src/status/object-status";

const subject = { group: "policy.openservicemesh.io", kind: "Retry", namespace: "a", name: "b" };
const NOW = Date.parse("2026-05-06T07:08:09.123Z");

function finding(severity: Diagnostic["severity"], message: string, code = "InvalidField"): Diagnostic {
  return { severity, code, subject, message };
}

function facts(
  diagnostics: readonly Diagnostic[] = [],
  progress?: ProxyProgress,
): Parameters<typeof statusChange>[2] {
  return { generation: 3, now: NOW, diagnostics, progress };
}

function brief(conditions: readonly Condition[]): string[] {
  return conditions.map(c => `${c.type}=${c.status} ${c.reason}: ${c.message}`);
}

const whole: ProxyProgress = {
  affected: 3,
  programmed: 3,
  refused: 0,
  behind: [],
  compiled: true,
  complete: true,
};

const PROGRESS: readonly (readonly [string, ProxyProgress | undefined, string])[] = [
  ["nobody counted", undefined, "Unknown Pending: The proxies have not been counted."],
  ["all have it", whole, "True Programmed: 3 of 3 affected proxies"],
  [
    "it concerns nobody",
    { ...whole, affected: 0, programmed: 0 },
    "True AffectsNoProxy: It affects no proxy.",
  ],
  ["some lack it", { ...whole, programmed: 1 }, "False Progressing: 1 of 3 affected proxies"],
  [
    "some are known by name",
    { ...whole, programmed: 1, behind: ["shop/a"] },
    "False Progressing: 1 of 3 affected proxies; waiting for shop/a and 1 more",
  ],
  [
    "a replica has not read this generation",
    { ...whole, compiled: false },
    "False Progressing: not yet read by every replica of the control plane",
  ],
  [
    "a replica cannot be asked, whatever the others say",
    { ...whole, complete: false },
    "Unknown ReplicaUnreachable: at least 3 of 3 affected proxies; a replica of the control plane cannot be asked",
  ],
  [
    "one refused it",
    { ...whole, programmed: 2, refused: 1, refusal: "bad\nregex" },
    "False RefusedByProxy: 1 of 3 affected proxies refused it: bad regex",
  ],
];

/** Which conditions a finding decides on. */
const FINDINGS: readonly (readonly [string, Diagnostic["severity"], readonly string[]])[] = [
  ["InvalidField", "error", ["Accepted=False InvalidField", "Programmed=False NotAccepted"]],
  ["NoEffect", "warning", ["Accepted=True AcceptedWithWarnings", "Programmed=True Programmed"]],
  [
    "UnresolvedReference",
    "error",
    ["ResolvedRefs=False UnresolvedReference", "Programmed=False UnresolvedRefs"],
  ],
  [
    "UnresolvedReference",
    "warning",
    ["ResolvedRefs=False UnresolvedReference", "Programmed=True Programmed"],
  ],
  ["Conflicted", "error", ["Conflicted=True Conflicted", "Programmed=False Conflicted"]],
];

const GOOD = [
  "Accepted=True Accepted",
  "ResolvedRefs=True ResolvedRefs",
  "Conflicted=False NoConflicts",
  "Programmed=True Programmed",
];

describe("conditions", () => {
  for (const [title, progress, want] of PROGRESS) {
    it(`Programmed when ${title}`, () => {
      const conditions = conditionsOf({ ...facts([], progress), existing: [] });
      expect(brief(conditions)).to.deep.equal([
        "Accepted=True Accepted: All fields are understood.",
        "ResolvedRefs=True ResolvedRefs: All references lead somewhere.",
        "Conflicted=False NoConflicts: No other object contradicts it.",
        `Programmed=${want}`,
      ]);
    });
  }

  for (const [code, severity, want] of FINDINGS) {
    it(`of a finding ${code} (${severity}): ${want.join(", ")}`, () => {
      const conditions = conditionsOf({ ...facts([finding(severity, "x", code)], whole), existing: [] });
      const named = new Set(want.map(each => each.split("=")[0]));
      const others = GOOD.filter(each => !named.has(each.split("=")[0]));
      expect(conditions.map(c => `${c.type}=${c.status} ${c.reason}`)).to.have.members([...others, ...want]);
    });
  }

  it("tell of an object in part how far the rest is, and of a refusal before anything else", () => {
    const found = [finding("error", "x")];
    const part = conditionsOf({ ...facts(found, { ...whole, programmed: 2 }), existing: [] });
    expect(part[3]?.message).to.equal(
      "Not in force as written; the rest of it is on 2 of 3 affected proxies.",
    );
    const refused = conditionsOf({ ...facts(found, { ...whole, refused: 1 }), existing: [] });
    expect(refused[3]?.reason).to.equal("RefusedByProxy");
  });

  it("know a relapse, which is written only when it lasts, from what happens to a new generation", () => {
    const done = conditionsOf({ ...facts([], whole), existing: [] });
    const late = facts([], { ...whole, programmed: 2 });
    expect(isRelapse({ ...late, existing: done })).to.equal(true);
    expect(conditionsOf({ ...late, existing: done, keepProgrammed: true })).to.deep.equal(done);
    expect(isRelapse({ ...late, generation: 4, existing: done })).to.equal(false);
    expect(isRelapse({ ...facts([], { ...whole, refused: 1 }), existing: done })).to.equal(false);
    expect(isRelapse({ ...late, existing: [] })).to.equal(false);
  });

  it("name what is wrong, in an order that does not depend on the steps that found it", () => {
    const found = [
      finding("error", "spec.b is wrong"),
      finding("warning", "spec.c is odd"),
      finding("error", "spec.a is wrong"),
    ];
    const one = conditionsOf({ ...facts(found, whole), existing: [] });
    const other = conditionsOf({ ...facts([...found].reverse(), whole), existing: [] });
    expect(one).to.deep.equal(other);
    expect(brief(one)[0]).to.equal(
      "Accepted=False InvalidField: spec.a is wrong; spec.b is wrong; spec.c is odd",
    );
    expect(one[0]).to.include({ observedGeneration: 3, lastTransitionTime: "2026-05-06T07:08:09Z" });
  });

  it("tell one reason from several, and a caveat from a fault", () => {
    const several = [finding("error", "x"), finding("error", "y", "UnknownField")];
    expect(conditionsOf({ ...facts(several), existing: [] })[0]?.reason).to.equal("SeveralFindings");
    const caveat = conditionsOf({ ...facts([finding("warning", "spec.c is odd")]), existing: [] })[0];
    expect(brief(caveat === undefined ? [] : [caveat])).to.deep.equal([
      "Accepted=True AcceptedWithWarnings: spec.c is odd",
    ]);
  });

  it("stay short and on one line, whatever is found", () => {
    const many = Array.from({ length: 500 }, (_, n) =>
      finding("error", `spec[${n}] \u0000\u2028${"x".repeat(300)}`),
    );
    const message = conditionsOf({ ...facts(many), existing: [] })[0]?.message ?? "";
    expect(message.length).to.be.at.most(4_096);
    // eslint-disable-next-line no-control-regex -- these must not be there
    expect(message).not.to.match(/[\u0000-\u001f\u2028]/);
  });

  it("keep the time of transition while the status is the same, and other owners' conditions", () => {
    const old = "2020-01-01T00:00:00Z";
    const foreign: Condition = {
      type: "Theirs",
      status: "True",
      observedGeneration: 1,
      lastTransitionTime: old,
      reason: "R",
      message: "m",
    };
    const existing: Condition[] = [
      foreign,
      { ...foreign, type: "Accepted", status: "True", reason: "Other" },
      { ...foreign, type: "Programmed", status: "True" },
    ];
    const next = conditionsOf({ ...facts([finding("warning", "w")], { ...whole, programmed: 1 }), existing });
    expect(next.map(c => [c.type, c.lastTransitionTime])).to.deep.equal([
      ["Accepted", old],
      ["ResolvedRefs", "2026-05-06T07:08:09Z"],
      ["Conflicted", "2026-05-06T07:08:09Z"],
      ["Programmed", "2026-05-06T07:08:09Z"],
      ["Theirs", old],
    ]);
    expect(next[4]).to.equal(foreign);
  });
});

describe("status of an object", () => {
  it("is written once and then left alone until something changes", () => {
    const first = statusChange("Retry", undefined, facts());
    expect(first).to.have.keys("observedGeneration", "conditions");
    expect(statusChange("Retry", first, { ...facts(), now: NOW + 1e6 })).to.equal(undefined);
    expect(statusChange("Retry", first, { ...facts(), generation: 4 })).to.include({ observedGeneration: 4 });
    expect(statusChange("Retry", first, facts([finding("error", "x")]))).not.to.equal(undefined);
  });

  it("has OSM's own fields where OSM had them", () => {
    expect(statusChange("IngressBackend", {}, facts())).to.include({
      currentStatus: "committed",
      reason: "",
    });
    expect(
      statusChange("UpstreamTrafficSetting", {}, facts([finding("error", "spec.host is wrong")])),
    ).to.include({
      currentStatus: "error",
      reason: "spec.host is wrong",
    });
  });

  it("is written over anything that is not a status", () => {
    for (const odd of [null, 5, "x", { conditions: "none" }, { conditions: [null, { type: 1 }] }]) {
      expect(statusChange("Retry", odd, facts())?.conditions).to.have.length(4);
    }
  });
});
