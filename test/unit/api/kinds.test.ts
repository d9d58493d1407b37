import { expect } from "chai";
import { API_KINDS, validateCustomObject } from "../../../src/api/kinds";
import { MESH_ROWS, type Row } from "./mesh-rows";

const account = { kind: "ServiceAccount", name: "buyer", namespace: "shop" };
const service = { kind: "Service", name: "store", namespace: "shop" };
const local = { requests: 10, unit: "second" };
const https = { name: "store", port: { number: 80, protocol: "https" } };

const ROWS: readonly Row[] = [
  ...MESH_ROWS,
  [
    "an egress",
    "Egress",
    {
      spec: {
        sources: [account],
        hosts: ["*.example.com", "httpbin.org"],
        ipAddresses: ["1.2.3.4/32", "2001:db8::/32"],
        ports: [{ number: 443, protocol: "HTTPS" }],
        matches: [
          { apiGroup: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", name: "g" },
          { apiGroup: null, kind: "UpstreamTrafficSetting", name: "u" },
        ],
      },
    },
    [],
  ],
  [
    "wrong egress fields",
    "Egress",
    {
      spec: {
        sources: [{ ...account, kind: "User" }],
        hosts: ["http://x"],
        ipAddresses: ["1.2.3.4"],
        ports: [{ number: 0, protocol: "udp" }],
        matches: [{ apiGroup: "apps/v1", kind: "HTTPRouteGroup", name: "g" }],
      },
    },
    [
      'spec.sources[0].kind must be one of ServiceAccount; it is "User"',
      'spec.hosts[0] must be a host name; it is "http://x"',
      'spec.ipAddresses[0] must be an address range like 10.0.0.0/8 or fd00::/8; it is "1.2.3.4"',
      "spec.ports[0].number must be a whole number from 1 to 65535; it is 0",
      'spec.ports[0].protocol must be one of http, https, tcp, tcp-server-first; it is "udp"',
      'spec.matches[0].apiGroup must be specs.smi-spec.io/v1alpha4 for kind HTTPRouteGroup; it is "apps/v1"',
    ],
  ],
  [
    "two settings",
    "Egress",
    {
      spec: {
        sources: [],
        ports: [],
        matches: [
          { kind: "UpstreamTrafficSetting", name: "a" },
          { kind: "UpstreamTrafficSetting", name: "b" },
        ],
      },
    },
    ["spec.matches must name at most one UpstreamTrafficSetting; it names 2"],
  ],
  [
    "an ingress backend",
    "IngressBackend",
    {
      spec: {
        backends: [{ name: "store", port: { number: 80, protocol: "http" } }],
        sources: [
          { kind: "Service", name: "nginx", namespace: "ingress" },
          { kind: "IPRange", name: "10.0.0.0/8" },
        ],
      },
    },
    [],
  ],
  [
    "https that skips the client certificate",
    "IngressBackend",
    {
      spec: {
        backends: [{ ...https, tls: { skipClientCertValidation: true } }],
        sources: [{ kind: "IPRange", name: "10.0.0.0/8" }],
      },
    },
    [],
  ],
  [
    "https that checks nobody's certificate",
    "IngressBackend",
    { spec: { backends: [https], sources: [{ kind: "IPRange", name: "10.0.0.0/8" }] } },
    ["spec.backends[0] checks client certificates, so spec.sources needs one of kind AuthenticatedPrincipal"],
  ],
  [
    "https with a principal",
    "IngressBackend",
    {
      spec: {
        backends: [https],
        sources: [{ kind: "AuthenticatedPrincipal", name: "ingress.cluster.local" }],
      },
    },
    [],
  ],
  [
    "a repeated backend and wrong sources",
    "IngressBackend",
    {
      spec: {
        backends: [
          { name: "s", port: { number: 1, protocol: "http" } },
          { name: "s", port: { number: 1, protocol: "http" } },
        ],
        sources: [
          { kind: "Service", name: "nginx" },
          { kind: "IPRange", name: "10.0.0.1" },
        ],
      },
    },
    [
      'spec.backends[1] repeats the backend "s" on port 1',
      "spec.sources[0].namespace must be a name of at most 63 lower-case letters, digits and -; it is nothing",
      'spec.sources[1].name must be an address range like 10.0.0.0/8 or fd00::/8; it is "10.0.0.1"',
    ],
  ],
  [
    "a retry",
    "Retry",
    {
      spec: {
        source: account,
        destinations: [service],
        retryPolicy: {
          retryOn: "5xx, 503",
          perTryTimeout: "1s",
          numRetries: 5,
          retryBackoffBaseInterval: "10ms",
        },
      },
    },
    [],
  ],
  ["an empty retry policy", "Retry", { spec: { source: account, destinations: [], retryPolicy: {} } }, []],
  [
    "an unknown condition",
    "Retry",
    {
      spec: {
        source: account,
        destinations: [service],
        retryPolicy: { retryOn: "5xx,always", numRetries: -1 },
      },
    },
    [
      'spec.retryPolicy.retryOn has the unknown condition "always"; known are 5xx',
      "spec.retryPolicy.numRetries must be a whole number from 0",
    ],
  ],
  [
    "a telemetry",
    "Telemetry",
    {
      spec: {
        selector: { app: "x" },
        accessLog: {
          format: '{"a":"%PROTOCOL%"}',
          openTelemetry: { extensionService: { name: "o", namespace: "n" } },
        },
      },
    },
    [],
  ],
  ["no access log", "Telemetry", { spec: {} }, []],
  [
    "broken JSON",
    "Telemetry",
    { spec: { accessLog: { format: "{a", openTelemetry: {} } } },
    [
      "spec.accessLog.format begins like a JSON object and is none",
      "spec.accessLog.openTelemetry.extensionService is required",
    ],
  ],
  [
    "a setting",
    "UpstreamTrafficSetting",
    {
      metadata: { namespace: "shop" },
      spec: {
        host: "store.shop.svc.cluster.local",
        connectionSettings: {
          tcp: { maxConnections: 0, connectTimeout: "1s" },
          http: { maxRequests: 4294967295 },
        },
        rateLimit: {
          local: {
            tcp: { connections: 1, unit: "hour" },
            http: {
              ...local,
              burst: 1,
              responseStatusCode: 503,
              responseHeadersToAdd: [{ name: "x-a", value: "" }],
            },
          },
          global: {
            http: {
              rateLimitService: { host: "rl", port: 1 },
              domain: "d",
              descriptors: [
                {
                  entries: [
                    { genericKey: { value: "v" } },
                    { remoteAddress: {} },
                    { requestHeader: { name: "h", key: "k" } },
                    { headerValueMatch: { value: "v", headers: [{ name: ":path", prefix: "/" }] } },
                  ],
                },
              ],
            },
          },
        },
        httpRoutes: [{ path: "/get.*", rateLimit: { local } }],
      },
    },
    [],
  ],
  [
    "another namespace's service",
    "UpstreamTrafficSetting",
    { metadata: { namespace: "other" }, spec: { host: "store.shop.svc.cluster.local" } },
    ["spec.host must be <service>.other.svc.cluster.local, a service of this namespace"],
  ],
  [
    "wrong limits",
    "UpstreamTrafficSetting",
    {
      metadata: { namespace: "shop" },
      spec: {
        host: "store.shop",
        rateLimit: {
          local: { http: { requests: 0, unit: "day", responseStatusCode: 200 } },
          global: {
            http: {
              rateLimitService: { host: "rl", port: 1 },
              domain: "d",
              descriptors: [
                { entries: [{}] },
                {
                  entries: [
                    {
                      headerValueMatch: { value: "v", headers: [{ name: "h", exact: "a", regex: "(?=a)" }] },
                    },
                  ],
                },
              ],
            },
          },
        },
      },
    },
    [
      "spec.rateLimit.local.http.requests must be a whole number from 1",
      "spec.rateLimit.local.http.unit must be one of second, minute, hour",
      "spec.rateLimit.local.http.responseStatusCode must be a whole number from 400 to 599",
      "spec.rateLimit.global.http.descriptors[0].entries[0] must have exactly one of genericKey",
      "spec.rateLimit.global.http.descriptors[1].entries[0].headerValueMatch.headers[0].regex must be a regular expression of RE2 syntax: invalid or unsupported Perl syntax: `(?=`",
      "spec.rateLimit.global.http.descriptors[1].entries[0].headerValueMatch.headers[0] must have exactly one of exact",
    ],
  ],
  [
    "a target",
    "TrafficTarget",
    {
      metadata: { namespace: "shop" },
      spec: {
        destination: { ...account, name: "store" },
        sources: [account],
        rules: [
          { kind: "HTTPRouteGroup", name: "g", matches: ["a"] },
          { kind: "TCPRoute", name: "t" },
        ],
      },
    },
    [],
  ],
  [
    "a target of v1alpha1",
    "TrafficTarget",
    {
      metadata: { namespace: "shop" },
      destination: { ...account, port: 80 },
      sources: [account],
      specs: [{ kind: "TCPRoute", name: "t" }],
    },
    [],
  ],
  [
    "a target that opens a foreign namespace",
    "TrafficTarget",
    { metadata: { namespace: "thief" }, spec: { destination: account, sources: [account] } },
    ["spec.destination.namespace must be thief, the namespace of the TrafficTarget"],
  ],
  [
    "a target without sources",
    "TrafficTarget",
    {
      metadata: { namespace: "shop" },
      spec: { destination: account, rules: [{ kind: "Route", name: "g" }] },
    },
    ["spec.sources is required", "spec.rules[0].kind must be one of HTTPRouteGroup, TCPRoute, UDPRoute"],
  ],
  [
    "a route group, headers as list and as map",
    "HTTPRouteGroup",
    {
      spec: {
        matches: [
          { name: "a", pathRegex: "/buy.*", methods: ["GET", "*"], headers: [{ "user-agent": ".*" }] },
          { name: "b", headers: { ":authority": "(?i)x|[[:alpha:]]" } },
        ],
      },
    },
    [],
  ],
  ["a route group of v1alpha2", "HTTPRouteGroup", { matches: [{ name: "a" }] }, []],
  [
    "wrong matches",
    "HTTPRouteGroup",
    {
      spec: {
        matches: [
          { name: "a", pathRegex: "(", methods: ["FETCH"] },
          { name: "a", pathRegex: "a\\1", headers: [{ "a b": "x" }] },
          { pathRegex: "€" },
        ],
      },
    },
    [
      "spec.matches[0].pathRegex must be a regular expression of RE2 syntax: missing closing )",
      "spec.matches[0].methods[0] must be one of *, GET",
      "spec.matches[1].pathRegex must be a regular expression of RE2 syntax: invalid escape sequence",
      "spec.matches[1].headers[0] must be the name of an HTTP header",
      "spec.matches[2].name is required",
      "spec.matches[2].pathRegex must have ASCII characters only",
      'spec.matches[1].name repeats "a"',
    ],
  ],
  ["TCP ports", "TCPRoute", { spec: { matches: { name: "m", ports: [80] } } }, []],
  ["a TCP route without spec", "TCPRoute", {}, []],
  [
    "a wrong port",
    "TCPRoute",
    { spec: { matches: { ports: [70_000] } } },
    ["spec.matches.ports[0] must be a whole number from 1 to 65535; it is 70000"],
  ],
  ["UDP ports", "UDPRoute", { spec: { matches: { ports: [53] } } }, []],
  [
    "a split",
    "TrafficSplit",
    {
      spec: {
        service: "store.shop.svc.cluster.local",
        backends: [
          { service: "v1", weight: 0 },
          { service: "v2", weight: 100 },
          { service: "v3", weight: "500m" },
        ],
      },
    },
    [],
  ],
  [
    "a wrong split",
    "TrafficSplit",
    { spec: { service: "a_b", backends: [{ service: "v1", weight: -1 }, { weight: "x" }] } },
    [
      'spec.service must be a host name; it is "a_b"',
      "spec.backends[0].weight must be a number that is not negative",
      "spec.backends[1].service is required",
      "spec.backends[1].weight must be a number",
    ],
  ],
  [
    "a split to nobody",
    "TrafficSplit",
    { spec: { service: "a", backends: [] } },
    ["spec.backends must have at least 1 item"],
  ],
  [
    "a binding of each scheme",
    "IdentityBinding",
    {
      metadata: { name: "cart", namespace: "shop" },
      spec: {
        schemes: {
          podLabelSelector: { matchLabels: { app: "cart" } },
          spiffeIdentities: ["cluster.local/ns/shop/sa/cart", "far.away/boundary/b/type/identity"],
        },
      },
    },
    [],
  ],
  [
    "a binding of labels and account, with an expression and no label",
    "IdentityBinding",
    {
      spec: {
        schemes: {
          podLabelSelector: { matchLabels: {}, matchExpressions: [{ key: "app", operator: "Exists" }] },
          spiffeIdentities: ["nobody"],
          serviceAccount: "cart",
        },
      },
    },
    [
      "spec.schemes.podLabelSelector.matchLabels must have at least one label",
      "spec.schemes.podLabelSelector.matchExpressions is not understood; use matchLabels",
      'spec.schemes.spiffeIdentities[0] must be a SPIFFE identity like cluster.local/ns/shop/sa/cart; it is "nobody"',
      "spec.schemes must not have both podLabelSelector and serviceAccount",
    ],
  ],
];

describe("validation of the custom kinds", () => {
  for (const [title, kind, body, errors] of ROWS) {
    it(`${kind}: ${title}`, () => {
      const found = validateCustomObject(kind, body).filter(finding => finding.severity === "error");
      const text = found.map(finding => finding.message);
      expect(text, JSON.stringify(text, null, 1)).to.have.length(errors.length);
      errors.forEach((want, index) => {
        expect(text[index]).to.satisfy(
          (got: string) => got.startsWith(want),
          `${want} | ${text[index] ?? ""}`,
        );
      });
      for (const finding of found) expect(finding.message.startsWith(finding.field ?? kind)).to.equal(true);
    });
  }

  it("has a case with findings and one without for each kind", () => {
    for (const { kind } of API_KINDS.filter(row => !["MeshConfig", "UDPRoute"].includes(row.kind))) {
      const outcomes = ROWS.filter(row => row[1] === kind).map(row => row[3].length > 0);
      expect(new Set(outcomes), kind).to.deep.equal(new Set([true, false]));
    }
  });

  it("warns that UDP routes have no effect, and that a split without weight refuses", () => {
    expect(validateCustomObject("UDPRoute", {})[0]?.message).to.equal(
      "UDPRoute has no effect: the mesh carries TCP, UDP passes beside it",
    );
    const split = { spec: { service: "a", backends: [{ service: "b", weight: 0 }] } };
    expect(validateCustomObject("TrafficSplit", split).map(f => [f.severity, f.field])).to.deep.equal([
      ["warning", "spec.backends"],
    ]);
  });
});
