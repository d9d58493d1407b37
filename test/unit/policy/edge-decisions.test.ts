import { expect } from "chai";
import type { Call } from "../../../src/policy/decide";
import { decideEgress, ingressChainOf } from "../../../src/policy/decide-edge";
import type {
  EgressPort,
  HttpMatch,
  HttpRule,
  InboundPort,
  IngressChain,
  Leaf,
  OutboundCatchAllLeaf,
  RouteTableLeaf,
  VirtualHost,
} from "../../../src/policy/types";

const buyer = { namespace: "web", serviceAccount: "buyer" };
const origin = (name: string) => ({
  group: "policy.openservicemesh.io",
  kind: "Egress",
  namespace: "web",
  name,
});
const call = (more: Partial<Call> = {}): Call => ({ from: buyer, address: "192.0.2.1", port: 80, ...more });
const get = (host: string | undefined, path = "/", more: Partial<Call> = {}): Call =>
  call({ http: { method: "GET", path, headers: host === undefined ? {} : { host } }, ...more });

function entry(name: string, kind: EgressPort["kind"], more: Partial<EgressPort> = {}): EgressPort {
  return { name, port: 80, kind, cidrs: [], origins: [origin(name)], ...more };
}
function rule(name: string, path: HttpMatch["path"] = { kind: "any" }): HttpRule {
  const matches = [{ path, methods: [], headers: [] }];
  return { name, matches, permission: { kind: "anyone" }, backends: [], origins: [origin(name)] };
}
const host = (name: string, domains: readonly string[], ...rules: readonly HttpRule[]): VirtualHost => ({
  name,
  domains,
  rules,
});
function table(name: string, ...hosts: readonly VirtualHost[]): RouteTableLeaf {
  return { kind: "route-table", name, direction: "egress", origins: [], rules: [], hosts, trustDomain: "x" };
}

/** What is decided, by which object, with its status. */
function decided(entries: readonly EgressPort[] | undefined, tables: readonly Leaf[], asked: Call): string {
  const leaf: OutboundCatchAllLeaf = {
    kind: "outbound-catch-all",
    name: "outbound",
    origins: [origin("mesh")],
    passthroughCluster: undefined,
    ipv6: false,
    ...(entries === undefined ? {} : { egress: entries }),
  };
  const { outcome, by, status } = decideEgress(tables, leaf, asked);
  return [outcome, ...by.map(({ name }) => name), ...(status === undefined ? [] : [status])].join(" ");
}

describe("what egress lets out", () => {
  it("is nothing without an Egress", () => {
    expect(decided(undefined, [], call())).to.equal("refused mesh");
    expect(decided([], [], get("a.example"))).to.equal("refused mesh");
  });

  it("is bytes to the port and the addresses that are opened", () => {
    const ranges = entry("db", "tcp", { cidrs: ["198.51.100.0/24", "192.0.2.0/24"] });
    expect(decided([entry("db", "tcp")], [], call())).to.equal("passthrough db");
    expect(decided([entry("db", "tcp", { port: 81 })], [], call())).to.equal("refused mesh");
    expect(decided([ranges], [], call())).to.equal("passthrough db");
    expect(decided([ranges], [], call({ address: "203.0.113.1" }))).to.equal("refused mesh");
  });

  it("is TLS by its server name, in any case, before anything else is looked at", () => {
    const entries = [
      entry("bytes", "tcp"),
      entry("web", "http", { routeTable: "t" }),
      entry("tls", "tls", { serverNames: ["a.example", "*.b.example"] }),
    ];
    const named = (serverName: string): string => decided(entries, [], call({ serverName }));
    expect(["a.example", "A.Example", "x.b.example", "x.y.B.example"].map(named)).to.deep.equal([
      "passthrough tls",
      "passthrough tls",
      "passthrough tls",
      "passthrough tls",
    ]);
    expect(["b.example", "xb.example", "a.example.evil", "c.example"].map(named)).to.deep.equal([
      "passthrough bytes",
      "passthrough bytes",
      "passthrough bytes",
      "passthrough bytes",
    ]);
    expect(decided(entries, [], call())).to.equal("passthrough bytes");
    expect(decided([entry("tls", "tls")], [], call({ serverName: "any" }))).to.equal("passthrough tls");
    expect(decided([entry("tls", "tls", { serverNames: [] })], [], call({ serverName: "any" }))).to.equal(
      "passthrough tls",
    );
    expect(decided([entry("tls", "tls")], [], call())).to.equal("refused mesh");
    // A name of TLS opens nothing that is not TLS.
    expect(decided([entry("web", "http", { routeTable: "t" })], [], call({ serverName: "any" }))).to.equal(
      "refused mesh",
    );
  });

  it("is requests by their host and path, and no others where HTTP is opened, though bytes are as well", () => {
    const entries = [entry("bytes", "tcp"), entry("web", "http", { routeTable: "t" })];
    const tables = [
      table("other", host("any", ["*.example"], rule("wrong"))),
      table(
        "t",
        host(
          "a",
          ["a.example"],
          rule("open", { kind: "prefix", value: "/open" }),
          rule("home", { kind: "exact", value: "/" }),
        ),
      ),
    ];
    expect(decided(entries, tables, get("a.example"))).to.equal("passthrough home");
    expect(decided(entries, tables, get("a.example", "/open/x?y"))).to.equal("passthrough open");
    expect(decided(entries, tables, get("a.example", "/secret"))).to.equal("no-rule web 404");
    expect(decided(entries, tables, get("b.example"))).to.equal("no-rule web 404");
    expect(decided(entries, tables, get(undefined))).to.equal("no-rule web 404");
    expect(decided(entries, tables, call())).to.equal("passthrough bytes");
    expect(decided(entries, [], get("a.example")), "no such table").to.equal("no-rule web 404");
    const named = call({ http: { method: "GET", path: "/", headers: { "X-Host": "b", hOSt: "A.Example" } } });
    expect(decided(entries, tables, named)).to.equal("passthrough home");
  });

  it("is by any match of a rule, in the table of that name, whatever else has the name", () => {
    const either = rule("either", { kind: "exact", value: "/a" });
    const matches = [...either.matches, { ...either.matches[0], path: { kind: "exact", value: "/b" } }];
    const cluster: Leaf = { kind: "passthrough-cluster", name: "t", origins: [] };
    const both = { ...either, matches: matches as HttpRule["matches"] };
    const tables = [cluster, table("t", host("a", ["a.example"], both))];
    const web = entry("web", "http", { routeTable: "t" });
    expect(decided([web], tables, get("a.example", "/a"))).to.equal("passthrough either");
    expect(decided([web], tables, get("a.example", "/b"))).to.equal("passthrough either");
    expect(decided([web], tables, get("a.example", "/c"))).to.equal("no-rule web 404");
    const noHosts: RouteTableLeaf = { ...table("t"), rules: [rule("open")] };
    expect(decided([web], [noHosts], get("a.example"))).to.equal("no-rule web 404");
  });

  it("is malformed where no proxy can judge the path", () => {
    const tables = [table("t", host("a", ["a.example"], rule("all")))];
    const web = entry("web", "http", { routeTable: "t" });
    expect(decided([web], tables, get("a.example", "/a%2Fb"))).to.equal("malformed web 400");
    expect(decided([{ ...web, escapedSlashes: "keep" }], tables, get("a.example", "/a%2Fb"))).to.equal(
      "passthrough all",
    );
  });

  it("is by the whole name of a host before one behind a star, and of those by the longest", () => {
    const hosts = [
      host("wide", ["*.example"], rule("wide")),
      host("longer", ["*.a.example", "*.c.example"], rule("longer")),
      host("whole", ["x.a.example", "y.a.example:80"], rule("whole")),
    ];
    for (const order of [hosts, [...hosts].reverse()]) {
      const by = (name: string): string =>
        decided([entry("web", "http", { routeTable: "t" })], [table("t", ...order)], get(name));
      expect(by("x.a.example")).to.equal("passthrough whole");
      expect(by("y.a.example:80")).to.equal("passthrough whole");
      expect(by("z.a.example")).to.equal("passthrough longer");
      expect(by("z.c.example")).to.equal("passthrough longer");
      expect(by("z.example")).to.equal("passthrough wide");
      expect(by("example")).to.equal("no-rule web 404");
      expect(by("a.example.evil")).to.equal("no-rule web 404");
    }
  });

  it("is by the name that stands there, not by its end, where no star stands in front", () => {
    const tables = [table("t", host("a", ["a.example"], rule("a")))];
    expect(decided([entry("web", "http", { routeTable: "t" })], tables, get("x.a.example"))).to.equal(
      "no-rule web 404",
    );
  });
});

describe("the chain that ingress comes in by", () => {
  const chain = (name: string, cidrs: readonly string[], tls?: IngressChain["tls"]): IngressChain => ({
    name,
    cidrs,
    tls,
    routeTable: name,
    origins: [],
  });
  const port = (...ingress: readonly IngressChain[]): InboundPort => ({
    port: 80,
    handling: { kind: "http", routeTable: "inbound|80", tracing: undefined },
    permission: { kind: "anyone" },
    externalAuthorization: undefined,
    ingress,
  });
  const of = (source: string | undefined, ...chains: readonly IngressChain[]): string | undefined =>
    ingressChainOf(port(...chains), get("a", "/", source === undefined ? {} : { source }))?.name;

  it("is that of the caller's address, the narrowest range first", () => {
    const wide = chain("wide", ["10.0.0.0/8"]);
    const narrow = chain("narrow", ["10.9.0.0/16", "10.1.2.0/24"]);
    for (const chains of [
      [wide, narrow],
      [narrow, wide],
    ]) {
      expect(of("10.1.2.3", ...chains)).to.equal("narrow");
      expect(of("10.1.3.3", ...chains)).to.equal("wide");
      expect(of("11.0.0.1", ...chains)).to.equal(undefined);
    }
  });

  it("is none that wants TLS, of bytes, or of an address that is not known", () => {
    const all = chain("all", ["0.0.0.0/0"]);
    expect(of("10.1.2.3")).to.equal(undefined);
    expect(of("10.1.2.3", all)).to.equal("all");
    expect(of("10.1.2.3", { ...all, tls: { verifyClient: true, serverNames: [] } })).to.equal(undefined);
    expect(of(undefined, all)).to.equal(undefined);
    expect(ingressChainOf(port(all), call({ source: "10.1.2.3" }))).to.equal(undefined);
    expect(ingressChainOf(undefined, get("a", "/", { source: "10.1.2.3" }))).to.equal(undefined);
  });
});
