import { expect } from "chai";
import type { TlsParameters } from "../../../src/policy/types";
import { all, at, built } from "./json-path";
import { CART, origins, PAY, UPSTREAM } from "./leaves";

const ADS = { ads: {}, resourceApiVersion: "V3" };
const TLS = ["transportSocket", "typedConfig", "commonTlsContext"];
const HTTP_OPTIONS = [
  "typedExtensionProtocolOptions",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
];

describe("clusters for Envoy", () => {
  it("reach a Service by mutual TLS with exactly its identities", () => {
    const cluster = built(UPSTREAM);
    expect(cluster["type"]).to.equal("EDS");
    expect(at(cluster, "edsClusterConfig", "edsConfig")).to.deep.equal(ADS);
    expect(at(cluster, "transportSocket", "typedConfig", "sni")).to.equal("cart.shop.svc.cluster.local");
    expect(at(cluster, ...TLS, "alpnProtocols")).to.deep.equal(["osm"]);
    expect(at(cluster, ...TLS, "tlsCertificateSdsSecretConfigs")).to.deep.equal([
      { name: "service-cert", sdsConfig: ADS },
    ]);
    expect(at(cluster, ...TLS, "combinedValidationContext")).to.deep.equal({
      defaultValidationContext: {
        matchTypedSubjectAltNames: [
          { sanType: "URI", matcher: { exact: "spiffe://cluster.local/ns/shop/sa/cart.v1" } },
          { sanType: "URI", matcher: { exact: "spiffe://cluster.local/ns/bank/sa/pay" } },
        ],
      },
      validationContextSdsSecretConfig: { name: "root-cert-for-mtls", sdsConfig: ADS },
    });
  });

  it("are called in metrics by names without a dot, which would end them", () => {
    const leaf = {
      kind: "caller-cluster",
      name: "inbound|80|spiffe://a.b/ns/c/sa/d",
      origins,
      protocol: "http",
    } as const;
    expect(built(leaf)["altStatName"]).to.equal("inbound|80|spiffe://a_b/ns/c/sa/d");
    expect(built(UPSTREAM)).not.to.have.property("altStatName");
  });

  it("name nobody, never anybody, where no identity may serve", () => {
    const names = all(built({ ...UPSTREAM, serverIdentities: [] }), "exact");
    expect(names).to.deep.equal(["spiffe://cluster.local/nobody"]);
  });

  it("use the same bytes for every source of configuration", () => {
    const sources = [...all(built(UPSTREAM), "sdsConfig"), ...all(built(UPSTREAM), "edsConfig")];
    expect(sources).to.have.length(3);
    for (const source of sources) expect(source).to.deep.equal(ADS);
  });

  const versions: [TlsParameters["minVersion"], TlsParameters["maxVersion"], string, string][] = [
    ["TLS_AUTO", "TLS_AUTO", "TLSv1_2", "TLSv1_3"],
    ["TLSv1_0", "TLSv1_1", "TLSv1_0", "TLSv1_1"],
    ["TLSv1_2", "TLSv1_2", "TLSv1_2", "TLSv1_2"],
    ["TLSv1_3", "TLSv1_3", "TLSv1_3", "TLSv1_3"],
  ];
  for (const [minVersion, maxVersion, minimum, maximum] of versions) {
    it(`state both ends of TLS ${minVersion} to ${maxVersion}`, () => {
      const tls = {
        minVersion,
        maxVersion,
        cipherSuites: ["ECDHE-ECDSA-AES128-GCM-SHA256"],
        ecdhCurves: ["P-256"],
      };
      expect(at(built({ ...UPSTREAM, tls }), ...TLS, "tlsParams")).to.deep.equal({
        tlsMinimumProtocolVersion: minimum,
        tlsMaximumProtocolVersion: maximum,
        cipherSuites: ["ECDHE-ECDSA-AES128-GCM-SHA256"],
        ecdhCurves: ["P-256"],
      });
    });
  }

  it("keep HTTP/1.1 and HTTP/2 as they came, and are the same where bytes are carried", () => {
    const http = at(built(UPSTREAM), ...HTTP_OPTIONS, "useDownstreamProtocolConfig");
    expect(http).to.have.keys("httpProtocolOptions", "http2ProtocolOptions");
    expect(built({ ...UPSTREAM, protocol: "tcp" })).to.deep.equal(built(UPSTREAM));
    const local = { kind: "local-cluster" as const, name: "local|1", origins, port: 1 };
    expect(built({ ...local, protocol: "grpc" })).to.have.property("typedExtensionProtocolOptions");
    expect(built({ ...local, protocol: "tcp" })).to.deep.equal(built({ ...local, protocol: "grpc" }));
  });

  it("go to the dialled address where there is no Service address", () => {
    const cluster = built({ ...UPSTREAM, discovery: { kind: "original-destination" } });
    expect(cluster).to.include({ type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" });
    expect(cluster).not.to.have.property("edsClusterConfig");
    expect(all(cluster, "exact")).to.have.length([CART, PAY].length);
  });

  it("reach the application on loopback, in plaintext", () => {
    const cluster = built({
      kind: "local-cluster",
      name: "local|8080",
      origins,
      port: 8080,
      protocol: "http",
    });
    expect(all(cluster, "socketAddress")).to.deep.equal([{ address: "127.0.0.1", portValue: 8080 }]);
    expect(cluster).not.to.have.property("transportSocket");
    expect(at(cluster, ...HTTP_OPTIONS, "commonHttpProtocolOptions", "idleTimeout")).to.equal("1s");
  });

  it("pass bytes through without TLS of their own", () => {
    const cluster = built({ kind: "passthrough-cluster", name: "passthrough", origins });
    expect(cluster).to.include({ type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED" });
    expect(cluster).not.to.have.property("transportSocket");
  });

  it("resolve names outside of the mesh, HTTP/2 only where asked", () => {
    const leaf = {
      kind: "external-cluster" as const,
      name: "x",
      origins,
      address: "jaeger.tools",
      port: 9411,
    };
    const plain = built({ ...leaf, http2: false });
    expect(plain).to.include({ type: "STRICT_DNS", waitForWarmOnInit: false });
    expect(plain).not.to.have.property("typedExtensionProtocolOptions");
    const grpc = built({ ...leaf, http2: true });
    expect(at(grpc, ...HTTP_OPTIONS, "explicitHttpConfig")).to.have.keys("http2ProtocolOptions");
  });

  it("break no circuit unless asked", () => {
    const leaf = { kind: "passthrough-cluster" as const, name: "p", origins };
    for (const cluster of [built(UPSTREAM), built(leaf)]) {
      for (const limit of ["maxConnections", "maxPendingRequests", "maxRequests", "maxRetries"])
        expect(all(cluster, limit)).to.deep.equal([4294967295, 4294967295]);
    }
  });
});
