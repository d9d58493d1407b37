import { expect } from "chai";
import { decide, type Call, type CallWorld, type Decision } from "../../../src/policy/decide";
import type {
  Backend,
  Handling,
  HttpMatch,
  HttpRule,
  InboundListenerLeaf,
  InboundPort,
  IngressChain,
  Leaf,
  OutboundListenerLeaf,
  Permission,
  RouteTableLeaf,
  UpstreamClusterLeaf,
} from "../../../src/policy/types";

const tls = { minVersion: "TLSv1_3", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] } as const;
const buyer = { namespace: "web", serviceAccount: "buyer" };
const server = { namespace: "shop", serviceAccount: "cart" };
const origin = (name: string) => ({ group: "", kind: "Service", namespace: "shop", name });
const ANY: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };
const MESH: Permission = { kind: "any-mesh-identity" };

const rule = (name: string, backends: readonly Backend[], permission: Permission = MESH): HttpRule => ({
  name,
  matches: [ANY],
  permission,
  backends,
  origins: [origin(`rule-${name}`)],
});
const table = (name: string, ...rules: readonly HttpRule[]): RouteTableLeaf => ({
  kind: "route-table",
  name,
  direction: "inbound",
  origins: [],
  rules,
  trustDomain: "cluster.local",
});
const http = (routeTable: string): Handling => ({ kind: "http", routeTable, tracing: undefined });
const cluster = (name: string, more: Partial<UpstreamClusterLeaf> = {}): UpstreamClusterLeaf => ({
  kind: "upstream-cluster",
  name,
  origins: [origin(`cluster-${name}`)],
  discovery: { kind: "endpoints" },
  protocol: "http",
  sni: name,
  serverIdentities: [server],
  trustDomain: "cluster.local",
  tls,
  ...more,
});
const endpoints = (name: string, ...addresses: readonly string[]): Leaf => ({
  kind: "endpoint-set",
  name,
  origins: [],
  endpoints: addresses.map(address => ({ address, port: 8080, zone: undefined })),
});
const frontend = (handling: Handling, more: Partial<OutboundListenerLeaf> = {}): OutboundListenerLeaf => ({
  kind: "outbound-listener",
  name: "front",
  origins: [origin("front")],
  addresses: ["10.9.0.1", "10.9.0.2"],
  port: 80,
  handling,
  ...more,
});
const port = (number: number, handling: Handling, more: Partial<InboundPort> = {}): InboundPort => ({
  port: number,
  handling,
  permission: MESH,
  externalAuthorization: undefined,
  ...more,
});
const inbound = (...ports: readonly InboundPort[]): InboundListenerLeaf => ({
  kind: "inbound-listener",
  name: "inbound",
  origins: [origin("pod")],
  identity: server,
  trustDomain: "cluster.local",
  tls,
  ports,
  ipv6: false,
});
const bytes: Handling = { kind: "tcp", backends: [{ cluster: "local", weight: 1 }] };

/** A pod whose port 8080 lets every request of the mesh in, or whom `permission` says. */
const pod = (permission: Permission = MESH): readonly Leaf[] => [
  inbound(port(8080, http("in"))),
  table("in", rule("any", [], permission)),
];
const request = (more: Partial<Call> = {}): Call => ({
  from: buyer,
  address: "10.9.0.1",
  port: 80,
  http: { method: "GET", path: "/", headers: {} },
  ...more,
});
const world = (client: readonly Leaf[], pods: Readonly<Record<string, readonly Leaf[]>> = {}): CallWorld => ({
  client,
  server: address => pods[address],
});
const one = [cluster("a"), endpoints("a", "10.1.0.1")];
const backend = (name: string, weight = 1): Backend => ({ cluster: name, weight });
const overHttp = (...backends: readonly Backend[]): readonly Leaf[] => [
  frontend(http("out")),
  table("out", rule("all", backends)),
];
const overTcp = (...backends: readonly Backend[]): readonly Leaf[] => [frontend({ kind: "tcp", backends })];

/** The end in short: outcome, status, objects. */
const end = ({ outcome, status, by }: Pick<Decision, "outcome" | "status" | "by">): string =>
  [outcome, ...(status === undefined ? [] : [status]), ...by.map(({ name }) => name)].join(" ");

describe("how a call ends at the client", () => {
  it("is by the frontend of its address and port, and at no other", () => {
    const mesh = world([...overHttp(backend("a")), ...one], { "10.1.0.1": pod() });
    expect(end(decide(mesh, request()))).to.equal("delivered rule-any");
    expect(end(decide(mesh, request({ address: "10.9.0.2" })))).to.equal("delivered rule-any");
    for (const other of [{ address: "10.9.0.3" }, { port: 81 }]) {
      const decision = decide(mesh, request(other));
      expect(end(decision)).to.equal("refused");
      expect(decision).to.deep.include({ allowed: false, steps: ["listener (none)"], possible: [] });
    }
  });

  it("is out of the mesh by what the catch-all says", () => {
    const catchAll = (passthroughCluster: string | undefined): Leaf => ({
      kind: "outbound-catch-all",
      name: "edge",
      origins: [origin("mesh")],
      passthroughCluster,
      ipv6: false,
    });
    const open = decide(world([catchAll("all")]), request());
    expect(open).to.deep.equal({
      allowed: true,
      outcome: "passthrough",
      by: [origin("mesh")],
      steps: ["listener edge"],
      possible: [],
    });
    const closed = decide(world([catchAll(undefined)]), request());
    expect(closed).to.deep.include({ allowed: false, outcome: "refused", steps: ["listener edge"] });
  });

  it("is by any match of a rule", () => {
    const paths = ["/a", "/b"].map((value): HttpMatch => ({ ...ANY, path: { kind: "exact", value } }));
    const two = { ...rule("two", [backend("a")]), matches: paths };
    const mesh = world([frontend(http("out")), table("out", two), ...one], { "10.1.0.1": pod() });
    for (const [path, outcome] of [
      ["/a", "delivered"],
      ["/b", "delivered"],
      ["/c", "no-rule"],
    ] as const)
      expect(decide(mesh, request({ http: { method: "GET", path, headers: {} } })).outcome).to.equal(outcome);
  });

  it("is malformed or without a rule where its table says so, with the status that a proxy answers", () => {
    const client = [frontend(http("out"))];
    expect(end(decide(world(client), request()))).to.equal("no-rule 404 front");
    const slash = request({ http: { method: "GET", path: "/a%2fb", headers: {} } });
    expect(end(decide(world([...client, table("out", rule("all", []))]), slash))).to.equal(
      "malformed 400 front",
    );
    const connection: Call = { from: buyer, address: "10.9.0.1", port: 80 };
    expect(end(decide(world([...client, table("out", rule("all", []))]), connection))).to.equal(
      "no-rule 404 front",
    );
  });

  it("is a status for requests and none for connections, where no server has answered", () => {
    const unresolved: Backend = { cluster: "a", weight: 1, unresolved: true };
    const rows: readonly (readonly [string, readonly Backend[], readonly Leaf[], string, string])[] = [
      ["no backend", [], one, "no-backend 500 rule-all", "no-backend front"],
      ["backends of weight 0", [backend("a", 0)], one, "no-backend 500 rule-all", "no-backend front"],
      ["one that does not exist", [unresolved], one, "no-backend 500 rule-all", "no-backend front"],
      ["no cluster", [backend("a")], [], "unavailable 503 rule-all", "unavailable front"],
      ["no endpoints", [backend("a")], [cluster("a")], "unavailable 503 cluster-a", "unavailable cluster-a"],
      ["no proxy there", [backend("a")], one, "unavailable 503 cluster-a", "unavailable cluster-a"],
    ];
    for (const [what, backends, rest, ofRequest, ofConnection] of rows) {
      expect(end(decide(world([...overHttp(...backends), ...rest]), request())), what).to.equal(ofRequest);
      expect(end(decide(world([...overTcp(...backends), ...rest]), request())), what).to.equal(ofConnection);
    }
  });
});

describe("how a call ends at the server", () => {
  const decided = (leaves: readonly Leaf[], client: readonly Leaf[] = one): Decision =>
    decide(world([...overHttp(backend("a")), ...client], { "10.1.0.1": leaves }), request());

  it("is unavailable where nothing listens, or not at that port", () => {
    expect(end(decided([]))).to.equal("unavailable 503 cluster-a");
    expect(end(decided([inbound(port(8081, http("in")))]))).to.equal("unavailable 503 pod");
  });

  it("is for a server with an identity that the destination may have", () => {
    const other = { namespace: "shop", serviceAccount: "other" };
    const named = (...serverIdentities: UpstreamClusterLeaf["serverIdentities"]) => [
      cluster("a", { serverIdentities }),
      endpoints("a", "10.1.0.1"),
    ];
    expect(end(decided(pod(), named(other, server)))).to.equal("delivered rule-any");
    expect(end(decided(pod(), named(other)))).to.equal("wrong-server 503 cluster-a");
    expect(end(decided(pod(), named()))).to.equal("wrong-server 503 cluster-a");
    expect(end(decided(pod(), named({ ...server, namespace: "web" })))).to.equal(
      "wrong-server 503 cluster-a",
    );
  });

  it("is forbidden by the rule with a status, of bytes by the listener without one", () => {
    const nobody: Permission = { kind: "allow", identities: [] };
    expect(end(decided(pod(nobody)))).to.equal("forbidden 403 rule-any");
    const tcp = (permission: Permission): Decision =>
      decide(
        world([...overTcp(backend("a")), ...one], {
          "10.1.0.1": [inbound(port(8080, bytes, { permission }))],
        }),
        request(),
      );
    expect(end(tcp(MESH))).to.equal("delivered pod");
    expect(end(tcp(nobody))).to.equal("forbidden pod");
  });

  it("is by the server's own reading of the request", () => {
    expect(end(decided([inbound(port(8080, http("in")))]))).to.equal("no-rule 404 pod");
    const keep: Handling = { kind: "http", routeTable: "out", tracing: undefined, escapedSlashes: "keep" };
    const client = [frontend(keep), table("out", rule("all", [backend("a")])), ...one];
    const slash = request({ http: { method: "GET", path: "/a%2fb", headers: {} } });
    expect(end(decide(world(client, { "10.1.0.1": pod() }), slash))).to.equal("malformed 400 pod");
  });

  it("is of the path as the client's proxy hands it on", () => {
    const unescape: Handling = {
      kind: "http",
      routeTable: "out",
      tracing: undefined,
      escapedSlashes: "unescape",
    };
    const client = [frontend(unescape), table("out", rule("all", [backend("a")])), ...one];
    const seen: HttpMatch = { ...ANY, path: { kind: "exact", value: "/a/b" } };
    const at = [inbound(port(8080, http("in"))), table("in", { ...rule("exact", []), matches: [seen] })];
    const slash = request({ http: { method: "GET", path: "/a%2fb", headers: {} } });
    expect(end(decide(world(client, { "10.1.0.1": at }), slash))).to.equal("delivered rule-exact");
  });

  it("is by the grant that decides, with its name and objects, or that came nearest", () => {
    const grant = { name: "shop/t#0", identities: [buyer], matches: [ANY], origins: [origin("target")] };
    const leaves = pod({ kind: "grants", grants: [grant] });
    const allowed = decided(leaves);
    expect(allowed).to.deep.include({ outcome: "delivered", rule: "shop/t#0", by: [origin("target")] });
    expect(allowed.steps.slice(-2)).to.deep.equal(["rule in/any", "grant shop/t#0"]);
    const missed = decided(pod({ kind: "grants", grants: [{ ...grant, identities: [server] }] }));
    expect(missed).to.deep.include({ outcome: "forbidden", status: 403, by: [origin("target")] });
    expect(missed.nearest?.grant).to.equal("shop/t#0");
    expect(missed.rule).to.equal(undefined);
    expect(missed.steps.at(-1)).to.equal("nearest shop/t#0: caller web/buyer is not shop/cart");
  });
});

describe("what can happen to a call", () => {
  it("is by weight: the heaviest is followed, each with its share", () => {
    const backends = [backend("a", 1), backend("none", 0), backend("b", 3)];
    const client = [...overHttp(...backends), ...one, cluster("b"), endpoints("b", "10.1.0.2")];
    const nobody: Permission = { kind: "allow", identities: [] };
    const decision = decide(world(client, { "10.1.0.1": pod(nobody), "10.1.0.2": pod() }), request());
    expect(end(decision)).to.equal("delivered rule-any");
    expect(
      decision.possible.map(({ cluster: name, share, ...rest }) => [name, share, end(rest)]),
    ).to.deep.equal([
      ["b", 0.75, "delivered rule-any"],
      ["a", 0.25, "forbidden 403 rule-any"],
    ]);
    expect(decision.possible[0]).to.not.have.property("steps");
  });

  it("is each different end at the pods of a backend once, with the first pod", () => {
    const nobody: Permission = { kind: "allow", identities: [] };
    const client = [
      ...overHttp(backend("a")),
      cluster("a"),
      endpoints("a", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"),
    ];
    const pods = { "10.1.0.1": pod(), "10.1.0.2": pod(), "10.1.0.3": pod(nobody), "10.1.0.4": pod(nobody) };
    const decision = decide(world(client, pods), request());
    expect(
      decision.possible.map(({ outcome, share, destination }) => [outcome, share, destination?.address]),
    ).to.deep.equal([
      ["delivered", 1, "10.1.0.1"],
      ["forbidden", 1, "10.1.0.3"],
    ]);
    expect(decision.destination).to.deep.equal({ address: "10.1.0.1", port: 8080 });
    expect(decision.steps).to.deep.equal([
      "listener front",
      "rule out/all",
      "cluster a",
      "endpoint 10.1.0.1:8080",
      "server shop/cart",
      "inbound port 8080",
      "rule in/any",
    ]);
  });

  it("is at the address that was dialled where the destination is as it was", () => {
    const direct = cluster("direct", { discovery: { kind: "original-destination" } });
    const client = [
      frontend(http("out"), { addresses: ["10.1.0.7"], port: 8080 }),
      table("out", rule("all", [backend("direct")])),
      direct,
      endpoints("direct", "10.1.0.1"),
    ];
    const call = request({ address: "10.1.0.7", port: 8080 });
    const decision = decide(world(client, { "10.1.0.7": pod() }), call);
    expect(end(decision)).to.equal("delivered rule-any");
    expect(decision.destination).to.deep.equal({ address: "10.1.0.7", port: 8080 });
  });
});

describe("how a call without a sidecar ends", () => {
  const plain = (leaves: readonly Leaf[] | undefined, more: Partial<Call> = {}): Decision => {
    const call = request({ from: undefined, address: "10.1.0.1", port: 8080, source: "10.2.0.1", ...more });
    return decide(world([], leaves === undefined ? {} : { "10.1.0.1": leaves }), call);
  };
  const chain = (more: Partial<IngressChain> = {}): IngressChain => ({
    name: "ingress",
    cidrs: ["10.2.0.0/16"],
    tls: undefined,
    routeTable: "ingress",
    origins: [],
    ...more,
  });

  it("is at the application where there is no proxy", () => {
    expect(plain(undefined)).to.deep.equal({
      allowed: true,
      outcome: "passthrough",
      by: [],
      steps: ["no proxy"],
      possible: [],
    });
  });

  it("is refused where no plaintext is taken, by whoever listens", () => {
    expect(end(plain([]))).to.equal("refused");
    const closed = plain(pod());
    expect(end(closed)).to.equal("refused pod");
    expect(closed.steps).to.deep.equal(["inbound port 8080", "takes no plaintext"]);
    const open = port(8081, bytes, { plaintext: { routeTable: undefined } });
    expect(end(plain([inbound(open)])), "another port").to.equal("refused pod");
  });

  it("is by the rules for callers without identity while a namespace migrates, whoever else is allowed", () => {
    const leaves = (permission: Permission): readonly Leaf[] => [
      inbound(port(8080, http("in"), { plaintext: { routeTable: "plain" } })),
      table("in", rule("mesh", [])),
      table("plain", rule("plain", [], permission)),
    ];
    const open = plain(leaves({ kind: "anyone" }));
    expect(end(open)).to.equal("delivered rule-plain");
    expect(open.destination).to.deep.equal({ address: "10.1.0.1", port: 8080 });
    expect(open.steps).to.deep.equal(["inbound port 8080", "rule plain/plain"]);
    expect(end(plain(leaves(MESH)))).to.equal("forbidden 403 rule-plain");
  });

  it("is everything where bytes are taken in plaintext", () => {
    const permission: Permission = { kind: "allow", identities: [] };
    const open = port(8080, bytes, { permission, plaintext: { routeTable: undefined } });
    expect(end(plain([inbound(open)]))).to.equal("delivered pod");
  });

  it("is by the ingress of its address before the plaintext of all", () => {
    const leaves = (ingress: readonly IngressChain[], plaintext: boolean): readonly Leaf[] => [
      inbound(
        port(8080, http("in"), { ingress, ...(plaintext ? { plaintext: { routeTable: "plain" } } : {}) }),
      ),
      table("ingress", rule("ingress", [], { kind: "anyone" })),
      table("plain", rule("plain", [], { kind: "anyone" })),
    ];
    expect(end(plain(leaves([chain()], true)))).to.equal("delivered rule-ingress");
    expect(end(plain(leaves([chain()], false)))).to.equal("delivered rule-ingress");
    const elsewhere = chain({ cidrs: ["10.3.0.0/16"] });
    expect(end(plain(leaves([elsewhere], true)))).to.equal("delivered rule-plain");
    expect(end(plain(leaves([elsewhere], false)))).to.equal("refused pod");
  });
});
