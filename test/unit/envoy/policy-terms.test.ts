import { expect } from "chai";
import { encodeLeaf } from "../../../src/envoy/encode";
import { covers } from "../../../src/model/cidr";
import type { Leaf } from "../../../src/policy/types";
import { validate } from "../../support/envoy";
import { all, at, built } from "./json-path";
import { INBOUND, TCP_PORT, UPSTREAM } from "./leaves";
import { CONNECTION, EGRESS, INGRESS_HTTP, LIMITED_HTTP, POLICY_LEAVES } from "./terms";

function leaf(kind: Leaf["kind"], name: string): Leaf {
  const found = POLICY_LEAVES.find(item => item.kind === kind && item.name === name);
  if (found === undefined) throw new Error(`no leaf ${name}`);
  return found;
}

const route = (name: string): ReturnType<typeof at> =>
  at(built(leaf("route-table", name)), "virtualHosts", 0, "routes", 0);
const chains = (listener: ReturnType<typeof built>): { name: unknown; match: unknown }[] => {
  const list = listener["filterChains"];
  return (Array.isArray(list) ? list : []).map(chain => ({
    name: at(chain, "name"),
    match: at(chain, "filterChainMatch"),
  }));
};
const inbound = (port: typeof LIMITED_HTTP): ReturnType<typeof built> => built({ ...INBOUND, ports: [port] });

describe("traffic policy for Envoy", () => {
  it("is accepted by the real Envoy, every word of it", async () => {
    const verdict = await validate(POLICY_LEAVES.map(encodeLeaf));
    expect(verdict.ok, verdict.output).to.equal(true);
  }).timeout(60_000);

  it("limits connections and requests of clients", () => {
    const cluster = built({ ...UPSTREAM, connection: CONNECTION });
    expect(cluster["connectTimeout"]).to.equal("1.500s");
    expect(at(cluster, "circuitBreakers", "thresholds", 0)).to.deep.include({
      maxConnections: 10,
      maxPendingRequests: 30,
      maxRequests: 20,
      maxRetries: 4,
    });
    expect(all(cluster, "maxRequestsPerConnection")).to.deep.equal([5]);
  });

  it("counts errors in a row, and ejects by no statistics", () => {
    expect(built(leaf("upstream-cluster", UPSTREAM.name))["outlierDetection"]).to.deep.equal({
      consecutive5xx: 3,
      interval: "1s",
      baseEjectionTime: "2s",
      maxEjectionPercent: 50,
      enforcingConsecutive5xx: 100,
      enforcingSuccessRate: 0,
    });
  });

  it("balances as a policy says, and in turn without one", () => {
    const policies = (["round-robin", "least-request", "random", "source-address"] as const).map(
      kind => built({ ...UPSTREAM, loadBalancing: { kind } })["lbPolicy"],
    );
    expect(policies).to.deep.equal([undefined, "LEAST_REQUEST", "RANDOM", "RING_HASH"]);
    expect(built(leaf("upstream-cluster", UPSTREAM.name))["lbPolicy"]).to.equal("RING_HASH");
  });

  it("leads to an outside host by name, whatever address family answers", () => {
    expect(built(leaf("external-cluster", "egress|a"))).to.include({
      type: "LOGICAL_DNS",
      dnsLookupFamily: "ALL",
    });
  });

  it("retries as asked, and what no server has seen", () => {
    expect(at(route("outbound|terms"), "route", "retryPolicy")).to.deep.include({
      retryOn: "5xx,retriable-status-codes,connect-failure,refused-stream,reset-before-request",
      numRetries: 7,
      perTryTimeout: "0.250s",
      retriableStatusCodes: [418],
      retryBackOff: { baseInterval: "0.020s", maxInterval: "0.200s" },
    });
  });

  it("injects faults in millionths, by route", () => {
    const fault = at(route("outbound|terms"), "typedPerFilterConfig", "envoy.filters.http.fault");
    expect(fault).to.deep.include({
      delay: { fixedDelay: "0.100s", percentage: { numerator: 5000, denominator: "MILLION" } },
      abort: { httpStatus: 503, percentage: { numerator: 122500, denominator: "MILLION" } },
    });
    expect(at(route("outbound|terms"), "route")).to.deep.include({ timeout: "1.500s" });
    expect(all(route("outbound|terms"), "hashPolicy")[0]).to.deep.equal([
      { header: { headerName: "x-user" } },
      { connectionProperties: { sourceIp: true } },
    ]);
  });

  it("limits all of a table and each rule", () => {
    const buckets = all(built(leaf("route-table", "inbound|8080")), "tokenBucket");
    const bucket = { maxTokens: 15, tokensPerFill: 10, fillInterval: "60s" };
    expect(buckets).to.deep.equal([bucket, bucket, bucket]);
    expect(all(built(leaf("route-table", "inbound|8080")), "filterEnforced")).to.have.length(3);
  });

  it("limits connections in front of the handshake's work, all chains of a port together", () => {
    const listener = inbound({ ...LIMITED_HTTP, plaintext: { routeTable: "p" } });
    const names = ["local_ratelimit", "ratelimit", "http_connection_manager"];
    for (const chain of [0, 1]) {
      const filters = at(listener, "filterChains", chain, "filters");
      expect(Array.isArray(filters) && filters.map(filter => at(filter, "name"))).to.deep.equal(
        names.map(name => `envoy.filters.network.${name}`),
      );
    }
    expect(new Set(all(listener, "shareKey"))).to.deep.equal(new Set(["inbound|8080"]));
    expect(all(listener, "rateLimitedStatus")).to.deep.equal([
      { code: "TooManyRequests" },
      { code: "TooManyRequests" },
    ]);
  });

  it("keeps ingress, mesh and plaintext apart", () => {
    const tls = { destinationPort: 8080, transportProtocol: "tls" };
    const directSourcePrefixRanges = ["0.0.0.0", "128.0.0.0", "::", "8000::"].map(addressPrefix => ({
      addressPrefix,
      prefixLen: 1,
    }));
    const mesh = { ...tls, applicationProtocols: ["osm"], directSourcePrefixRanges };
    expect(chains(inbound(INGRESS_HTTP))).to.deep.equal([
      { name: "8080", match: mesh },
      {
        name: "8080|ingress-names",
        match: { ...mesh, serverNames: ["shop.example.com"] },
      },
      {
        name: "8080|ingress|plain",
        match: {
          destinationPort: 8080,
          transportProtocol: "raw_buffer",
          sourcePrefixRanges: [
            { addressPrefix: "10.0.0.0", prefixLen: 8 },
            { addressPrefix: "fd00::1", prefixLen: 128 },
          ],
        },
      },
      {
        name: "8080|ingress|tls",
        match: {
          ...tls,
          serverNames: ["shop.example.com"],
          sourcePrefixRanges: [
            { addressPrefix: "0.0.0.0", prefixLen: 0 },
            { addressPrefix: "::", prefixLen: 0 },
          ],
        },
      },
      { name: "8080|plaintext", match: { destinationPort: 8080, transportProtocol: "raw_buffer" } },
    ]);
  });

  it("leads a TCP caller to its own gate, and nowhere when that fails", () => {
    const listener = inbound({ ...TCP_PORT, perCaller: true, permission: { kind: "allow", identities: [] } });
    expect(all(listener, "inlineString")).to.deep.equal(["inbound|3306|%DOWNSTREAM_PEER_URI_SAN%"]);
    expect(all(at(listener, "filterChains", 0, "filters", 1), "cluster")).to.deep.equal([
      "inbound|3306|nobody",
    ]);
    expect(all(listener, "matchTypedSubjectAltNames"), "any workload shakes hands").to.deep.equal([]);
  });

  it("leads an HTTP request to the gate its listener names, and past gates where there is none, under one permission", () => {
    const routes = at(built(leaf("route-table", "inbound|8080")), "virtualHosts", 0, "routes");
    const [gate, direct] = Array.isArray(routes) ? routes : [];
    expect(gate).to.deep.include({
      match: { prefix: "/", headers: [{ name: "osm-caller-gate", presentMatch: true }] },
      requestHeadersToRemove: ["osm-caller-gate"],
    });
    expect(at(gate, "route", "clusterHeader")).to.equal("osm-caller-gate");
    expect(at(direct, "match")).to.deep.equal({ prefix: "/" });
    expect(at(direct, "route", "cluster")).to.equal("local|8080");
    const permission = (route: typeof gate): ReturnType<typeof at> =>
      at(route, "typedPerFilterConfig", "envoy.filters.http.rbac", "rbac");
    expect(permission(gate)).not.to.equal(undefined);
    expect(permission(gate)).to.deep.equal(permission(direct));
  });

  it("does not depend on who may call, where callers have gates", () => {
    const of = (identities: { namespace: string; serviceAccount: string }[]): string =>
      encodeLeaf({
        ...INBOUND,
        ports: [{ ...TCP_PORT, perCaller: true, permission: { kind: "allow", identities } }],
      }).version;
    expect(of([])).to.equal(of([{ namespace: "a", serviceAccount: "b" }]));
  });

  it("repeats in a narrow range what a wider one opens, and a name once", () => {
    const opened = chains(built(EGRESS)).map(({ name }) => name);
    expect(opened).to.deep.equal([
      "loop",
      "egress|web",
      "egress|web|10.0.0.0/8",
      "egress|mixed|10.0.0.0/8|plain",
      "egress|mixed|10.0.0.0/8",
      "egress|api",
      "egress|db|10.1.0.0/16",
    ]);
  });

  it("waits for a client's bytes only on ports where they decide", () => {
    expect(all(built(EGRESS), "filterDisabled")).to.deep.equal(
      [443, 80].map(port => ({ notMatch: { destinationPortRange: { start: port, end: port + 1 } } })),
    );
    const passing = built({ ...EGRESS, passthroughCluster: "passthrough" });
    expect(passing).not.to.have.any.keys("listenerFilters", "listenerFiltersTimeout");
    expect(passing["filterChains"]).to.have.length(1);
  });

  const ranges: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.0.0.0/8", "10.0.0.0/8", true],
    ["10.1.0.0/16", "10.0.0.0/8", false],
    ["10.0.0.0/8", "11.0.0.0/16", false],
    ["0.0.0.0/0", "255.1.2.3", true],
    ["0.0.0.0/0", "fd00::/8", false],
    ["fd00::/8", "fd12:3::4/128", true],
    ["fd00::1", "fd00::1", true],
  ];
  for (const [wider, narrower, expected] of ranges)
    it(`${wider} ${expected ? "holds" : "does not hold"} ${narrower}`, () => {
      expect(covers(wider, narrower)).to.equal(expected);
    });
});
