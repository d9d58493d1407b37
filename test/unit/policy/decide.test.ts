import { expect } from "chai";
import type { Call, CallWorld, Outcome } from "../../../src/policy/decide";
import { decide } from "../../../src/policy/decide";
import { matches } from "../../../src/policy/matching";
import type { HttpMatch, HttpRule, Leaf, Permission } from "../../../src/policy/types";

const tls = { minVersion: "TLSv1_3", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] } as const;
const buyer = { namespace: "web", serviceAccount: "buyer" };
const thief = { namespace: "web", serviceAccount: "thief" };
const server = { namespace: "shop", serviceAccount: "cart" };
const origin = (name: string) => ({ group: "", kind: "Service", namespace: "shop", name });
const ANY: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };

function rule(name: string, match: Partial<HttpMatch>, permission: Permission, cluster = "cart"): HttpRule {
  return {
    name,
    matches: [{ ...ANY, ...match }],
    permission,
    backends: [{ cluster, weight: 1 }],
    origins: [origin(name)],
  };
}

const only = (...identities: (typeof buyer)[]): Permission => ({ kind: "allow", identities });

/** A client that knows `cart` (HTTP at 10.0.0.1:80) and `db` (TCP at 10.0.0.2:3306), and the pod behind both. */
function world(change: { client?: (leaf: Leaf) => readonly Leaf[]; egress?: boolean } = {}): CallWorld {
  const base = { origins: [origin("cart")], trustDomain: "cluster.local", tls } as const;
  const upstream = (name: string): Leaf => ({
    kind: "upstream-cluster",
    name,
    ...base,
    discovery: { kind: "endpoints" },
    protocol: "http",
    sni: "cart.shop.svc.cluster.local",
    serverIdentities: [server],
  });
  const listener = (name: string, address: string, port: number, http: boolean): Leaf => ({
    kind: "outbound-listener",
    name,
    origins: [origin(name)],
    addresses: [address],
    port,
    handling: http
      ? { kind: "http", routeTable: name, tracing: undefined }
      : { kind: "tcp", backends: [{ cluster: name, weight: 1 }] },
  });
  const endpoints = (name: string, port: number): Leaf => ({
    kind: "endpoint-set",
    name,
    origins: [],
    endpoints: [{ address: "10.1.0.1", port, zone: undefined }],
  });
  const table = (name: string, direction: "inbound" | "outbound", rules: readonly HttpRule[]): Leaf => ({
    kind: "route-table",
    name,
    direction,
    origins: [],
    rules,
    trustDomain: "cluster.local",
  });
  const client: readonly Leaf[] = [
    listener("cart", "10.0.0.1", 80, true),
    listener("db", "10.0.0.2", 3306, false),
    table("cart", "outbound", [
      rule("api", { path: { kind: "prefix", value: "/api" } }, { kind: "any-mesh-identity" }),
      rule("root", { path: { kind: "exact", value: "/" } }, { kind: "any-mesh-identity" }),
    ]),
    upstream("cart"),
    upstream("db"),
    endpoints("cart", 8080),
    endpoints("db", 3306),
    {
      kind: "outbound-catch-all",
      name: "outbound",
      origins: [],
      passthroughCluster: change.egress === false ? undefined : "passthrough",
      ipv6: false,
    },
  ];
  const pod: readonly Leaf[] = [
    table("inbound|8080", "inbound", [
      rule("api", { path: { kind: "prefix", value: "/api" }, methods: ["GET"] }, only(buyer)),
      rule("api", { path: { kind: "prefix", value: "/api/open" } }, { kind: "any-mesh-identity" }),
    ]),
    {
      kind: "inbound-listener",
      name: "inbound",
      ...base,
      identity: server,
      ipv6: false,
      ports: [
        {
          port: 8080,
          handling: { kind: "http", routeTable: "inbound|8080", tracing: undefined },
          permission: { kind: "any-mesh-identity" },
          externalAuthorization: undefined,
        },
        {
          port: 3306,
          handling: { kind: "tcp", backends: [{ cluster: "local|3306", weight: 1 }] },
          permission: only(buyer),
          externalAuthorization: undefined,
        },
      ],
    },
  ];
  return {
    client: client.flatMap(change.client ?? (leaf => [leaf])),
    server: address => (address === "10.1.0.1" ? pod : undefined),
  };
}

const get = (path: string, from = buyer, method = "GET"): Call => ({
  from,
  address: "10.0.0.1",
  port: 80,
  http: { method, path, headers: {} },
});
const dial = (from = buyer, port = 3306): Call => ({ from, address: "10.0.0.2", port });
const without = (kind: Leaf["kind"], name: string) => ({
  client: (leaf: Leaf): readonly Leaf[] => (leaf.kind === kind && leaf.name === name ? [] : [leaf]),
});
const otherServer = {
  client: (leaf: Leaf): readonly Leaf[] => [
    leaf.kind === "upstream-cluster" ? { ...leaf, serverIdentities: [thief] } : leaf,
  ],
};
const weightless = {
  client: (leaf: Leaf): readonly Leaf[] => [
    leaf.kind === "outbound-listener" && leaf.handling.kind === "tcp"
      ? { ...leaf, handling: { kind: "tcp", backends: [{ cluster: "db", weight: 0 }] } }
      : leaf,
  ],
};

describe("evaluator", () => {
  const rows: readonly (readonly [string, Call, Outcome, Parameters<typeof world>[0]?])[] = [
    ["a request of an allowed caller", get("/api/cart"), "delivered"],
    ["its query does not matter", get("/api/cart?x=/"), "delivered"],
    ["a request of another caller", get("/api/cart", thief), "forbidden"],
    ["of rules on the server the first match decides", get("/api/open", thief), "forbidden"],
    ["another method reaches the next rule", get("/api/open", thief, "POST"), "delivered"],
    ["no rule on the server", get("/api/cart", buyer, "POST"), "no-rule"],
    ["no rule at the client", get("/other"), "no-rule"],
    ["bytes at an HTTP frontend", { from: buyer, address: "10.0.0.1", port: 80 }, "no-rule"],
    ["a connection of an allowed caller", dial(), "delivered"],
    ["a connection of another caller", dial(thief), "forbidden"],
    ["a port of the Service that is none", dial(buyer, 3307), "passthrough"],
    ["an unknown address", { from: buyer, address: "192.0.2.1", port: 443 }, "passthrough"],
    [
      "an unknown address without egress",
      { from: buyer, address: "192.0.2.1", port: 443 },
      "refused",
      { egress: false },
    ],
    ["a cluster that is not there", dial(), "unavailable", without("upstream-cluster", "db")],
    ["nobody behind the Service", dial(), "unavailable", without("endpoint-set", "db")],
    ["a backend of weight 0", dial(), "no-backend", weightless],
    ["a server with another identity", dial(), "wrong-server", otherServer],
  ];
  for (const [name, call, outcome, change] of rows) {
    it(`${name}: ${outcome}`, () => {
      const decision = decide(world(change), call);
      expect(decision.outcome, decision.steps.join(" → ")).to.equal(outcome);
      expect(decision.allowed).to.equal(outcome === "delivered" || outcome === "passthrough");
    });
  }

  it("says what it looked at and which object decided", () => {
    expect(decide(world(), get("/api/cart", thief))).to.deep.equal({
      allowed: false,
      outcome: "forbidden",
      status: 403,
      by: [origin("api")],
      destination: { address: "10.1.0.1", port: 8080 },
      possible: [
        {
          outcome: "forbidden",
          status: 403,
          by: [origin("api")],
          cluster: "cart",
          share: 1,
          destination: { address: "10.1.0.1", port: 8080 },
        },
      ],
      steps: [
        "listener cart",
        "rule cart/api",
        "cluster cart",
        "endpoint 10.1.0.1:8080",
        "server shop/cart",
        "inbound port 8080",
        "rule inbound|8080/api",
      ],
    });
  });
});

describe("matching of requests", () => {
  const request = { method: "GET", path: "/a/b?c=d", headers: { "X-Tenant": "blue" } };
  const header = (kind: "exact" | "regex", value: string, name = "x-tenant"): Partial<HttpMatch> => ({
    headers: [{ name, kind, value }],
  });
  const rows: readonly (readonly [string, Partial<HttpMatch>, boolean])[] = [
    ["anything", {}, true],
    ["exact path", { path: { kind: "exact", value: "/a/b" } }, true],
    ["exact path of a part", { path: { kind: "exact", value: "/a" } }, false],
    ["prefix of characters", { path: { kind: "prefix", value: "/a/" } }, true],
    ["regular expression over the whole path", { path: { kind: "regex", value: "/a/." } }, true],
    ["regular expression over a part", { path: { kind: "regex", value: "/a" } }, false],
    ["alternatives are kept together", { path: { kind: "regex", value: "/a|/x" } }, false],
    ["a pattern that cannot be read", { path: { kind: "regex", value: "(" } }, false],
    ["method", { methods: ["POST", "GET"] }, true],
    ["another method", { methods: ["POST"] }, false],
    ["header in any case", header("exact", "blue"), true],
    ["header with another value", header("exact", "red"), false],
    ["header by expression", header("regex", "bl.*"), true],
    ["missing header", header("regex", ".*", "x-none"), false],
  ];
  for (const [name, match, want] of rows) {
    it(name, () => {
      expect(matches({ ...ANY, ...match }, request)).to.equal(want);
    });
  }
});
