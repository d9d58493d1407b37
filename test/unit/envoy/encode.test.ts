import { createHash } from "node:crypto";
import { expect } from "chai";
import { encodeLeaf } from "../../../src/envoy/encode";
import type { Leaf, Tracing } from "../../../src/policy/types";
import { TYPE_URLS } from "../../../src/xds/resource";
import { validate } from "../../support/envoy";
import { messageJson, resourceJson } from "../../support/envoy-json";
import {
  ANY_REQUEST,
  CART,
  HTTP_PORT,
  INBOUND,
  INBOUND_TABLE,
  origins,
  RULE,
  TCP_PORT,
  UPSTREAM,
} from "./leaves";

const tracing: Tracing = {
  cluster: "tracing",
  address: "jaeger.tools",
  port: 9411,
  endpoint: "/api/v2/spans",
  protocol: "zipkin",
  samplingPercentage: 100,
};
const authorization = {
  cluster: "authorization",
  address: "authz.tools",
  port: 9000,
  statPrefix: "authz",
  timeoutMs: 1000,
  failureModeAllow: false,
};
const nobody = { kind: "allow" as const, identities: [] };
const external = { kind: "external-cluster" as const, origins, address: "x.tools", port: 9000 };
const listener = { kind: "outbound-listener" as const, origins, port: 80 };

/** Every kind of leaf, in every variant that makes another resource. */
const LEAVES: readonly Leaf[] = [
  UPSTREAM,
  { ...UPSTREAM, name: "nobody", serverIdentities: [], protocol: "tcp" },
  { ...UPSTREAM, name: "direct", discovery: { kind: "original-destination" }, protocol: "grpc" },
  { kind: "local-cluster", name: "local|8080", origins, port: 8080, protocol: "http" },
  { kind: "local-cluster", name: "local|3306", origins, port: 3306, protocol: "tcp" },
  { kind: "passthrough-cluster", name: "passthrough", origins },
  { ...external, name: "tracing", http2: false },
  { ...external, name: "authorization", http2: true },
  {
    kind: "endpoint-set",
    name: UPSTREAM.name,
    origins,
    endpoints: [{ address: "fd00::1", port: 1, zone: "a" }],
  },
  { kind: "endpoint-set", name: "nobody", origins, endpoints: [] },
  INBOUND_TABLE,
  {
    ...INBOUND_TABLE,
    name: "inbound|8081",
    rules: [
      {
        ...RULE,
        permission: { kind: "allow", identities: [CART] },
        matches: [
          {
            path: { kind: "regex", value: "/(a|b).*" },
            methods: ["GET", "POST"],
            headers: [{ name: "Host", kind: "regex", value: ".*" }],
          },
        ],
      },
      { ...RULE, permission: nobody, backends: [], matches: [{ ...ANY_REQUEST, methods: ["GET"] }] },
    ],
  },
  {
    ...INBOUND_TABLE,
    name: "split",
    direction: "outbound",
    rules: [
      {
        ...RULE,
        backends: [
          { cluster: "a", weight: 0 },
          { cluster: "b", weight: 2 },
        ],
      },
    ],
  },
  {
    ...listener,
    name: "http",
    addresses: ["10.1.0.1", "fd00::1"],
    handling: { kind: "http", routeTable: "split", tracing },
  },
  {
    ...listener,
    name: "otlp",
    addresses: ["10.1.0.31"],
    handling: { kind: "http", routeTable: "split", tracing: { ...tracing, protocol: "otlp" } },
  },
  {
    ...listener,
    name: "tcp",
    addresses: ["10.1.0.2"],
    handling: {
      kind: "tcp",
      backends: [
        { cluster: "a", weight: 1 },
        { cluster: "b", weight: 2 },
      ],
    },
  },
  { ...listener, name: "closed", addresses: ["10.1.0.3"], handling: { kind: "tcp", backends: [] } },
  { kind: "outbound-catch-all", name: "outbound", origins, passthroughCluster: "passthrough", ipv6: true },
  {
    ...INBOUND,
    ports: [
      HTTP_PORT,
      { ...HTTP_PORT, port: 8081, externalAuthorization: authorization },
      { ...TCP_PORT, permission: { kind: "allow", identities: [CART] } },
      { ...TCP_PORT, port: 3307, permission: nobody },
    ],
    ipv6: true,
  },
];

describe("encoding for Envoy", () => {
  it("gives the same bytes for the same leaf, and another version for other bytes", () => {
    for (const leaf of LEAVES) {
      const first = encodeLeaf(leaf);
      const second = encodeLeaf(structuredClone(leaf));
      expect(Buffer.from(second.fragment).equals(first.fragment), leaf.name).to.equal(true);
      const hash = createHash("sha256").update(first.body).digest();
      expect(first.version).to.equal(hash.subarray(0, 12).toString("base64url"));
    }
    expect(new Set(LEAVES.map(leaf => encodeLeaf(leaf).version)).size).to.equal(LEAVES.length);
  });

  it("frames a resource as the discovery protocol does", () => {
    const resource = encodeLeaf(UPSTREAM);
    const { name, version, typeUrl } = resource;
    expect(messageJson("envoy.service.discovery.v3.Resource", resource.fragment)).to.deep.equal({
      name,
      version,
      resource: { "@type": typeUrl, ...resourceJson(resource) },
    });
  });

  it("names every resource like its leaf and keeps its origins", () => {
    const origin = { group: "", kind: "Service", namespace: "shop", name: "cart" };
    for (const leaf of LEAVES) {
      const resource = encodeLeaf({ ...leaf, origins: [origin] });
      const json = resourceJson(resource);
      expect(json["name"] ?? json["clusterName"]).to.equal(leaf.name);
      expect(resource.name).to.equal(leaf.name);
      expect(resource.origins).to.deep.equal([origin]);
    }
  });

  it("does not put origins into the bytes", () => {
    const origin = { group: "", kind: "Service", namespace: "shop", name: "cart" };
    expect(encodeLeaf({ ...UPSTREAM, origins: [origin] }).version).to.equal(encodeLeaf(UPSTREAM).version);
  });

  it("is accepted by the real Envoy, all kinds together", async () => {
    const verdict = await validate(LEAVES.map(encodeLeaf));
    expect(verdict.ok, verdict.output).to.equal(true);
  }).timeout(60_000);

  it("is accepted in a pod without ports and without egress, too", async () => {
    const verdict = await validate(
      [
        { ...INBOUND, ports: [] },
        {
          kind: "outbound-catch-all" as const,
          name: "outbound",
          origins,
          passthroughCluster: undefined,
          ipv6: false,
        },
      ].map(encodeLeaf),
    );
    expect(verdict.ok, verdict.output).to.equal(true);
  }).timeout(60_000);

  it("is judged by an Envoy that does refuse what is wrong", async () => {
    const regex = { ...ANY_REQUEST, path: { kind: "regex" as const, value: "(" } };
    const verdict = await validate([
      encodeLeaf({ ...INBOUND_TABLE, rules: [{ ...RULE, matches: [regex] }] }),
    ]);
    expect(verdict.ok).to.equal(false);
    expect(verdict.output).to.include("missing )");
  }).timeout(60_000);

  it("tells of a listener exactly the route tables that its bytes ask for", () => {
    const chain = { tls: undefined, origins };
    const opened = { port: 80, kind: "http" as const, cidrs: [], origins };
    const more: readonly Leaf[] = [
      {
        ...INBOUND,
        ports: [
          {
            ...HTTP_PORT,
            plaintext: { routeTable: "plain" },
            ingress: [
              { ...chain, name: "open", cidrs: ["0.0.0.0/0"], routeTable: "open" },
              { ...chain, name: "shut", cidrs: [], routeTable: "shut" },
            ],
          },
        ],
      },
      {
        kind: "outbound-catch-all",
        name: "outbound",
        origins,
        passthroughCluster: undefined,
        ipv6: false,
        egress: [
          { ...opened, name: "first", routeTable: "first" },
          { ...opened, name: "second", routeTable: "second" },
        ],
      },
    ];
    const needs = [...LEAVES, ...more].map(leaf => {
      const resource = encodeLeaf(leaf);
      const asked = JSON.stringify(resourceJson(resource)).matchAll(/"routeConfigName":"([^"]*)"/g);
      expect(resource.needs ?? [], leaf.name).to.have.members([
        ...new Set([...asked].map(([, name]) => name)),
      ]);
      return resource.needs ?? [];
    });
    expect(needs.slice(-2)).to.deep.equal([["inbound|8080", "open", "plain"], ["first"]]);
  });

  it("serves only types that the discovery service knows", () => {
    const known: readonly string[] = Object.values(TYPE_URLS);
    for (const leaf of LEAVES) expect(known).to.include(encodeLeaf(leaf).typeUrl);
  });
});
