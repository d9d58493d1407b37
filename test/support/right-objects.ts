import { SAME_MEANING, type Written } from "./smi-versions";

const POLICY = "policy.openservicemesh.io/v1alpha1";
const account = { kind: "ServiceAccount", name: "cart", namespace: "shop" };
const limit = {
  requests: 3,
  unit: "second",
  burst: 1,
  responseStatusCode: 429,
  responseHeadersToAdd: [{ name: "a", value: "b" }],
};
const entries = [
  { genericKey: { value: "v", key: "k" } },
  { remoteAddress: {} },
  { requestHeader: { name: "user", key: "user" } },
  { headerValueMatch: { value: "v", key: "k", headers: [{ name: "a", prefix: "b" }], expectMatch: false } },
];
const server = {
  rateLimitService: { host: "limits.shop.svc.cluster.local", port: 8081 },
  domain: "d",
  timeout: "5s",
  failOpen: true,
};
const faults = { delay: { duration: "10ms", percentage: 12.5 }, abort: { httpStatus: 503, percentage: 1 } };

/** One right object of each kind beside SMI's. */
const OWN_KINDS: readonly Written[] = [
  {
    apiVersion: POLICY,
    kind: "Egress",
    spec: {
      sources: [account],
      hosts: ["api.example.org", "*.example.net"],
      ipAddresses: ["10.0.0.0/8", "fd00::/8"],
      ports: [
        { number: 80, protocol: "http" },
        { number: 443, protocol: "https" },
        { number: 3306, protocol: "tcp-server-first" },
      ],
      matches: [
        { apiGroup: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", name: "it" },
        { apiGroup: POLICY, kind: "UpstreamTrafficSetting", name: "it" },
      ],
    },
  },
  {
    apiVersion: POLICY,
    kind: "IngressBackend",
    spec: {
      backends: [
        { name: "cart", port: { number: 8080, protocol: "http" } },
        {
          name: "bookstore",
          port: { number: 8443, protocol: "https" },
          tls: { skipClientCertValidation: false, sniHosts: ["shop.example.org"] },
        },
      ],
      sources: [
        { kind: "Service", namespace: "ingress", name: "nginx" },
        { kind: "IPRange", name: "10.0.0.0/8" },
        { kind: "AuthenticatedPrincipal", name: "gateway.example.org" },
      ],
      matches: [{ kind: "HTTPRouteGroup", name: "it" }],
    },
  },
  {
    apiVersion: POLICY,
    kind: "Retry",
    spec: {
      source: account,
      destinations: [{ kind: "Service", name: "cart", namespace: "shop" }],
      retryPolicy: {
        retryOn: "5xx,connect-failure,503",
        perTryTimeout: "1s",
        numRetries: 3,
        retryBackoffBaseInterval: "25ms",
      },
    },
  },
  {
    apiVersion: POLICY,
    kind: "UpstreamTrafficSetting",
    spec: {
      host: "cart.shop.svc.cluster.local",
      connectionSettings: {
        tcp: { maxConnections: 10, connectTimeout: "1s" },
        http: { maxRequests: 10, maxPendingRequests: 1, maxRetries: 2, maxRequestsPerConnection: 5 },
      },
      rateLimit: {
        local: { tcp: { connections: 5, unit: "minute", burst: 1 }, http: limit },
        global: {
          tcp: { ...server, descriptors: [{ entries: [{ key: "k", value: "v" }] }] },
          http: { ...server, descriptors: [{ entries }], enableXRateLimitHeaders: true },
        },
      },
      httpRoutes: [
        {
          path: "/buy.*",
          rateLimit: { local: limit, global: { descriptors: [{ entries }] } },
          faults,
          timeout: "1s",
        },
      ],
      faults,
      outlierDetection: {
        consecutiveErrors: 5,
        interval: "1s",
        baseEjectionTime: "30s",
        maxEjectionPercent: 50,
      },
      loadBalancing: { policy: "HeaderHash", header: "user" },
      timeout: "15s",
    },
  },
  {
    apiVersion: POLICY,
    kind: "Telemetry",
    spec: {
      selector: { app: "cart" },
      accessLog: {
        format: '{"status": "%RESPONSE_CODE%"}',
        openTelemetry: {
          extensionService: { name: "it", namespace: "shop" },
          attributes: { a: "%PROTOCOL%" },
        },
      },
    },
  },
  {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "ExtensionService",
    spec: { host: "otel.o11y.svc.cluster.local", port: 4317, protocol: "h2c", connectTimeout: "1s" },
  },
  {
    apiVersion: "access.smi-spec.io/v1alpha4",
    kind: "IdentityBinding",
    spec: {
      schemes: {
        podLabelSelector: { matchLabels: { app: "cart" } },
        spiffeIdentities: ["cluster.local/ns/shop/sa/cart"],
      },
    },
  },
  { apiVersion: "specs.smi-spec.io/v1alpha4", kind: "UDPRoute", spec: { matches: { ports: [53] } } },
];

/** Right objects of every kind of policy, in every shape, for namespace `shop`. */
export const RIGHT_OBJECTS: readonly Written[] = [
  ...OWN_KINDS,
  ...SAME_MEANING.flatMap(({ objects }) => objects),
];
