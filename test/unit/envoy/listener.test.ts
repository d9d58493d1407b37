import { expect } from "chai";
import { SDS_PEERS } from "../../../src/model/mesh-words";
import type { OutboundListenerLeaf, Permission } from "../../../src/policy/types";
import { all, at, built } from "./json-path";
import { CART, HTTP_PORT, INBOUND, origins, TCP_PORT } from "./leaves";

const OUTBOUND: OutboundListenerLeaf = {
  kind: "outbound-listener",
  name: "outbound|shop/cart|80",
  origins,
  addresses: ["10.1.2.3", "fd00::3"],
  port: 80,
  handling: { kind: "http", routeTable: "outbound|shop/cart|80", tracing: undefined },
};
const TCP = { kind: "tcp" as const, backends: [{ cluster: "a", weight: 1 }] };
const manager = (listener: ReturnType<typeof built>): ReturnType<typeof at> =>
  at(listener, "filterChains", 0, "filters", 0, "typedConfig");
const filterNames = (listener: ReturnType<typeof built>): unknown =>
  all(manager(listener), "httpFilters").flatMap(list =>
    Array.isArray(list) ? list.map(item => at(item, "name")) : [],
  );

describe("outbound listeners for Envoy", () => {
  it("stand for all addresses of a frontend without binding a port", () => {
    const listener = built(OUTBOUND);
    expect(listener["bindToPort"]).to.equal(false);
    expect(all(listener, "socketAddress")).to.deep.equal([
      { address: "10.1.2.3", portValue: 80 },
      { address: "fd00::3", portValue: 80 },
    ]);
  });

  it("look at no byte before the connection is made, for servers that speak first", () => {
    expect(built(OUTBOUND)).not.to.have.property("listenerFilters");
    expect(built({ ...OUTBOUND, handling: TCP })).not.to.have.property("listenerFilters");
  });

  it("count requests of HTTP, a gRPC port's by their status as well, and no connections", () => {
    const loggers = (leaf: OutboundListenerLeaf): number =>
      JSON.stringify(built(leaf)).split("access_loggers.stats.v3.Config").length - 1;
    expect(loggers(OUTBOUND)).to.equal(1);
    const grpc = { ...OUTBOUND, handling: { ...OUTBOUND.handling, grpc: true } } as OutboundListenerLeaf;
    expect(loggers(grpc)).to.equal(3);
    expect(loggers({ ...OUTBOUND, handling: TCP })).to.equal(0);
  });

  it("refuse a frontend without an address as a mistake of ours", () => {
    expect(() => built({ ...OUTBOUND, addresses: [] })).to.throw("has no address");
  });

  it("leave out backends of weight 0 for TCP, and close where none is left", () => {
    const weights = (...values: number[]): ReturnType<typeof built> => {
      const backends = values.map((weight, index) => ({ cluster: `c${index}`, weight }));
      return built({ ...OUTBOUND, handling: { kind: "tcp", backends } });
    };
    expect(at(manager(weights(0, 1, 2)), "weightedClusters", "clusters")).to.deep.equal([
      { name: "c1", weight: 1 },
      { name: "c2", weight: 2 },
    ]);
    expect(at(manager(weights(0, 5)), "cluster")).to.equal("c1");
    expect(at(weights(0, 0), "filterChains", 0, "filters", 0, "name")).to.equal(
      "envoy.filters.network.direct_response",
    );
  });

  it("cut no idle connection", () => {
    expect(at(manager(built({ ...OUTBOUND, handling: TCP })), "idleTimeout")).to.equal("0s");
    expect(at(manager(built(OUTBOUND)), "streamIdleTimeout")).to.equal("0s");
  });

  it("report to the collector only where tracing is on", () => {
    expect(manager(built(OUTBOUND))).not.to.have.property("tracing");
    const tracing = {
      cluster: "tracing",
      address: "jaeger",
      port: 9411,
      endpoint: "/api/v2/spans",
      protocol: "zipkin",
      samplingPercentage: 12.5,
    } as const;
    const traced = built({ ...OUTBOUND, handling: { kind: "http", routeTable: "r", tracing } });
    expect(at(manager(traced), "tracing", "randomSampling", "value")).to.equal(12.5);
    expect(at(manager(traced), "tracing", "provider", "typedConfig")).to.include({
      collectorCluster: "tracing",
      collectorEndpoint: "/api/v2/spans",
      collectorEndpointVersion: "HTTP_JSON",
    });
    const otlp = { kind: "http", routeTable: "r", tracing: { ...tracing, protocol: "otlp" } } as const;
    const provider = at(manager(built({ ...OUTBOUND, handling: otlp })), "tracing", "provider");
    expect(at(provider, "name")).to.equal("envoy.tracers.opentelemetry");
    expect(at(provider, "typedConfig", "grpcService", "envoyGrpc", "clusterName")).to.equal("tracing");
  });
});

describe("the catch-all listener for Envoy", () => {
  const leaf = {
    kind: "outbound-catch-all" as const,
    name: "outbound",
    origins,
    passthroughCluster: "p",
    ipv6: true,
  };

  it("takes every redirected connection, in both families", () => {
    const listener = built(leaf);
    expect(listener["useOriginalDst"]).to.equal(true);
    expect(all(listener, "socketAddress")).to.deep.equal([
      { address: "0.0.0.0", portValue: 15001 },
      { address: "::", portValue: 15001 },
    ]);
    expect(all(built({ ...leaf, ipv6: false }), "socketAddress")).to.have.length(1);
  });

  it("passes what is not of the mesh, or closes it", () => {
    const chain = ["defaultFilterChain", "filters", 0];
    expect(at(built(leaf), ...chain, "typedConfig", "cluster")).to.equal("p");
    const closed = at(built({ ...leaf, passthroughCluster: undefined }), ...chain, "name");
    expect(closed).to.equal("envoy.filters.network.direct_response");
  });

  it("closes connections to itself", () => {
    expect(at(built(leaf), "filterChains", 0)).to.deep.include({
      filterChainMatch: { destinationPort: 15001 },
    });
  });
});

const EVERY_SOURCE = ["0.0.0.0", "128.0.0.0", "::", "8000::"].map(addressPrefix => ({
  addressPrefix,
  prefixLen: 1,
}));

describe("the inbound listener for Envoy", () => {
  const chain = (leaf: typeof INBOUND, index = 0): ReturnType<typeof at> =>
    at(built(leaf), "filterChains", index);
  const tls = (leaf: typeof INBOUND): ReturnType<typeof at> =>
    at(chain(leaf), "transportSocket", "typedConfig", "commonTlsContext");
  const byRoots = (leaf: typeof INBOUND): unknown =>
    at(tls(leaf), "validationContextSdsSecretConfig", "name");
  const names = (leaf: typeof INBOUND, index = 0): unknown =>
    at(
      chain(leaf, index),
      "transportSocket",
      "typedConfig",
      "commonTlsContext",
      "combinedValidationContext",
      "defaultValidationContext",
      "matchTypedSubjectAltNames",
    );

  it("has a chain per port for the mesh's TLS, and none for plaintext", () => {
    expect(at(chain(INBOUND), "filterChainMatch")).to.deep.equal({
      destinationPort: 8080,
      transportProtocol: "tls",
      applicationProtocols: ["osm"],
      directSourcePrefixRanges: EVERY_SOURCE,
    });
    const chains = at(built(INBOUND), "filterChains");
    expect(chains).to.have.length(2);
    expect(all(chains, "requireClientCertificate")).to.deep.equal([true, true]);
  });

  it("answers no ALPN, so that HTTP/2 is known by its preface, and resumes no session", () => {
    const listener = built(INBOUND);
    expect(all(listener, "alpnProtocols")).to.deep.equal([]);
    expect(all(listener, "disableStatelessSessionResumption")).to.deep.equal([true, true]);
    expect(all(listener, "disableStatefulSessionResumption")).to.deep.equal([true, true]);
  });

  it("accepts the workloads that come with the roots, so another trust domain does not change it", () => {
    const listener = built(INBOUND);
    expect(names(INBOUND)).to.equal(undefined);
    expect(byRoots(INBOUND)).to.equal(SDS_PEERS);
    for (const trustDomain of ["mesh.example", ["mesh.example", "other.example"]])
      expect(built({ ...INBOUND, trustDomain })).to.deep.equal(listener);
  });

  it("accepts a caller by its names of both trust domains while a rotation leads from one to the other", () => {
    const trustDomain = ["mesh.example", "other.example"];
    const uri = (matcher: object): object => ({ sanType: "URI", matcher });
    const allow = (identities: (typeof CART)[]): unknown =>
      names({ ...INBOUND, trustDomain, ports: [{ ...TCP_PORT, permission: { kind: "allow", identities } }] });
    expect(allow([CART])).to.deep.equal([
      uri({ exact: "spiffe://mesh.example/ns/shop/sa/cart.v1" }),
      uri({ exact: "spiffe://other.example/ns/shop/sa/cart.v1" }),
    ]);
    expect(allow([]), "nobody, in either").to.deep.equal([
      uri({ exact: "spiffe://mesh.example/nobody" }),
      uri({ exact: "spiffe://other.example/nobody" }),
    ]);
  });

  it("decides on TCP in the handshake; empty is nobody", () => {
    const by = (permission: Permission): typeof INBOUND => ({
      ...INBOUND,
      ports: [{ ...TCP_PORT, permission }],
    });
    const allow = (identities: (typeof CART)[]): typeof INBOUND => by({ kind: "allow", identities });
    const exact = (uri: string): object => ({ sanType: "URI", matcher: { exact: uri } });
    expect(names(allow([CART]))).to.deep.equal([exact("spiffe://cluster.local/ns/shop/sa/cart.v1")]);
    const nobody = [exact("spiffe://cluster.local/nobody")];
    expect(names(allow([]))).to.deep.equal(nobody);
    expect(names(by({ kind: "grants", grants: [] })), "not to be decided in a handshake").to.deep.equal(
      nobody,
    );
    expect(names(by({ kind: "principals", names: ["gw"] }))).to.deep.equal(nobody);
  });

  it("lets every workload shake hands for HTTP, whose rules decide by route", () => {
    const ports = [{ ...HTTP_PORT, permission: { kind: "allow" as const, identities: [] } }];
    expect(byRoots({ ...INBOUND, ports })).to.equal(SDS_PEERS);
  });

  it("connects to a TCP application only after the handshake", () => {
    expect(at(chain(INBOUND, 1), "filters", 0, "typedConfig", "upstreamConnectMode")).to.equal(
      "ON_DOWNSTREAM_TLS_HANDSHAKE",
    );
  });

  it("keeps the HTTP filters in their order", () => {
    expect(filterNames(built(INBOUND))).to.deep.equal([
      "envoy.filters.http.rbac",
      "envoy.filters.http.local_ratelimit",
      "envoy.filters.http.router",
    ]);
    expect(filterNames(built(OUTBOUND))).to.deep.equal([
      "envoy.filters.http.fault",
      "envoy.filters.http.router",
    ]);
    const externalAuthorization = {
      cluster: "authz",
      address: "a",
      port: 1,
      statPrefix: "s",
      timeoutMs: 1500,
      failureModeAllow: true,
    };
    const guarded = built({ ...INBOUND, ports: [{ ...HTTP_PORT, externalAuthorization }] });
    expect(filterNames(guarded)).to.deep.equal([
      "envoy.filters.http.rbac",
      "envoy.filters.http.local_ratelimit",
      "envoy.filters.http.ext_authz",
      "envoy.filters.http.router",
    ]);
    expect(at(manager(guarded), "httpFilters", 2, "typedConfig")).to.deep.include({
      grpcService: { envoyGrpc: { clusterName: "authz", authority: "authz" }, timeout: "1.500s" },
      failureModeAllow: true,
      statPrefix: "s",
      withRequestBody: { maxRequestBytes: 8192, allowPartialMessage: true },
    });
  });

  it("is one hardened connection manager", () => {
    expect(manager(built(INBOUND))).to.deep.include({
      normalizePath: true,
      mergeSlashes: true,
      pathWithEscapedSlashesAction: "REJECT_REQUEST",
      useRemoteAddress: true,
      xffNumTrustedHops: 1,
      internalAddressConfig: { cidrRanges: [{ addressPrefix: "192.0.2.255", prefixLen: 32 }] },
      forwardClientCertDetails: "SANITIZE_SET",
      setCurrentClientCertDetails: { uri: true },
      requestHeadersTimeout: "10s",
      serverHeaderTransformation: "PASS_THROUGH",
      upgradeConfigs: [{ upgradeType: "websocket" }],
      preserveExternalRequestId: true,
    });
    const dropped = all(manager(built(INBOUND)), "removeOnMatch");
    expect(dropped).to.deep.equal(["x-envoy-", "osm-stats-"].map(prefix => ({ keyMatcher: { prefix } })));
    expect(all(manager(built(INBOUND)), "remove")).to.deep.equal(["osm-caller-gate"]);
    // What else callers may not set is dropped where it would be believed.
    expect(all(manager(built(OUTBOUND)), "removeOnMatch")).to.deep.equal([
      { keyMatcher: { prefix: "x-envoy-" } },
    ]);
    expect(manager(built(OUTBOUND))).to.deep.include({
      normalizePath: true,
      mergeSlashes: true,
      pathWithEscapedSlashesAction: "REJECT_REQUEST",
    });
  });

  it("waits for silent callers as its namespace takes plaintext, whatever its ports carry", () => {
    const beside = (leaf: typeof INBOUND): object => {
      const { filterChains, ...listener } = built(leaf);
      expect(filterChains).to.be.an("array");
      return listener;
    };
    for (const ports of [[HTTP_PORT], [TCP_PORT], [HTTP_PORT, TCP_PORT]]) {
      const open = beside({ ...INBOUND, ports, plaintext: true });
      expect(open).to.include({ listenerFiltersTimeout: "1s", continueOnListenerFiltersTimeout: true });
      expect(open).to.deep.equal(beside({ ...INBOUND, plaintext: true }));
      const closed = beside({ ...INBOUND, ports });
      expect(closed).to.include({ listenerFiltersTimeout: "5s" });
      expect(closed).not.to.have.property("continueOnListenerFiltersTimeout");
    }
  });

  it("refuses everything in a pod that serves nothing", () => {
    const listener = built({ ...INBOUND, ports: [] });
    expect(listener).not.to.have.property("filterChains");
    expect(at(listener, "defaultFilterChain", "filters", 0, "name")).to.equal(
      "envoy.filters.network.direct_response",
    );
  });

  it("logs OSM's 19 fields, the caller and the grant, never the query", () => {
    const [format] = all(manager(built(INBOUND)), "jsonFormat");
    expect(Object.keys(format as object)).to.have.length(21);
    expect(format).to.include({ path: "%PATH(NQ:PATH)%", authority: "%REQ(:AUTHORITY)%" });
  });
});
