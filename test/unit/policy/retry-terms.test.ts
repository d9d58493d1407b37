import { expect } from "chai";
import type { Retry } from "../../../src/model/traffic";
import { chooseRetries, retryFindings, withRetry } from "../../../src/policy/retry";
import type { HttpRule } from "../../../src/policy/types";

const terms: Retry["terms"] = {
  retryOn: ["5xx"],
  statusCodes: [],
  perTryTimeoutMs: undefined,
  numRetries: 2,
  backoffBaseMs: undefined,
};
const retry = (name: string, destinations: readonly string[], namespace = "web"): Retry => ({
  ref: { group: "policy.openservicemesh.io", kind: "Retry", namespace, name },
  createdAt: 0,
  source: { namespace, serviceAccount: "buyer" },
  destinations,
  terms,
});

describe("Retries of a client", () => {
  it("are one for each Service, the oldest that names it, in order", () => {
    const chosen = chooseRetries([retry("z", ["shop/b", "shop/a"]), retry("a", ["shop/a", "shop/c"])]);
    expect(Object.entries(chosen)).to.deep.equal([
      ["shop/a", "web/z"],
      ["shop/b", "web/z"],
      ["shop/c", "web/a"],
    ]);
    const otherOrder = chooseRetries([retry("z", ["shop/a", "shop/b", "shop/c"])]);
    expect(Object.keys(otherOrder)).to.deep.equal(["shop/a", "shop/b", "shop/c"]);
  });

  it("add their terms to each rule, and themselves to where it comes from", () => {
    const rule: HttpRule = {
      name: "any",
      matches: [],
      permission: { kind: "anyone" },
      backends: [],
      origins: [],
    };
    const own = retry("a", []);
    expect(withRetry([rule], undefined)).to.deep.equal([rule]);
    expect(withRetry([rule, rule], own)).to.deep.equal([
      { ...rule, retry: terms, origins: [own.ref] },
      { ...rule, retry: terms, origins: [own.ref] },
    ]);
  });
});

describe("what the owner of a Retry is told", () => {
  const own = retry("own", ["shop/a", "shop/b"]);
  const told = (
    change: Partial<Parameters<typeof retryFindings>[1]> = {},
    subject = own,
  ): readonly string[] =>
    retryFindings(subject, {
      enabled: true,
      pods: 1,
      rivals: [subject],
      carried: () => "http",
      ...change,
    }).map(({ severity, code, field, message, subject: of }) => {
      expect(of).to.deep.equal(subject.ref);
      return `${severity} ${code} ${field ?? ""}: ${message}`;
    });

  it("is nothing where it has an effect", () => {
    expect(told()).to.deep.equal([]);
  });

  it("is that Retries are switched off, and nothing else then", () => {
    expect(told({ enabled: false, pods: 0, carried: () => undefined })).to.deep.equal([
      "warning NoEffect spec: featureFlags.enableRetryPolicy of MeshConfig is off, so nothing is sent again",
    ]);
  });

  it("is that nobody is its source", () => {
    expect(told({ pods: 0 })).to.deep.equal([
      "warning NoEffect spec.source: no pod of the mesh is this source",
    ]);
  });

  it("is which of its destinations carries bytes, or is not of the mesh", () => {
    const carried = (service: string) => (service === "shop/a" ? "bytes" : undefined);
    expect(told({ carried })).to.deep.equal([
      "warning NoEffect spec.destinations: Service shop/a has no HTTP port; bytes are never sent again",
      "error UnresolvedReference spec.destinations: Service shop/b is not of the mesh",
    ]);
  });

  it("is which older one decides about some or all of its destinations", () => {
    const some = retry("old", ["shop/b"]);
    const all = retry("older", ["shop/a", "shop/b", "shop/c"]);
    expect(told({ rivals: [some, own] })).to.deep.equal([
      "warning Conflicted spec.destinations: Retry old is older and speaks of calls to shop/b; it decides about those",
    ]);
    expect(told({ rivals: [all, some, own] })).to.deep.equal([
      "error Conflicted spec.destinations: Retry older is older and speaks of calls to shop/a, shop/b; this one has no effect",
    ]);
    expect(told({ rivals: [own, all] }), "it is younger").to.deep.equal([]);
    expect(told({ rivals: [retry("old", ["shop/z"]), own] }), "of other Services").to.deep.equal([]);
    // One of the same name elsewhere is another.
    expect(told({ rivals: [retry("own", ["shop/a"], "other"), own] })).to.have.length(1);
  });
});
