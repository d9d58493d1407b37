/** Random traffic policy over a fixed set of pods and Services, and random calls between them. */
import fc from "fast-check";
import type { TestObject } from "./objects";
import { meshConfig, namespace, pod, service, slice } from "./objects";
import { podAddresses } from "./scene";
import type { ResolvedCall } from "./scene-calls";
import type { RuleSpec, SubjectSpec } from "./traffic-objects";
import { identityBinding, routeGroup, tcpRoute, trafficSplit, trafficTarget } from "./traffic-objects";

const client = (name: string, ip: string): TestObject =>
  pod({ namespace: "web", name, ips: [ip], serviceAccount: name, labels: { role: name } });
const server = (name: string, ip: string): TestObject =>
  pod({ namespace: "shop", name, ips: [ip], serviceAccount: name, labels: { app: name, tier: "root" } });

const CLIENTS = [client("c1", "10.100.1.1"), client("c2", "10.100.1.2")];
const SERVERS = [server("s1", "10.100.2.1"), server("s2", "10.100.2.2")];
const PLAIN = pod({ namespace: "web", name: "plain", ips: ["10.100.1.3"], meshed: false });

/** Pods of every random mesh. */
export const CAST = { meshed: CLIENTS.length + SERVERS.length, plain: 1 };

/** Addresses of the Services: each server's own and one of both. */
const SERVICES = { a: "10.120.0.1", b: "10.120.0.2", root: "10.120.0.3" } as const;
const SELECTORS = { a: { app: "s1" }, b: { app: "s2" }, root: { tier: "root" } } as const;
const BEHIND = { a: ["s1"], b: ["s2"], root: ["s1", "s2"] } as const;

type Name = keyof typeof SERVICES;
const NAMES: readonly Name[] = ["a", "b", "root"];

const aService = (name: Name): fc.Arbitrary<TestObject> =>
  fc.constantFrom("http", "http", "http", "http", "tcp").map(appProtocol =>
    service({
      namespace: "shop",
      name,
      clusterIPs: [SERVICES[name]],
      selector: SELECTORS[name],
      ports: [
        { name: "web", port: 80, targetPort: 8080, appProtocol },
        { name: "raw", port: 81, targetPort: 8081, appProtocol: "tcp" },
      ],
    }),
  );

const slices = NAMES.map(name =>
  slice({
    namespace: "shop",
    service: name,
    ports: [
      { name: "web", port: 8080 },
      { name: "raw", port: 8081 },
    ],
    endpoints: BEHIND[name].map(behind => ({
      address: behind === "s1" ? "10.100.2.1" : "10.100.2.2",
      pod: behind,
    })),
  }),
);

const aSource: fc.Arbitrary<SubjectSpec> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom<SubjectSpec>("web/c1", "web/c2", "shop/s1") },
  fc.constant<SubjectSpec>({ kind: "IdentityBinding", name: "labelled", namespace: "web" }),
);

const aRule = fc.constantFrom<RuleSpec>(
  "HTTPRouteGroup/g1",
  "HTTPRouteGroup/g2",
  { group: "g1", matches: ["m1"] },
  { group: "g2", matches: ["m2"] },
  "TCPRoute/all",
  "TCPRoute/web",
);

const aTarget = (name: string): fc.Arbitrary<TestObject> =>
  fc
    .record({
      to: fc.constantFrom<SubjectSpec>("shop/s1", "shop/s1", "shop/s2", {
        kind: "IdentityBinding",
        name: "labelled",
        namespace: "shop",
      }),
      from: fc.uniqueArray(aSource, { minLength: 1, maxLength: 2, selector: String }),
      rules: fc.uniqueArray(aRule, {
        minLength: 1,
        maxLength: 2,
        selector: rule => (typeof rule === "string" ? rule : rule.group),
      }),
      port: fc.constantFrom(undefined, undefined, undefined, 80, 8081),
    })
    .map(({ port, ...target }) =>
      trafficTarget({ name, ...target, ...(port === undefined ? {} : { port }) }),
    );

const PATTERNS = [
  "/books",
  "/books/[0-9]+",
  "/books$",
  "/admin/.*",
  ".*",
  "/a|/b",
  "/(x|y)/?",
  "/%41",
  "(?i)/BOOKS",
];

const aGroup = (name: string): fc.Arbitrary<TestObject> =>
  fc
    .uniqueArray(
      fc.record(
        {
          name: fc.constantFrom("m1", "m2"),
          pathRegex: fc.constantFrom(...PATTERNS),
          methods: fc.constantFrom(["GET"], ["*"], ["GET", "PUT"], ["POST"]),
          headers: fc.constantFrom(
            { "x-a": "1" },
            { "x-a": "[12]" },
            { host: "shop[.]example.*" },
            { "x-a": ".+", "x-b": "z" },
          ),
        },
        { requiredKeys: ["name"] },
      ),
      { minLength: 1, maxLength: 2, selector: match => match.name },
    )
    .map(matches => routeGroup("shop", name, matches));

const aSplit = (name: string, created: string): fc.Arbitrary<TestObject> =>
  fc
    .record({
      root: fc.constantFrom("root", "root", "root.shop", "a"),
      shares: fc.dictionary(fc.constantFrom("a", "b", "root", "none"), fc.constantFrom(0, 1, 1, 3), {
        minKeys: 1,
        maxKeys: 3,
      }),
      matches: fc.constantFrom(undefined, undefined, ["g1"], ["g2"]),
    })
    .map(({ matches, ...split }) =>
      trafficSplit({
        namespace: "shop",
        name,
        created,
        ...split,
        ...(matches === undefined ? {} : { matches }),
      }),
    );

const aShop = fc
  .record({
    permissive: fc.constantFrom(undefined, undefined, undefined, "enabled", "disabled"),
    plaintext: fc.constantFrom(undefined, "enabled"),
  })
  .map(({ permissive, plaintext }): TestObject => {
    const plain = namespace("shop");
    const annotations = {
      ...(permissive === undefined
        ? {}
        : { "openservicemesh.io/permissive-traffic-policy-mode": permissive }),
      ...(plaintext === undefined ? {} : { "openservicemesh.io/inbound-plaintext": plaintext }),
    };
    return { ...plain, metadata: { ...plain.metadata, annotations } as TestObject["metadata"] };
  });

const aConfig = fc
  .record({
    enablePermissiveTrafficPolicyMode: fc.constantFrom(false, false, true),
    enableEgress: fc.boolean(),
    podAddresses: fc.constantFrom("Mesh", "Mesh", "Headless"),
    pathRegexMatch: fc.constantFrom("Prefix", "Prefix", "Full"),
    pathWithEscapedSlashes: fc.constantFrom("RejectRequest", "KeepUnchanged", "UnescapeAndForward"),
  })
  .map(traffic => meshConfig({ traffic }));

const maybe = (arbitrary: fc.Arbitrary<TestObject>): fc.Arbitrary<readonly TestObject[]> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 }).map(object => (object === undefined ? [] : [object]));

/** Objects of a mesh. */
export const aMesh: fc.Arbitrary<readonly TestObject[]> = fc
  .tuple(
    aShop.map(object => [object]),
    aConfig.map(object => [object]),
    fc.tuple(...NAMES.map(aService)),
    maybe(aTarget("t1")),
    maybe(aTarget("t2")),
    maybe(aTarget("t3")),
    maybe(aGroup("g1")),
    maybe(aGroup("g2")),
    maybe(aSplit("x1", "2026-01-01T00:00:00Z")),
    maybe(aSplit("x2", "2026-01-02T00:00:00Z")),
  )
  .map(parts => [
    namespace("web"),
    ...parts.flat(),
    tcpRoute("shop", "all"),
    tcpRoute("shop", "web", 8080),
    identityBinding("web", "labelled", { role: "c2" }),
    identityBinding("shop", "labelled", { app: "s2" }),
    ...slices,
    ...CLIENTS,
    ...SERVERS,
    PLAIN,
  ]);

const PATHS = [
  "/",
  "/books",
  "/books?x=/admin/",
  "/books/17",
  "/Books",
  "//books",
  "/x/../books",
  "/x/%2e%2e/books",
  "/admin/",
  "/admin//x",
  "/admin%2fx",
  "/books%2F..%5Cadmin/x",
  "/books/17%2f?x=%2f",
  "/public\\..\\admin/x",
  "/b",
  "/y/",
  "/%41",
  "/A",
];

const anHttpCall = fc.record({
  scheme: fc.constantFrom("http" as const, "http" as const, "h2" as const),
  port: fc.constant(80),
  method: fc.constantFrom("GET", "GET", "PUT", "POST"),
  path: fc.constantFrom(...PATHS),
  headers: fc
    .record(
      { "x-a": fc.constantFrom("1", "2", "12", ""), "x-b": fc.constantFrom("z", "Z") },
      { requiredKeys: [] },
    )
    .chain(given =>
      fc
        .constantFrom("shop.example", "other")
        .map((host): Readonly<Record<string, string>> => ({ host, ...given })),
    ),
});

const aConnection = fc.record({
  scheme: fc.constantFrom("tcp" as const, "server-first" as const),
  port: fc.constant(81),
  method: fc.constant("GET"),
  path: fc.constant("/"),
  headers: fc.constant({}),
});

const someone = fc.constantFrom(...CLIENTS, ...CLIENTS, PLAIN, ...SERVERS);

/** What a call is besides who makes it and where to. */
type Manner = Pick<ResolvedCall, "scheme" | "port" | "method" | "path" | "headers">;

/** A call of a pod: of a Service, or of a server's own address, but not of the caller's own, which never leaves the pod. */
export const aCall: fc.Arbitrary<ResolvedCall> = fc
  .record({
    from: someone,
    how: fc.oneof<fc.MaybeWeightedArbitrary<Manner>[]>({ weight: 3, arbitrary: anHttpCall }, aConnection),
    to: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...NAMES, "root" as const).map(name => SERVICES[name]) },
      fc.constantFrom("10.100.2.1", "10.100.2.2"),
    ),
  })
  .filter(({ from, to }) => !podAddresses(from).includes(to))
  .map(({ from, how, to }) => ({
    ...how,
    from,
    address: to,
    port: to.startsWith("10.120.") ? how.port : how.port + 8000,
    title: `${from.metadata.name} ${how.scheme}://${to} ${how.method} ${how.path}`,
    expect: 200,
    at: undefined,
    by: undefined,
    as: undefined,
    serverName: "shop.example",
    times: 1,
  }));
