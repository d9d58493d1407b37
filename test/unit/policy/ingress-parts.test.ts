import { expect } from "chai";
import type { IngressBackend } from "../../../src/model/traffic";
import { ingressFindings, ingressParts, type IngressFacts } from "../../../src/policy/ingress";
import type { HttpMatch } from "../../../src/policy/types";

const ref = (kind: string, name: string) => ({
  group: "policy.openservicemesh.io",
  kind,
  namespace: "shop",
  name,
});
type Item = IngressBackend["backends"][number];
const item = (tls?: Item["tls"], port = 8080, service = "shop/cart"): Item => ({ service, port, tls });
const secure = (...sniHosts: readonly string[]): Item => item({ verifyClient: true, sniHosts });
const ingress = (name: string, more: Partial<IngressBackend>): IngressBackend => ({
  ref: ref("IngressBackend", name),
  createdAt: 0,
  backends: [item()],
  services: [],
  ipRanges: [],
  principals: [],
  routeGroups: [],
  ...more,
});
const match = (value: string): HttpMatch => ({ path: { kind: "exact", value }, methods: [], headers: [] });
const facts: IngressFacts = {
  addresses: service =>
    ({ "edge/gateway": ["10.0.9.2", "10.0.9.1", "fd00::1"], "edge/other": ["10.0.9.1"] })[service] ?? [],
  group: key =>
    key === "shop/books"
      ? {
          ref: ref("HTTPRouteGroup", "books"),
          matches: [
            { name: "a", match: match("/a") },
            { name: "b", match: match("/b") },
          ],
        }
      : undefined,
};
const at = { port: 8080, services: ["shop/cart"], trustDomain: "cluster.local" };
const parts = (...policies: readonly IngressBackend[]) => ingressParts(policies, at, facts);
/** Chains in short. */
const opened = (...policies: readonly IngressBackend[]): readonly string[] =>
  parts(...policies).chains.map(({ name, cidrs }) => `${name}: ${cidrs.join(" ")}`);
/** Conflicts in short. */
const conflicts = (...policies: readonly IngressBackend[]): readonly string[] =>
  parts(...policies).diagnostics.map(({ severity, code, subject, field, message }) => {
    expect([code, field]).to.deep.equal(["Conflicted", "spec.sources"]);
    return `${severity} ${subject.name}: ${message}`;
  });

describe("who is let in from outside of the mesh", () => {
  it("is whom addresses of Services and ranges name, each once and in order", () => {
    const both = ingress("a", {
      services: ["edge/gateway", "edge/other"],
      ipRanges: ["10.0.9.2/32", "10.0.0.0/8"],
    });
    expect(opened(both)).to.deep.equal(["shop/a: 10.0.0.0/8 10.0.9.1/32 10.0.9.2/32 fd00::1/128"]);
    expect(opened(ingress("a", { services: ["edge/none"] })), "nobody is there").to.deep.equal([]);
    expect(opened(ingress("a", {})), "nobody is named").to.deep.equal([]);
  });

  it("is by port and Service, and no others of the object", () => {
    const backends = [item(undefined, 8081), item(undefined, 8080, "shop/other"), item()];
    expect(opened(ingress("a", { ipRanges: ["10.0.0.0/8"], backends: backends.slice(0, 2) }))).to.deep.equal(
      [],
    );
    expect(opened(ingress("a", { ipRanges: ["10.0.0.0/8"], backends }))).to.have.length(1);
  });

  it("is any address with a name in its certificate, where only names are given and can be known", () => {
    const named = { principals: ["gateway"] };
    const any = ingressParts([ingress("a", { ...named, backends: [secure("cart.example")] })], at, facts);
    expect(any.chains).to.deep.equal([
      {
        name: "shop/a|tls",
        cidrs: ["0.0.0.0/0", "::/0"],
        tls: { verifyClient: true, serverNames: ["cart.example"] },
        routeTable: "ingress|8080|shop/a|tls",
        origins: [ref("IngressBackend", "a")],
      },
    ]);
    expect(any.tables[0]?.rules[0]?.permission).to.deep.equal({ kind: "principals", names: ["gateway"] });
    expect(opened(ingress("a", named)), "plain").to.deep.equal([]);
    expect(
      opened(ingress("a", { ...named, backends: [item({ verifyClient: false, sniHosts: [] })] })),
    ).to.deep.equal([]);
    expect(opened(ingress("a", { backends: [secure()] })), "no name").to.deep.equal([]);
  });

  it("is anyone of those addresses where no name is given, or none can be known", () => {
    const permission = (more: Partial<IngressBackend>) =>
      parts(ingress("a", { ipRanges: ["10.0.0.0/8"], ...more })).tables[0]?.rules[0]?.permission;
    expect(permission({})).to.deep.equal({ kind: "anyone" });
    expect(permission({ principals: ["x"] })).to.deep.equal({ kind: "anyone" });
    expect(permission({ backends: [secure()] })).to.deep.equal({ kind: "anyone" });
    expect(permission({ principals: ["x"], backends: [secure()] })).to.deep.equal({
      kind: "principals",
      names: ["x"],
    });
  });

  it("is for all requests, those of the groups that are named, or none where those are not there", () => {
    const table = (...routeGroups: readonly string[]) =>
      parts(ingress("a", { ipRanges: ["10.0.0.0/8"], routeGroups })).tables[0];
    expect(table()?.rules.map(({ matches }) => matches.map(({ path }) => path))).to.deep.equal([
      [{ kind: "any" }],
    ]);
    const books = table("shop/books", "shop/none");
    expect(books?.rules).to.deep.equal([
      {
        name: "shop/a",
        matches: [match("/a"), match("/b")],
        permission: { kind: "anyone" },
        backends: [{ cluster: "local|8080", weight: 1 }],
        origins: [ref("IngressBackend", "a"), ref("HTTPRouteGroup", "books")],
      },
    ]);
    expect(books?.origins).to.deep.equal([ref("IngressBackend", "a"), ref("HTTPRouteGroup", "books")]);
    expect(table("shop/none")?.rules).to.deep.equal([]);
  });

  it("is by one chain of an object for plain HTTP and one for TLS", () => {
    const policy = ingress("a", { ipRanges: ["10.0.0.0/8"], backends: [item(), secure("a"), secure("b")] });
    expect(opened(policy)).to.deep.equal(["shop/a: 10.0.0.0/8", "shop/a|tls: 10.0.0.0/8"]);
    expect(conflicts(policy), "with itself").to.deep.equal([]);
  });
});

describe("several IngressBackends of a port", () => {
  const ranges = (name: string, ...ipRanges: readonly string[]) => ingress(name, { ipRanges });
  const tls = (name: string, sni: readonly string[], ...ipRanges: readonly string[]) =>
    ingress(name, { ipRanges, backends: [secure(...sni)] });

  it("let in each caller by the oldest that names it", () => {
    const [old, young] = [ranges("old", "10.0.0.0/8"), ranges("young", "10.0.0.0/8", "11.0.0.0/8")];
    expect(opened(old, young)).to.deep.equal(["shop/old: 10.0.0.0/8", "shop/young: 11.0.0.0/8"]);
    expect(conflicts(old, young)).to.deep.equal([
      "warning young: IngressBackend shop/old is older and speaks of the same callers of container port 8080; it decides about those",
    ]);
    expect(conflicts(old, ranges("young", "10.0.0.0/8"))).to.deep.equal([
      "error young: IngressBackend shop/old is older and speaks of the same callers of container port 8080; this one lets nobody in there",
    ]);
    expect(conflicts(old, ranges("apart", "11.0.0.0/8"))).to.deep.equal([]);
  });

  it("are apart by server name and protocol", () => {
    const range = "10.0.0.0/8";
    expect(conflicts(tls("a", ["one"], range), tls("b", ["two"], range))).to.deep.equal([]);
    expect(conflicts(tls("a", ["one", "two"], range), tls("b", ["two", "three"], range))).to.have.length(1);
    expect(opened(tls("a", ["one"], range), tls("b", ["two", "one"], range))).to.deep.equal([
      "shop/a|tls: 10.0.0.0/8",
    ]);
    expect(conflicts(tls("a", [], range), tls("b", [], range)), "any name").to.have.length(1);
    expect(conflicts(tls("a", [], range), tls("b", ["one"], range)), "a name beside any").to.deep.equal([]);
    expect(conflicts(ranges("a", range), tls("b", [], range))).to.deep.equal([]);
  });

  it("are told apart where several are older", () => {
    const three = [
      ranges("a", "10.0.0.0/8"),
      ranges("b", "11.0.0.0/8"),
      ranges("c", "12.0.0.0/8", "11.0.0.0/8"),
    ];
    expect(conflicts(...three)).to.deep.equal([
      "warning c: IngressBackend shop/b is older and speaks of the same callers of container port 8080; it decides about those",
    ]);
  });
});

describe("what the owner of an IngressBackend is told", () => {
  const carriedAs =
    (carried: "http" | "bytes" | "absent" | undefined) =>
    (more: Partial<IngressBackend>): readonly string[] =>
      ingressFindings(ingress("a", more), { ...facts, carried: () => carried }).map(
        ({ severity, code, field, message }) => `${severity} ${code} ${field ?? ""}: ${message}`,
      );
  const told = carriedAs("http");

  it("is nothing where all of it is there", () => {
    expect(told({ services: ["edge/gateway"], routeGroups: ["shop/books"] })).to.deep.equal([]);
    expect(told({ principals: ["x"], backends: [secure()] })).to.deep.equal([]);
  });

  it("is what its backends are not", () => {
    expect(carriedAs(undefined)({})).to.deep.equal([
      "error UnresolvedReference spec.backends: Service shop/cart is not of the mesh",
    ]);
    expect(carriedAs("absent")({})).to.deep.equal([
      "error UnresolvedReference spec.backends: no port of Service shop/cart leads to container port 8080",
    ]);
    expect(carriedAs("bytes")({})).to.deep.equal([
      "error NoEffect spec.backends: container port 8080 of Service shop/cart is carried as tcp; ingress is HTTP",
    ]);
  });

  it("is which of what it names is not there", () => {
    expect(
      told({ services: ["edge/gateway", "edge/none"], routeGroups: ["shop/books", "shop/none"] }),
    ).to.deep.equal([
      "error UnresolvedReference spec.sources: Service edge/none has no endpoints, so nobody of it can call",
      "error UnresolvedReference spec.matches: there is no HTTPRouteGroup shop/none; no request is let in for it",
    ]);
  });

  it("is where a name in a certificate cannot be known", () => {
    const backends = [item(), item({ verifyClient: false, sniHosts: [] }, 8081), secure()];
    const words = (end: string) =>
      `spec.sources: callers of port 8080, 8081 present no certificate, so an AuthenticatedPrincipal cannot be known; ${end}`;
    expect(told({ principals: ["x"], backends })).to.deep.equal([
      `error NoEffect ${words("nobody can call there")}`,
    ]);
    for (const others of [{ ipRanges: ["10.0.0.0/8"] }, { services: ["edge/gateway"] }])
      expect(told({ principals: ["x"], backends, ...others })).to.deep.equal([
        `warning NoEffect ${words("the other sources alone decide there")}`,
      ]);
  });
});
