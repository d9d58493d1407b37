import { expect } from "chai";
import type { Egress } from "../../../src/model/traffic";
import { egressFindings, egressParts, type EgressFacts } from "../../../src/policy/egress";
import type { HttpMatch, Leaf, RouteTableLeaf } from "../../../src/policy/types";
import { settingTerms } from "../../support/setting-terms";

const ref = (kind: string, name: string) => ({
  group: "policy.openservicemesh.io",
  kind,
  namespace: "web",
  name,
});
type Port = Egress["ports"][number];
const port = (number: number, protocol: Port["protocol"] = "http"): Port => ({ number, protocol });
const egress = (name: string, more: Partial<Egress> = {}): Egress => ({
  ref: ref("Egress", name),
  createdAt: 0,
  sources: [],
  hosts: ["a.example"],
  ipAddresses: [],
  ports: [port(80)],
  routeGroups: [],
  setting: undefined,
  ...more,
});
const match: HttpMatch = { path: { kind: "exact", value: "/a" }, methods: [], headers: [] };
const connection = { ...settingTerms("x").connection, maxConnections: 1 };
const limited = settingTerms("limited", { connection, loadBalancing: { kind: "random" } });
const facts: EgressFacts = {
  group: key =>
    key === "web/books"
      ? { ref: ref("HTTPRouteGroup", "books"), matches: [{ name: "a", match }] }
      : undefined,
  setting: key => (key === "web/limited" ? limited : undefined),
  trustDomain: "cluster.local",
};
const parts = (...egresses: readonly Egress[]) => egressParts(egresses, facts);
/** Hosts of a route table, as Envoy has them. */
const hostsOf = (table: { readonly hosts?: RouteTableLeaf["hosts"] } | undefined) => table?.hosts ?? [];
const tables = (leaves: readonly Leaf[]) =>
  leaves.flatMap(leaf => (leaf.kind === "route-table" ? [leaf] : []));
const names = (...egresses: readonly Egress[]): readonly string[] =>
  parts(...egresses).ports.map(({ name }) => name);
const clusters = (...egresses: readonly Egress[]): readonly string[] =>
  parts(...egresses).leaves.flatMap(({ kind, name }) =>
    kind === "external-cluster" || kind === "passthrough-cluster" ? [name] : [],
  );

describe("what Egresses open for HTTP", () => {
  it("is a table for each port, in order, with their hosts", () => {
    const { ports, leaves } = parts(
      egress("one", { ports: [port(8080), port(80), port(80)] }),
      egress("two", { hosts: ["b.example", "a.example"] }),
    );
    expect(
      ports.map(({ name, port: number, kind, routeTable, cidrs }) => [name, number, kind, routeTable, cidrs]),
    ).to.deep.equal([
      ["http|egress|80", 80, "http", "egress|80", []],
      ["http|egress|8080", 8080, "http", "egress|8080", []],
    ]);
    const [first, second] = tables(leaves);
    expect(
      hostsOf(first).map(({ name, domains, rules }) => [name, domains, rules.map(rule => rule.name)]),
    ).to.deep.equal([
      ["a.example", ["a.example", "a.example:80"], ["web/one", "web/two"]],
      ["b.example", ["b.example", "b.example:80"], ["web/two"]],
    ]);
    expect(hostsOf(first)[0]?.rules[0]?.backends).to.deep.equal([
      { cluster: "egress|a.example|80", weight: 1 },
    ]);
    expect(first?.origins).to.deep.equal([ref("Egress", "one"), ref("Egress", "two")]);
    expect(hostsOf(second).map(({ name }) => name)).to.deep.equal(["a.example"]);
    expect(second?.origins).to.deep.equal([ref("Egress", "one")]);
    expect(clusters(egress("one"))).to.deep.equal(["egress|a.example|80"]);
  });

  it("is nothing without hosts, for groups that are not there, and at the sidecar's own port", () => {
    expect(names(egress("one", { hosts: [] }))).to.deep.equal([]);
    expect(names(egress("one", { routeGroups: ["web/none"] }))).to.deep.equal([]);
    expect(names(egress("one", { ports: [port(15001), port(81)] }))).to.deep.equal(["http|egress|81"]);
    const [table] = tables(parts(egress("one", { routeGroups: ["web/books", "web/none"] })).leaves);
    expect(table?.hosts?.[0]?.rules[0]).to.deep.include({
      matches: [match],
      origins: [ref("Egress", "one"), ref("HTTPRouteGroup", "books")],
    });
  });

  it("is by ranges of addresses, the narrowest first, each with what is opened for it, and the rest at last", () => {
    const wide = egress("wide", { hosts: ["wide.example"], ipAddresses: ["10.0.0.0/8"] });
    const narrow = egress("narrow", {
      hosts: ["narrow.example"],
      ipAddresses: ["10.1.0.0/16", "10.0.1.0/24"],
    });
    const any = egress("any", { hosts: ["any.example"] });
    for (const order of [
      [wide, narrow, any],
      [any, narrow, wide],
    ]) {
      const { ports, leaves } = parts(...order);
      const hosts = new Map(
        tables(leaves).map(leaf => [leaf.name, leaf.hosts?.map(({ name }) => name).join(" ")]),
      );
      expect(ports.map(({ cidrs, routeTable = "" }) => [cidrs.join(), hosts.get(routeTable)])).to.deep.equal([
        ["10.0.1.0/24", "any.example narrow.example wide.example"],
        ["10.1.0.0/16", "any.example narrow.example wide.example"],
        ["10.0.0.0/8", "any.example wide.example"],
        ["", "any.example"],
      ]);
    }
    expect(names(wide), "nothing beside its range").to.deep.equal(["http|egress|80|10.0.0.0/8"]);
  });

  it("reads escaped slashes as the mesh does", () => {
    const [kept] = egressParts([egress("one")], { ...facts, escapedSlashes: "keep" }).ports;
    expect(kept?.escapedSlashes).to.equal("keep");
    expect(parts(egress("one")).ports[0]).to.not.have.property("escapedSlashes");
  });

  it("gives way to bytes where some server may speak first, as far as bytes may go", () => {
    const first = (more: Partial<Egress> = {}) =>
      egress("first", { ports: [port(80, "tcp-server-first")], ...more });
    const bytes = (more: Partial<Egress> = {}) => egress("bytes", { ports: [port(80, "tcp")], ...more });
    const web = (...ipAddresses: readonly string[]) => egress("web", { ipAddresses });
    const tablesOf = (...egresses: readonly Egress[]) =>
      names(...egresses).filter(name => name.startsWith("http"));
    expect(tablesOf(web(), first())).to.deep.equal([]);
    expect(tablesOf(web(), bytes())).to.deep.equal(["http|egress|80"]);
    const there = first({ ipAddresses: ["192.0.2.0/24", "10.0.0.0/8"] });
    expect(tablesOf(web(), there)).to.deep.equal(["http|egress|80"]);
    expect(tablesOf(web("10.1.0.0/16"), there), "inside of the range").to.deep.equal([]);
    expect(tablesOf(web("11.0.0.0/8"), there)).to.deep.equal(["http|egress|80|11.0.0.0/8"]);
    expect(tablesOf(web(), there, bytes()), "bytes may go anywhere").to.deep.equal([]);
    expect(
      tablesOf(web(), egress("first", { ports: [port(80, "https"), port(81, "tcp-server-first")] })),
    ).to.deep.equal(["http|egress|80"]);
  });
});

describe("what Egresses open for TLS and bytes", () => {
  it("is each server name to its cluster, and names behind a star to where is dialled", () => {
    const { ports } = parts(
      egress("one", {
        hosts: ["a.example", "*.b.example", "c.example"],
        ports: [port(443, "https"), port(80)],
      }),
    );
    expect(
      ports
        .filter(({ kind }) => kind === "tls")
        .map(({ name, cluster, serverNames }) => [name, cluster, serverNames]),
    ).to.deep.equal([
      ["tls|443|web/one|a.example", "egress|a.example|443", ["a.example"]],
      ["tls|443|web/one|c.example", "egress|c.example|443", ["c.example"]],
      ["tls|443|web/one", "passthrough", ["*.b.example"]],
    ]);
    const named = parts(egress("one", { ports: [port(443, "https")] })).ports;
    expect(
      named.map(({ cluster }) => cluster),
      "no star",
    ).to.deep.equal(["egress|a.example|443"]);
    const all = parts(
      egress("one", { hosts: [], ipAddresses: ["10.0.0.0/8"], ports: [port(443, "https")] }),
    ).ports;
    expect(all).to.deep.equal([
      {
        name: "tls|443|web/one",
        port: 443,
        kind: "tls",
        cidrs: ["10.0.0.0/8"],
        origins: [ref("Egress", "one")],
        cluster: "passthrough",
        serverNames: [],
      },
    ]);
  });

  it("is bytes to where is dialled, each port of an object once", () => {
    const { ports } = parts(
      egress("one", {
        ports: [port(1, "tcp"), port(1, "tcp"), port(2, "tcp-server-first")],
        ipAddresses: ["10.0.0.0/8"],
      }),
    );
    const common = {
      kind: "tcp",
      cidrs: ["10.0.0.0/8"],
      cluster: "passthrough",
      origins: [ref("Egress", "one")],
    };
    expect(ports).to.deep.equal([
      { name: "tcp|1|web/one", port: 1, ...common },
      { name: "tcp-server-first|2|web/one", port: 2, serverFirst: true, ...common },
    ]);
  });
});

describe("clusters that Egresses need", () => {
  it("are of names that are told apart, and where is dialled only where something goes there", () => {
    expect(
      clusters(
        egress("one", {
          hosts: ["a.example", "*.b.example"],
          ports: [port(80), port(443, "https"), port(1, "tcp")],
        }),
      ),
    ).to.deep.equal(["passthrough", "egress|a.example|80", "egress|a.example|443"]);
    expect(clusters(egress("one", { ports: [port(1, "tcp")] }))).to.deep.equal(["passthrough"]);
    expect(clusters(egress("one", { hosts: ["a.example", "*.b.example"] })), "a star among names").to.include(
      "passthrough",
    );
    expect(clusters(egress("one"))).to.not.include("passthrough");
    const [passthrough] = parts(egress("one", { ports: [port(1, "tcp"), port(2, "tcp")] })).leaves;
    expect(passthrough?.origins).to.deep.equal([ref("Egress", "one")]);
  });

  it("are connected to as the oldest says, and come from all", () => {
    const first = egress("first", { setting: "web/limited" });
    const [cluster] = parts(first, egress("second")).leaves;
    expect(cluster).to.deep.include({ address: "a.example", port: 80, connection });
    expect(cluster?.origins).to.deep.equal([ref("Egress", "first"), limited.ref, ref("Egress", "second")]);
    expect(cluster).to.not.have.property("loadBalancing");
    const [other] = parts(egress("second"), first).leaves;
    expect(other).to.not.have.property("connection");
    expect(other?.origins).to.deep.equal([ref("Egress", "second"), ref("Egress", "first")]);
    const [gone] = parts(egress("third", { setting: "web/none" })).leaves;
    expect(gone).to.not.have.property("connection");
  });
});

describe("what the owner of an Egress is told", () => {
  const told = (
    more: Partial<Egress>,
    change: { readonly open?: boolean; readonly pods?: number } = {},
  ): readonly string[] =>
    egressFindings(egress("one", more), { ...facts, open: false, pods: 1, ...change }).map(
      ({ severity, code, field, message, subject }) => {
        expect(subject).to.deep.equal(ref("Egress", "one"));
        return `${severity} ${code} ${field ?? ""}: ${message}`;
      },
    );

  it("is nothing where all of it has an effect", () => {
    expect(told({ routeGroups: ["web/books"], setting: "web/limited" })).to.deep.equal([]);
    expect(told({ ports: [port(443, "https"), port(1, "tcp")] })).to.deep.equal([]);
    expect(told({ hosts: [], ports: [port(1, "tcp")] })).to.deep.equal([]);
  });

  it("is what has none", () => {
    expect(told({}, { open: true })).to.deep.equal([
      "warning NoEffect spec: traffic.enableEgress of MeshConfig is on: everything is let out anyway",
    ]);
    expect(told({}, { pods: 0 })).to.deep.equal([
      "warning NoEffect spec.sources: no pod of the mesh is one of the sources",
    ]);
    expect(told({ hosts: [] })).to.deep.equal([
      "warning NoEffect spec.hosts: ports of http are opened to hosts, and none is given",
    ]);
    expect(told({ routeGroups: ["web/books"], ports: [port(443, "https")] })).to.deep.equal([
      "warning NoEffect spec.matches: only requests of http can be told apart",
    ]);
    expect(told({ ports: [port(1, "tcp"), port(2, "tcp-server-first")] })).to.deep.equal([
      "warning NoEffect spec.hosts: bytes say nothing of a host; spec.ipAddresses bound where they go",
    ]);
  });

  it("is what it names and is not there", () => {
    expect(told({ routeGroups: ["web/books", "web/none"], setting: "web/gone" })).to.deep.equal([
      "error UnresolvedReference spec.matches: there is no HTTPRouteGroup web/none; nothing is let out for it",
      "error UnresolvedReference spec.matches: there is no UpstreamTrafficSetting web/gone",
    ]);
  });
});
