import { expect } from "chai";
import type { Diagnostic } from "../../../src/model/diagnostic";
import { conditionsOf, type Condition, type ProxyProgress } from "../../../src/status/conditions";
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

const whole: ProxyProgress = { live: 3, programmed: 3, refused: 0, complete: true };

const PROGRESS: readonly (readonly [string, ProxyProgress | undefined, string])[] = [
  ["nobody counted", undefined, "Programmed=Unknown Pending: The proxies have not been counted."],
  ["all have it", whole, "Programmed=True Programmed: 3 of 3 proxies"],
  ["no proxies at all", { ...whole, live: 0, programmed: 0 }, "Programmed=True Programmed: 0 of 0 proxies"],
  ["some lack it", { ...whole, programmed: 1 }, "Programmed=False Progressing: 1 of 3 proxies"],
  [
    "a replica cannot be asked, whatever the others say",
    { ...whole, complete: false },
    "Programmed=Unknown ReplicaUnreachable: at least 3 of 3 proxies",
  ],
  [
    "one refused it",
    { ...whole, programmed: 2, refused: 1, refusal: "bad\nregex" },
    "Programmed=False Refused: 1 of 3 proxies refused it: bad regex",
  ],
];

describe("conditions", () => {
  for (const [title, progress, want] of PROGRESS) {
    it(`Programmed when ${title}`, () => {
      const conditions = conditionsOf({ ...facts([], progress), existing: [] });
      expect(brief(conditions)).to.deep.equal([
        "Accepted=True Accepted: All fields are understood and in effect.",
        want,
      ]);
    });
  }

  it("name what is wrong, in an order that does not depend on the steps that found it", () => {
    const found = [
      finding("error", "spec.b is wrong"),
      finding("warning", "spec.c is odd"),
      finding("error", "spec.a is wrong"),
    ];
    const one = conditionsOf({ ...facts(found, whole), existing: [] });
    const other = conditionsOf({ ...facts([...found].reverse(), whole), existing: [] });
    expect(one).to.deep.equal(other);
    expect(brief(one)).to.deep.equal([
      "Accepted=False InvalidField: spec.a is wrong; spec.b is wrong; spec.c is odd",
      "Programmed=False NotAccepted: The object is not accepted in full.",
    ]);
    expect(one[0]).to.include({ observedGeneration: 3, lastTransitionTime: "2026-05-06T07:08:09Z" });
  });

  it("tell one reason from several, and a caveat from a fault", () => {
    const several = [finding("error", "x"), finding("error", "y", "Conflict")];
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
      ["Programmed", "2026-05-06T07:08:09Z"],
      ["Theirs", old],
    ]);
    expect(next[2]).to.equal(foreign);
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
      expect(statusChange("Retry", odd, facts())?.conditions).to.have.length(2);
    }
  });
});
