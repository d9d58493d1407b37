import { expect } from "chai";
import { ask, type Answer, type Caller } from "../../../src/policy/permits";
import type { Grant, HttpMatch } from "../../../src/policy/types";

const buyer = { namespace: "web", serviceAccount: "buyer" };
const thief = { namespace: "web", serviceAccount: "thief" };
const ANY: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };

function grant(
  name: string,
  identities: Grant["identities"],
  ...matches: readonly Partial<HttpMatch>[]
): Grant {
  const origin = { group: "access.smi-spec.io", kind: "TrafficTarget", namespace: "shop", name };
  return { name, identities, matches: matches.map(match => ({ ...ANY, ...match })), origins: [origin] };
}

function request(
  method = "GET",
  path = "/",
  headers: Readonly<Record<string, string>> = {},
): Caller["http"] & object {
  return { method, path, headers };
}

/** What is answered in short: the grant that lets in, or the near miss, or who it is let in by nothing in particular. */
function said(answer: Answer): string {
  expect(answer.allowed).to.be.a("boolean");
  if (answer.allowed) return answer.grant === undefined ? "allowed" : `allowed by ${answer.grant.name}`;
  const { nearest } = answer;
  return nearest === undefined ? "refused" : `${nearest.grant}: ${nearest.text}`;
}

const path = (kind: "exact" | "prefix" | "regex", value: string): Partial<HttpMatch> => ({
  path: { kind, value },
});

describe("a permission", () => {
  it("is anyone's, also of those without an identity", () => {
    expect(said(ask({ kind: "anyone" }, { from: undefined }))).to.equal("allowed");
    expect(said(ask({ kind: "anyone" }, { from: thief }))).to.equal("allowed");
  });

  it("is of whoever has an identity", () => {
    expect(said(ask({ kind: "any-mesh-identity" }, { from: thief }))).to.equal("allowed");
    expect(said(ask({ kind: "any-mesh-identity" }, { from: undefined }))).to.equal("refused");
  });

  it("of names in foreign certificates is no caller's of the mesh", () => {
    expect(said(ask({ kind: "principals", names: ["web/buyer", "gateway"] }, { from: buyer }))).to.equal(
      "refused",
    );
    expect(said(ask({ kind: "principals", names: [] }, { from: undefined }))).to.equal("refused");
  });

  it("of a list is of those on it, by namespace and account, and says which grant put them there", () => {
    const list = { kind: "allow", identities: [buyer] } as const;
    const reason = grant("target", [buyer], {});
    expect(said(ask(list, { from: buyer }))).to.equal("allowed");
    expect(said(ask(list, { from: buyer }, [reason]))).to.equal("allowed by target");
    for (const from of [thief, { ...buyer, namespace: "shop" }, undefined])
      expect(said(ask(list, { from })), JSON.stringify(from)).to.equal("refused");
    expect(said(ask(list, { from: thief }, [reason]))).to.equal("target: caller web/thief is not web/buyer");
    expect(said(ask({ kind: "allow", identities: [] }, { from: buyer }))).to.equal("refused");
    // The list decides, whatever it is said to be made of.
    expect(said(ask({ kind: "allow", identities: [thief] }, { from: buyer }, [reason]))).to.equal("refused");
    expect(said(ask(list, { from: buyer }, [grant("other", [thief], {})]))).to.equal("allowed");
  });

  it("of grants is nobody's where there is none, or none that matches anything", () => {
    expect(said(ask({ kind: "grants", grants: [] }, { from: buyer }))).to.equal("refused");
    expect(said(ask({ kind: "grants", grants: [grant("empty", [buyer])] }, { from: buyer }))).to.equal(
      "refused",
    );
    const nobody = grant("nobody", [], {});
    expect(said(ask({ kind: "grants", grants: [nobody] }, { from: buyer }))).to.equal(
      "nobody: caller web/buyer is not ",
    );
  });

  it("of grants is what any of them allows, in any of its matches", () => {
    const grants = [
      grant("get", [buyer], { methods: ["GET"] }, { methods: ["HEAD"] }),
      grant("post", [thief, buyer], { methods: ["POST"] }),
    ];
    const by = (from: typeof buyer | undefined, method: string): string =>
      said(ask({ kind: "grants", grants }, { from, http: request(method) }));
    expect([by(buyer, "GET"), by(buyer, "HEAD"), by(buyer, "POST"), by(thief, "POST")]).to.deep.equal([
      "allowed by get",
      "allowed by get",
      "allowed by post",
      "allowed by post",
    ]);
    expect(by(thief, "GET")).to.equal("post: method GET is not POST");
    expect(by(buyer, "PUT")).to.equal("get: method PUT is not GET");
    expect(by(undefined, "POST")).to.equal("post: caller without an identity is not web/thief or web/buyer");
  });

  it("of grants looks at bytes by their caller alone", () => {
    const grants = [grant("admin", [buyer], path("exact", "/admin"))];
    expect(said(ask({ kind: "grants", grants }, { from: buyer }))).to.equal("allowed by admin");
    expect(said(ask({ kind: "grants", grants }, { from: thief }))).to.equal(
      "admin: caller web/thief is not web/buyer",
    );
  });
});

describe("the grant that came nearest", () => {
  const nearest = (
    from: typeof buyer | undefined,
    http: Caller["http"] & object,
    ...grants: readonly Grant[]
  ) => {
    const answer = ask({ kind: "grants", grants }, { from, http });
    return answer.allowed ? undefined : answer.nearest;
  };

  it("is that with the fewest differences, and the first of those", () => {
    const far = grant("far", [buyer], { ...path("exact", "/a"), methods: ["PUT"] });
    const near = grant("near", [buyer], path("exact", "/a"));
    const same = grant("same", [buyer], path("exact", "/b"));
    expect(nearest(buyer, request(), far, near, same)?.grant).to.equal("near");
    expect(nearest(buyer, request(), same, far, near)?.grant).to.equal("same");
  });

  it("is another request of the same caller rather than another caller", () => {
    const others = grant("others", [thief], {});
    const own = grant("own", [buyer], path("exact", "/a"));
    expect(nearest(buyer, request(), others, own)?.grant).to.equal("own");
    // Two differences are further than one, whoever's they are.
    const further = grant("further", [buyer], { ...path("exact", "/a"), methods: ["PUT"] });
    expect(nearest(buyer, request(), further, others)?.grant).to.equal("others");
  });

  it("is told with its objects, its differences and words for each", () => {
    const all = grant("all", [buyer, thief], {
      ...path("prefix", "/a"),
      methods: ["PUT", "POST"],
      headers: [
        { name: "x", kind: "exact", value: "1" },
        { name: "y", kind: "regex", value: "2.*" },
      ],
    });
    expect(nearest({ namespace: "shop", serviceAccount: "x" }, request("GET", "/b"), all)).to.deep.equal({
      grant: "all",
      by: all.origins,
      differs: ["identity", "path", "method", "header"],
      text: "caller shop/x is not web/buyer or web/thief; path /b is not /a…; method GET is not PUT or POST; headers are not x: 1 and y: 2.*",
    });
    const texts = [path("exact", "/a"), path("regex", "/a.*"), path("prefix", "/a")].map(
      match => nearest(buyer, request("GET", "/"), grant("one", [buyer], match))?.text,
    );
    expect(texts).to.deep.equal(["path / is not /a", "path / is not /a.*", "path / is not /a…"]);
    expect(nearest(buyer, request("GET", "*"), grant("one", [buyer], {}))?.text).to.equal(
      "path * is not any",
    );
  });
});
