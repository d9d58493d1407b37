import { expect } from "chai";
import type { Diagnostic } from "../../../src/model/diagnostic";
import type { TargetRule, TrafficTarget } from "../../../src/model/traffic";
import {
  countsAt,
  grantOrigins,
  portAccess,
  readTarget,
  speaksOf,
  type PortGrant,
  type TargetFacts,
} from "../../../src/policy/access";
import type { Grant, HttpMatch } from "../../../src/policy/types";

const ref = (kind: string, name: string) => ({ group: "smi", kind, namespace: "shop", name });
const buyer = { namespace: "web", serviceAccount: "buyer" };
const thief = { namespace: "web", serviceAccount: "thief" };
const match = (value: string): HttpMatch => ({ path: { kind: "exact", value }, methods: [], headers: [] });
const ANY: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };

const target = (...rules: readonly TargetRule[]): TrafficTarget => ({
  ref: ref("TrafficTarget", "cart"),
  createdAt: 0,
  destination: { kind: "identity", identity: { namespace: "shop", serviceAccount: "cart" } },
  port: 8080,
  sources: [],
  rules,
});
const facts = (sources: Partial<TargetFacts["sources"]> = {}): TargetFacts => ({
  sources: { identities: [buyer], wider: false, missing: [], ...sources },
  group: key =>
    key === "shop/books"
      ? {
          ref: ref("HTTPRouteGroup", "books"),
          matches: [
            { name: "a", match: match("/a") },
            { name: "b", match: match("/b") },
            { name: "a", match: match("/a2") },
            { name: "a", match: match("/a3") },
          ],
        }
      : undefined,
  route: key =>
    key === "shop/bulk" ? { ref: ref("TCPRoute", "bulk"), createdAt: 0, ports: [1, 2] } : undefined,
});
const tcp: TargetRule = { kind: "tcp", route: "shop/bulk", field: "spec.rules[0]" };
const http = (matches?: readonly string[], group = "shop/books"): TargetRule => ({
  kind: "http",
  group,
  matches,
  field: "spec.rules[1]",
});
const told = (found: readonly Diagnostic[]): readonly string[] =>
  found.map(({ severity, code, field, message }) => `${severity} ${code} ${field ?? ""}: ${message}`);

describe("what a TrafficTarget grants", () => {
  it("is bytes at the ports of its TCPRoute, with a name of its own", () => {
    const { value, diagnostics } = readTarget(target(tcp), facts());
    expect(value).to.deep.equal({
      ref: ref("TrafficTarget", "cart"),
      port: 8080,
      grants: [
        {
          kind: "tcp",
          ports: [1, 2],
          field: "spec.rules[0]",
          grant: {
            name: "shop/cart#0",
            identities: [buyer],
            matches: [ANY],
            origins: [ref("TrafficTarget", "cart"), ref("TCPRoute", "bulk")],
          },
        },
      ],
    });
    expect(diagnostics).to.deep.equal([]);
  });

  it("is each match of its HTTPRouteGroup by itself, of every port, under a name that no other has", () => {
    const { value } = readTarget(target(tcp, http()), facts());
    const requests = value.grants.filter(({ kind }) => kind === "http");
    expect(requests.map(({ grant }) => [grant.name, grant.matches])).to.deep.equal([
      ["shop/cart#1/a", [match("/a")]],
      ["shop/cart#1/b", [match("/b")]],
      ["shop/cart#1/a~1", [match("/a2")]],
      ["shop/cart#1/a~2", [match("/a3")]],
    ]);
    expect(requests.map(({ ports, field }) => [ports, field])).to.deep.equal(
      requests.map(() => [[], "spec.rules[1]"]),
    );
    expect(requests[0]?.grant.origins).to.deep.equal([
      ref("TrafficTarget", "cart"),
      ref("HTTPRouteGroup", "books"),
    ]);
  });

  it("is those matches that it names; of others its owner is told", () => {
    const { value, diagnostics } = readTarget(target(http(["b", "none"])), facts());
    expect(value.grants.map(({ grant }) => grant.name)).to.deep.equal(["shop/cart#0/b"]);
    expect(told(diagnostics)).to.deep.equal([
      'error UnresolvedReference spec.rules[1].matches: there is no match "none" in HTTPRouteGroup shop/books; the rule grants nothing',
    ]);
    expect(readTarget(target(http([])), facts()).value.grants).to.deep.equal([]);
  });

  it("is nothing of what is not there, and of UDP", () => {
    const udp: TargetRule = { kind: "udp", route: "shop/any", field: "spec.rules[2]" };
    const gone: TargetRule = { kind: "tcp", route: "shop/none", field: "spec.rules[0]" };
    const { value, diagnostics } = readTarget(target(gone, http(undefined, "shop/none"), udp), facts());
    expect(value.grants).to.deep.equal([]);
    expect(told(diagnostics)).to.deep.equal([
      "error UnresolvedReference spec.rules[0]: there is no TCPRoute shop/none; the rule grants nothing",
      "error UnresolvedReference spec.rules[1]: there is no HTTPRouteGroup shop/none; the rule grants nothing",
      "warning NoEffect spec.rules[2]: the mesh carries no UDP; a UDPRoute grants nothing",
    ]);
    expect(diagnostics.every(({ subject }) => subject.name === "cart")).to.equal(true);
  });

  it("is nothing where it names nobody or nothing, and says so", () => {
    const nobody = readTarget(target(tcp), facts({ identities: [] }));
    expect(nobody.value.grants).to.deep.equal([]);
    expect(told(nobody.diagnostics)).to.deep.equal([
      "warning NoEffect spec.sources: it names no caller, so it lets nobody in",
    ]);
    const missing = readTarget(target(tcp), facts({ identities: [], missing: ["web/gone"] }));
    expect(missing.value.grants).to.deep.equal([]);
    expect(told(missing.diagnostics)).to.deep.equal([
      "error UnresolvedReference spec.sources: there is no IdentityBinding web/gone; it stands for nobody",
    ]);
    expect(told(readTarget(target(), facts()).diagnostics)).to.deep.equal([
      "warning NoEffect spec.rules: it has no rules, so it lets nothing through",
    ]);
  });

  it("is of accounts, which its owner is told where labels were meant", () => {
    const { value, diagnostics } = readTarget(target(tcp), facts({ wider: true }));
    expect(value.grants).to.have.length(1);
    expect(
      diagnostics.map(({ severity, code, field }) => `${severity} ${code} ${field ?? ""}`),
    ).to.deep.equal(["warning WiderThanLabels spec.sources"]);
  });
});

describe("where grants count", () => {
  const served = (port: number, ...frontends: readonly number[]) => ({
    port,
    frontends: frontends.map(front => ({ service: "shop/cart", port: front })),
  });
  const grant = (name: string, ...identities: Grant["identities"]): Grant => ({
    name,
    identities,
    matches: [ANY],
    origins: [ref("TrafficTarget", name), ref("TCPRoute", "bulk")],
  });
  const portGrant = (kind: PortGrant["kind"], granted: Grant, ...ports: readonly number[]): PortGrant => ({
    kind,
    ports,
    grant: granted,
    field: "spec.rules[0]",
  });

  it("is at the container port that is named, at a Service port that leads to it, or everywhere", () => {
    expect(speaksOf({ port: undefined }, served(8080, 80))).to.equal(true);
    expect(speaksOf({ port: 8080 }, served(8080, 80))).to.equal(true);
    expect(speaksOf({ port: 80 }, served(8080, 79, 80))).to.equal(true);
    expect(speaksOf({ port: 81 }, served(8080, 79, 80))).to.equal(false);
  });

  it("is at ports of HTTP for requests, and for bytes at the ports of the route whatever they speak", () => {
    const [requests, bytes] = [portGrant("http", grant("a"), 8080), portGrant("tcp", grant("a"), 8080)];
    for (const protocol of ["http", "grpc"] as const) {
      expect(countsAt(requests, 1, protocol)).to.equal(true);
      expect(countsAt(bytes, 8080, protocol)).to.equal(true);
      expect(countsAt(bytes, 1, protocol)).to.equal(false);
    }
    expect(countsAt(requests, 8080, "tcp")).to.equal(false);
    expect(countsAt(bytes, 8080, "tcp")).to.equal(true);
    expect(countsAt(bytes, 1, "tcp")).to.equal(false);
    expect(countsAt(portGrant("tcp", grant("a")), 1, "tcp")).to.equal(true);
  });

  it("gives a port of bytes the callers of all its grants, each once and in order", () => {
    const [first, second] = [grant("first", thief, buyer), grant("second", buyer)];
    const of = (port: number | undefined, ...grants: readonly PortGrant[]) => ({
      ref: ref("TrafficTarget", "x"),
      port,
      grants,
    });
    const targets = [
      of(undefined, portGrant("tcp", first), portGrant("http", grant("requests", thief))),
      of(80, portGrant("tcp", second, 8080)),
      of(99, portGrant("tcp", grant("elsewhere", thief))),
    ];
    expect(portAccess(served(8080, 80), "tcp", targets)).to.deep.equal({
      permission: { kind: "allow", identities: [buyer, thief] },
      grants: [first, second],
    });
    const { permission, grants } = portAccess(served(8080, 80), "http", targets);
    expect(grants.map(({ name }) => name)).to.deep.equal(["first", "requests", "second"]);
    expect(permission).to.deep.equal({ kind: "grants", grants });
  });

  it("comes from each object once, in order", () => {
    expect(
      grantOrigins([grant("z"), grant("a"), grant("z")]).map(({ kind, name }) => `${kind} ${name}`),
    ).to.deep.equal(["TCPRoute bulk", "TrafficTarget a", "TrafficTarget z"]);
    expect(grantOrigins([])).to.deep.equal([]);
  });
});
