import type { Written } from "./smi-versions";

const POLICY = "policy.openservicemesh.io/v1alpha1";
const account = { kind: "ServiceAccount", name: "a", namespace: "default" };
const egress = (spec: object): Written => ({
  apiVersion: POLICY,
  kind: "Egress",
  spec: { sources: [account], ports: [{ number: 80, protocol: "http" }], ...spec },
});
const setting = (spec: object): Written => ({
  apiVersion: POLICY,
  kind: "UpstreamTrafficSetting",
  spec: { host: "a.default.svc.cluster.local", ...spec },
});
const target = (spec: object): Written => ({
  apiVersion: "access.smi-spec.io/v1alpha3",
  kind: "TrafficTarget",
  spec,
});
const groups = (version: string, body: object): Written => ({
  apiVersion: `specs.smi-spec.io/${version}`,
  kind: "HTTPRouteGroup",
  ...body,
});
const split = (spec: object): Written => ({
  apiVersion: "split.smi-spec.io/v1alpha2",
  kind: "TrafficSplit",
  spec,
});
const retry = (retryPolicy: object): Written => ({
  apiVersion: POLICY,
  kind: "Retry",
  spec: {
    source: account,
    destinations: [{ kind: "Service", name: "b", namespace: "default" }],
    retryPolicy,
  },
});

/** Objects that their schema refuses: title, plural, object, words of the message. */
export const REFUSED_BY_SCHEMA: readonly (readonly [string, string, Written, readonly string[]])[] = [
  ["no destination", "traffictargets", target({ sources: [account] }), ["spec.destination"]],
  ["no sources", "traffictargets", target({ destination: account }), ["spec.sources"]],
  [
    "a kind of subject that nobody knows",
    "traffictargets",
    target({ destination: { ...account, kind: "User" }, sources: [] }),
    ["spec.destination.kind", "User"],
  ],
  [
    "a kind of rule that nobody knows",
    "traffictargets",
    target({ destination: account, sources: [], rules: [{ kind: "GRPCRoute", name: "g" }] }),
    ["spec.rules[0].kind", "GRPCRoute"],
  ],
  [
    "nothing of any version",
    "traffictargets",
    { apiVersion: "access.smi-spec.io/v1alpha1", kind: "TrafficTarget" },
    ["spec.destination"],
  ],
  [
    "both shapes at once",
    "httproutegroups",
    groups("v1alpha2", { spec: { matches: [] }, matches: [] }),
    ["must have matches in spec"],
  ],
  [
    "an unknown method",
    "httproutegroups",
    groups("v1alpha4", { spec: { matches: [{ name: "m", methods: ["FETCH"] }] } }),
    ["spec.matches[0].methods[0]", "FETCH"],
  ],
  [
    "a pattern of 1,025 characters",
    "httproutegroups",
    groups("v1alpha2", { matches: [{ name: "m", pathRegex: "a".repeat(1_025) }] }),
    ["matches[0].pathRegex", "1024"],
  ],
  [
    "51 matches",
    "httproutegroups",
    groups("v1alpha4", { spec: { matches: Array.from({ length: 51 }, (_, n) => ({ name: `m${n}` })) } }),
    ["spec.matches", "50"],
  ],
  ["no backends", "trafficsplits", split({ service: "a", backends: [] }), ["spec.backends"]],
  [
    "a negative weight",
    "trafficsplits",
    split({ service: "a", backends: [{ service: "b", weight: -1 }] }),
    ["spec.backends[0].weight"],
  ],
  [
    "a weight in words",
    "trafficsplits",
    split({ service: "a", backends: [{ service: "b", weight: "half" }] }),
    ["spec.backends[0].weight"],
  ],
  [
    "a port beyond the last",
    "egresses",
    egress({ ports: [{ number: 65_536, protocol: "http" }] }),
    ["spec.ports[0].number"],
  ],
  [
    "no ports",
    "egresses",
    { apiVersion: POLICY, kind: "Egress", spec: { sources: [account] } },
    ["spec.ports"],
  ],
  [
    "a source of no kind",
    "egresses",
    egress({ sources: [{ ...account, kind: "Pod" }] }),
    ["spec.sources[0].kind"],
  ],
  ["a range without length", "egresses", egress({ ipAddresses: ["10.0.0.1"] }), ["spec.ipAddresses[0]"]],
  [
    "a time in words",
    "retries",
    retry({ retryOn: "5xx", perTryTimeout: "soon" }),
    ["spec.retryPolicy.perTryTimeout", "must be a duration"],
  ],
  [
    "a negative number",
    "retries",
    retry({ retryOn: "5xx", numRetries: -1 }),
    ["spec.retryPolicy.numRetries"],
  ],
  [
    "no host",
    "upstreamtrafficsettings",
    { apiVersion: POLICY, kind: "UpstreamTrafficSetting", spec: {} },
    ["spec.host"],
  ],
  [
    "a share above all",
    "upstreamtrafficsettings",
    setting({ faults: { abort: { httpStatus: 503, percentage: 101 } } }),
    ["spec.faults.abort.percentage"],
  ],
  [
    "a delay of nothing",
    "upstreamtrafficsettings",
    setting({ faults: { delay: { percentage: 10 } } }),
    ["spec.faults.delay.duration"],
  ],
  [
    "a hash without header",
    "upstreamtrafficsettings",
    setting({ loadBalancing: { policy: "HeaderHash" } }),
    ["spec.loadBalancing", "header is required for policy HeaderHash"],
  ],
  [
    "an unknown policy",
    "upstreamtrafficsettings",
    setting({ loadBalancing: { policy: "Fastest" } }),
    ["spec.loadBalancing.policy", "Fastest"],
  ],
  [
    "more than all endpoints",
    "upstreamtrafficsettings",
    setting({ outlierDetection: { maxEjectionPercent: 200 } }),
    ["spec.outlierDetection.maxEjectionPercent"],
  ],
  [
    "a status that refuses nothing",
    "upstreamtrafficsettings",
    setting({ rateLimit: { local: { http: { requests: 1, unit: "second", responseStatusCode: 200 } } } }),
    ["spec.rateLimit.local.http.responseStatusCode"],
  ],
  [
    "a timeout in words",
    "upstreamtrafficsettings",
    setting({ httpRoutes: [{ path: "/", timeout: "never" }] }),
    ["spec.httpRoutes[0].timeout", "must be a duration"],
  ],
  [
    "labels and account together",
    "identitybindings",
    {
      apiVersion: "access.smi-spec.io/v1alpha4",
      kind: "IdentityBinding",
      spec: { schemes: { podLabelSelector: { matchLabels: { a: "b" } }, serviceAccount: "a" } },
    },
    ["spec.schemes", "must not have both"],
  ],
  [
    "no label",
    "identitybindings",
    {
      apiVersion: "access.smi-spec.io/v1alpha4",
      kind: "IdentityBinding",
      spec: { schemes: { podLabelSelector: { matchLabels: {} } } },
    },
    ["spec.schemes.podLabelSelector.matchLabels"],
  ],
  [
    "a backend on port 0",
    "ingressbackends",
    {
      apiVersion: POLICY,
      kind: "IngressBackend",
      spec: { backends: [{ name: "a", port: { number: 0, protocol: "http" } }], sources: [] },
    },
    ["spec.backends[0].port.number"],
  ],
  [
    "a source of no kind",
    "ingressbackends",
    {
      apiVersion: POLICY,
      kind: "IngressBackend",
      spec: { backends: [], sources: [{ kind: "Pod", name: "a" }] },
    },
    ["spec.sources[0].kind"],
  ],
  [
    "a log format that is too long",
    "telemetries",
    { apiVersion: POLICY, kind: "Telemetry", spec: { accessLog: { format: "a".repeat(20_000) } } },
    ["spec.accessLog.format"],
  ],
  [
    "a port in words",
    "extensionservices",
    {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "ExtensionService",
      spec: { host: "a", port: "http" },
    },
    ["spec.port"],
  ],
];
