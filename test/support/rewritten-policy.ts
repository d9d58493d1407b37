/** A mesh whose policy is rewritten under load: one caller may always call, whatever the policy is written as. */
import type { ServiceIdentity } from "../../src/model/identity";
import { meshConfig, namespace, service, slice, type TestObject } from "./objects";
import { account, retry, upstreamSetting } from "./terms-objects";
import { DENY, routeGroup, tcpRoute, trafficSplit, trafficTarget } from "./traffic-objects";

const identity = (key: string): ServiceIdentity => {
  const [space = "", serviceAccount = ""] = key.split("/");
  return { namespace: space, serviceAccount };
};

/** Pods: who may always call, who may at times, and two servers. */
export const CAST = {
  caller: identity("web/caller"),
  rival: identity("web/rival"),
  a: identity("shop/a"),
  b: identity("shop/b"),
} as const;

/** Address of the Service that is called: root of a split over both servers. */
export const ROOT = "10.98.0.1";

/** HTTP/1.1, HTTP/2 and bytes: Service ports and ports of the application. */
export const PORTS = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "http-two", port: 81, targetPort: 8081 },
  { name: "tcp", port: 83, targetPort: 9000 },
];

function shopService(name: string, pod: "a" | "b", address: string, ip: string): TestObject[] {
  return [
    service({ namespace: "shop", name, selector: { app: pod }, clusterIPs: [address], ports: PORTS }),
    slice({
      namespace: "shop",
      service: name,
      ports: PORTS.map(port => ({ name: port.name, port: port.targetPort })),
      endpoints: [{ address: ip, pod }],
    }),
  ];
}

const GET = { name: "get", pathRegex: "/always", methods: ["GET"] };

/** What the caller's route group may be: each allows GET /always. */
const GROUPS: readonly (readonly Readonly<Record<string, unknown>>[])[] = [
  [GET],
  [{ name: "other", pathRegex: "/other/[0-9]+", methods: ["*"] }, GET],
  [{ name: "all", pathRegex: ".*", methods: ["*"] }],
  [{ name: "start", pathRegex: "/al", methods: ["GET", "HEAD"] }],
  [GET, { name: "admin", pathRegex: "/admin", methods: ["POST"], headers: { "x-role": "clerk" } }],
];

const group = (version: number): TestObject =>
  routeGroup("shop", "always", GROUPS[version % GROUPS.length] ?? []);

/** What lets the caller in at a server; several may say so. */
function always(pod: "a" | "b", name = "always", more: readonly string[] = []): TestObject {
  const rules = ["HTTPRouteGroup/always"];
  return trafficTarget({ name: `${name}-${pod}`, to: `shop/${pod}`, from: ["web/caller", ...more], rules });
}

function split(weight: number): TestObject {
  const shares = { "shop-a": weight, "shop-b": 100 - weight };
  return trafficSplit({ namespace: "shop", name: "shop", root: "shop", shares });
}

/** Policy before anything is rewritten. */
export function firstPolicy(ips: { readonly a: string; readonly b: string }): readonly TestObject[] {
  return [
    namespace("web"),
    namespace("shop"),
    meshConfig(DENY),
    ...shopService("shop", "a", ROOT, ips.a),
    ...shopService("shop-a", "a", "10.98.0.2", ips.a),
    ...shopService("shop-b", "b", "10.98.0.3", ips.b),
    tcpRoute("shop", "bytes"),
    group(0),
    always("a"),
    always("b"),
    split(50),
  ];
}

/** Lets the rival use everything of server `a`. */
export const RIVAL_MAY = trafficTarget({
  name: "rival",
  to: "shop/a",
  from: ["web/rival"],
  rules: ["TCPRoute/bytes"],
});

/** What lets the caller in at both servers, as in {@link firstPolicy}. */
export const CALLER_MAY: readonly TestObject[] = [always("a"), always("b")];

/** One rewriting. */
export interface Rewriting {
  readonly what: string;
  readonly upserts: readonly TestObject[];
  readonly removals: readonly TestObject[];
}

const RETRY = (version: number): TestObject =>
  retry("web/retry", {
    source: account("web/caller"),
    destinations: [{ kind: "Service", name: "shop", namespace: "shop" }],
    retryPolicy: { retryOn: "connect-failure", numRetries: 1 + (version % 3) },
  });

/** Terms of calling the root that never come into force at this load. */
const SETTING = (version: number): TestObject =>
  upstreamSetting("shop/terms", {
    host: "shop-a.shop.svc.cluster.local",
    timeout: `${20 + (version % 5)}s`,
    rateLimit: { local: { http: { requests: 100_000 + version, unit: "second", burst: 1000 } } },
  });

const CIRCUIT = (version: number): TestObject =>
  upstreamSetting("shop/circuit", {
    host: "shop-b.shop.svc.cluster.local",
    connectionSettings: { http: { maxRequests: 2000 + version, maxPendingRequests: 2000 } },
  });

const up = (what: string, ...upserts: TestObject[]): Rewriting => ({ what, upserts, removals: [] });
const down = (what: string, ...removals: TestObject[]): Rewriting => ({ what, upserts: [], removals });

/** Kinds of rewriting, in turn; each a function of the number of the round. */
const ROUND: readonly ((round: number) => Rewriting)[] = [
  () => up("another caller's TrafficTarget appears", RIVAL_MAY),
  round => up("matches of the route group change", group(round + 1)),
  round => up("weights change", split([0, 10, 50, 90, 100][round % 5] ?? 50)),
  round => up("Retry appears or changes", RETRY(round)),
  () => down("another caller's TrafficTarget goes", RIVAL_MAY),
  () => up("a second TrafficTarget says the same", always("a", "again"), always("b", "again")),
  () => down("the first goes", always("a"), always("b")),
  round => up("timeout and limit of a Service change", SETTING(round)),
  () => up("the first comes back with one more source", always("a", "always", ["web/rival"]), always("b")),
  () => down("the second goes", always("a", "again"), always("b", "again")),
  round => up("limits of connections change", CIRCUIT(round)),
  () => up("the source goes", always("a")),
  round => (round % 2 === 0 ? up("Retry changes", RETRY(round + 1)) : down("Retry goes", RETRY(0))),
  round =>
    round % 3 === 2 ? down("terms go", SETTING(0), CIRCUIT(0)) : up("terms change", SETTING(round + 1)),
];

/** The rewriting of that number. After each of them the caller may do what it could. */
export function rewriting(number: number): Rewriting {
  const of = ROUND[number % ROUND.length];
  if (of === undefined) throw new Error("no kinds of rewriting");
  return of(Math.floor(number / ROUND.length));
}

/** Permissive mode, on or off. */
export function permissive(on: boolean): TestObject {
  return meshConfig(on ? { traffic: { enablePermissiveTrafficPolicyMode: true } } : DENY);
}
