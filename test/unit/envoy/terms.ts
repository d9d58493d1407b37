import type { ConnectionTerms, LocalHttpLimit } from "../../../src/model/traffic";
import type { InboundPort, Leaf, OutboundCatchAllLeaf } from "../../../src/policy/types";
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

/** Leaves in which policies say everything that they can. */

export const CONNECTION: ConnectionTerms = {
  maxConnections: 10,
  connectTimeoutMs: 1500,
  maxRequests: 20,
  maxPendingRequests: 30,
  maxRetries: 4,
  maxRequestsPerConnection: 5,
};

export const HTTP_LIMIT: LocalHttpLimit = {
  count: 10,
  unitMs: 60_000,
  burst: 5,
  status: 429,
  headers: [{ name: "x-limited", value: "yes" }],
};

export const LIMITED_HTTP: InboundPort = {
  ...HTTP_PORT,
  localLimit: { count: 100, unitMs: 1000, burst: 10 },
  globalTcpLimit: {
    cluster: "limits",
    host: "limits.tools",
    port: 8081,
    domain: "shop",
    timeoutMs: 50,
    failOpen: true,
    descriptors: [[{ key: "a", value: "b" }]],
  },
  globalHttpLimit: {
    cluster: "limits",
    domain: "shop",
    timeoutMs: 50,
    failOpen: false,
    xRateLimitHeaders: true,
    status: 429,
  },
};

export const INGRESS_HTTP: InboundPort = {
  ...HTTP_PORT,
  perCaller: true,
  ingress: [
    { name: "plain", cidrs: ["10.0.0.0/8", "fd00::1"], tls: undefined, routeTable: "ingress|a", origins },
    {
      name: "tls",
      cidrs: ["0.0.0.0/0", "::/0"],
      tls: { verifyClient: true, serverNames: ["shop.example.com"] },
      routeTable: "ingress|b",
      origins,
    },
    { name: "nobody", cidrs: [], tls: undefined, routeTable: "ingress|c", origins },
  ],
  plaintext: { routeTable: "plaintext|8080" },
};

export const EGRESS: OutboundCatchAllLeaf = {
  kind: "outbound-catch-all",
  name: "outbound",
  origins,
  passthroughCluster: undefined,
  ipv6: false,
  egress: [
    { name: "web", port: 80, kind: "http", routeTable: "egress|80", cidrs: [], origins },
    { name: "mixed", port: 80, kind: "tcp", cluster: "passthrough", cidrs: ["10.0.0.0/8"], origins },
    {
      name: "api",
      port: 443,
      kind: "tls",
      serverNames: ["a.com", "*.b.com"],
      cluster: "egress|a",
      cidrs: [],
      origins,
    },
    { name: "same", port: 443, kind: "tls", serverNames: ["a.com"], cluster: "egress|b", cidrs: [], origins },
    {
      name: "db",
      port: 3306,
      kind: "tcp",
      serverFirst: true,
      cluster: "passthrough",
      cidrs: ["10.1.0.0/16"],
      origins,
    },
  ],
};

/** Every word of traffic policy at least once; to be accepted by Envoy all together. */
export const POLICY_LEAVES: readonly Leaf[] = [
  {
    ...UPSTREAM,
    connection: CONNECTION,
    outlier: { consecutiveErrors: 3, intervalMs: 1000, baseEjectionMs: 2000, maxEjectionPercent: 50 },
    loadBalancing: { kind: "hash", header: "x-user" },
  },
  { ...UPSTREAM, name: "least", protocol: "tcp", loadBalancing: { kind: "least-request" } },
  {
    kind: "caller-cluster",
    name: "inbound|8080|spiffe://cluster.local/ns/a/sa/b",
    origins,
    protocol: "http",
  },
  {
    kind: "caller-gate",
    name: "inbound|8080|spiffe://cluster.local/ns/a/sa/b",
    origins,
    cluster: "local|8080",
  },
  {
    kind: "external-cluster",
    name: "egress|a",
    origins,
    address: "a.com",
    port: 443,
    connection: CONNECTION,
  },
  { kind: "external-cluster", name: "limits", origins, address: "limits.tools", port: 8081, http2: true },
  {
    ...INBOUND_TABLE,
    perCaller: true,
    localLimit: HTTP_LIMIT,
    rules: [
      {
        ...RULE,
        permission: {
          kind: "grants",
          grants: [{ name: "shop/t#0", identities: [CART], matches: [ANY_REQUEST], origins }],
        },
        localLimit: HTTP_LIMIT,
        descriptors: [
          [
            { kind: "genericKey", key: "k", value: "v" },
            { kind: "remoteAddress" },
            { kind: "requestHeader", name: "x-user", key: "user" },
            {
              kind: "headerValueMatch",
              key: undefined,
              value: "v",
              expectMatch: true,
              headers: [
                { name: "Host", kind: "suffix", value: ".com" },
                { name: "x-a", kind: "present", value: "true" },
                { name: "x-b", kind: "regex", value: "a|b" },
                { name: "x-c", kind: "contains", value: "c" },
              ],
            },
          ],
        ],
      },
    ],
  },
  {
    ...INBOUND_TABLE,
    name: "outbound|terms",
    direction: "outbound",
    rules: [
      {
        ...RULE,
        timeoutMs: 1500,
        retry: {
          retryOn: ["5xx"],
          statusCodes: [418],
          perTryTimeoutMs: 250,
          numRetries: 7,
          backoffBaseMs: 20,
        },
        fault: { delay: { ms: 100, percent: 0.5 }, abort: { status: 503, percent: 12.25 } },
        hashHeader: "X-User",
        hashSource: true,
      },
    ],
  },
  {
    ...INBOUND_TABLE,
    name: "egress|80",
    direction: "egress",
    rules: [],
    hosts: [{ name: "a", domains: ["a.com", "a.com:80"], rules: [RULE] }],
  },
  {
    ...INBOUND_TABLE,
    name: "ingress|a",
    direction: "ingress",
    rules: [{ ...RULE, permission: { kind: "principals", names: ["gateway.svc"] } }],
  },
  EGRESS,
  {
    ...INBOUND,
    accessLog: {
      format: "%REQ_WITHOUT_QUERY(:PATH)%",
      openTelemetry: { cluster: "limits", attributes: { a: "b" } },
    },
    ports: [
      LIMITED_HTTP,
      { ...INGRESS_HTTP, port: 8081 },
      { ...TCP_PORT, perCaller: true, permission: { kind: "allow", identities: [CART] } },
      { ...TCP_PORT, port: 3307, plaintext: { routeTable: undefined } },
    ],
  },
];
