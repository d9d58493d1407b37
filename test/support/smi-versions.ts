/** Objects that say the same in every version and shape of SMI, as people have written them. */

/** An object of some version. */
export interface Written {
  readonly apiVersion: string;
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** Objects of one meaning. */
export interface SameMeaning {
  readonly title: string;
  readonly plural: string;
  readonly objects: readonly Written[];
}

const access = (version: string, body: object): Written => ({
  apiVersion: `access.smi-spec.io/${version}`,
  kind: "TrafficTarget",
  ...body,
});
const specs = (version: string, kind: string, body: object): Written => ({
  apiVersion: `specs.smi-spec.io/${version}`,
  kind,
  ...body,
});
const split = (version: string, spec: object): Written => ({
  apiVersion: `split.smi-spec.io/${version}`,
  kind: "TrafficSplit",
  spec,
});

const store = { kind: "ServiceAccount", name: "bookstore", namespace: "shop" };
const buyer = { kind: "ServiceAccount", name: "bookbuyer", namespace: "buyers" };
const rules = [
  { kind: "HTTPRouteGroup", name: "routes", matches: ["buy"] },
  { kind: "TCPRoute", name: "ports" },
];
const target = { destination: store, rules, sources: [buyer] };
const ported = { ...store, port: 8080 };
const grouped = { ...target, destination: { group: "", ...store }, sources: [{ group: "", ...buyer }] };
const match = { name: "buy", pathRegex: "/buy.*", methods: ["GET", "POST"] };
const agent = ".*Android.*";
const cookie = "^(.*?;)?(type=insider)(;.*)?$";
const headed = (headers: object): object => ({ name: "insiders", headers });
const backends = [
  { service: "bookstore-v1", weight: 90 },
  { service: "bookstore-v2", weight: 10 },
];
const named = (service: string): object => ({ service, backends });

/** One row per meaning; every object of a row must become the same value. The objects are of namespace `shop`. */
export const SAME_MEANING: readonly SameMeaning[] = [
  {
    title: "TrafficTarget of every version",
    plural: "traffictargets",
    objects: [
      access("v1alpha3", { spec: target }),
      access("v1alpha2", { spec: target }),
      access("v1alpha1", { destination: store, specs: rules, sources: [buyer] }),
      access("v1alpha4", { spec: target }),
      access("v1alpha4", { spec: grouped }),
      access("v1alpha3", { spec: { ...target, destination: { kind: "ServiceAccount", name: "bookstore" } } }),
    ],
  },
  {
    title: "TrafficTarget of one port",
    plural: "traffictargets",
    objects: [
      access("v1alpha1", { destination: ported, specs: rules, sources: [buyer] }),
      access("v1alpha2", { spec: { ...target, destination: ported } }),
    ],
  },
  {
    title: "HTTPRouteGroup of every version",
    plural: "httproutegroups",
    objects: [
      specs("v1alpha4", "HTTPRouteGroup", { spec: { matches: [match] } }),
      specs("v1alpha3", "HTTPRouteGroup", { spec: { matches: [match] } }),
      specs("v1alpha2", "HTTPRouteGroup", { matches: [match] }),
      specs("v1alpha1", "HTTPRouteGroup", { matches: [match] }),
      specs("v1alpha4", "HTTPRouteGroup", {
        spec: { matches: [{ ...match, methods: ["POST", "GET", "GET"] }] },
      }),
    ],
  },
  {
    title: "HTTPRouteGroup with headers as map, as list and in other words",
    plural: "httproutegroups",
    objects: [
      specs("v1alpha4", "HTTPRouteGroup", { spec: { matches: [headed({ "user-agent": agent, cookie })] } }),
      specs("v1alpha2", "HTTPRouteGroup", { matches: [headed({ cookie, "user-agent": agent })] }),
      specs("v1alpha4", "HTTPRouteGroup", { spec: { matches: [headed([{ "user-agent": agent, cookie }])] } }),
      specs("v1alpha3", "HTTPRouteGroup", {
        spec: { matches: [headed([{ Cookie: cookie }, { "User-Agent": agent }])] },
      }),
      specs("v1alpha4", "HTTPRouteGroup", {
        spec: { matches: [{ ...headed({ "user-agent": agent, cookie }), methods: ["*"] }] },
      }),
    ],
  },
  {
    title: "TCPRoute of some ports, as object and as list",
    plural: "tcproutes",
    objects: [
      specs("v1alpha4", "TCPRoute", { spec: { matches: { ports: [3306, 6446] } } }),
      specs("v1alpha4", "TCPRoute", { spec: { matches: { name: "db", ports: [6446, 3306] } } }),
      specs("v1alpha4", "TCPRoute", { spec: { matches: [{ ports: [3306] }, { name: "x", ports: [6446] }] } }),
    ],
  },
  {
    title: "TCPRoute of all ports",
    plural: "tcproutes",
    objects: [
      specs("v1alpha1", "TCPRoute", {}),
      specs("v1alpha2", "TCPRoute", {}),
      specs("v1alpha3", "TCPRoute", { spec: {} }),
      specs("v1alpha4", "TCPRoute", { spec: { matches: { ports: [] } } }),
      specs("v1alpha4", "TCPRoute", { spec: { matches: { name: "any" } } }),
      specs("v1alpha4", "TCPRoute", { spec: { matches: [] } }),
    ],
  },
  {
    title: "TrafficSplit of every version",
    plural: "trafficsplits",
    objects: [
      ...["v1alpha2", "v1alpha3", "v1alpha4"].map(version => split(version, named("bookstore"))),
      split("v1alpha1", {
        service: "bookstore",
        backends: [
          { service: "bookstore-v1", weight: "90" },
          { service: "bookstore-v2", weight: "10" },
        ],
      }),
      split("v1alpha4", { ...named("bookstore"), matches: [] }),
    ],
  },
  {
    title: "TrafficSplit of a root in every form",
    plural: "trafficsplits",
    objects: [
      split("v1alpha2", named("bookstore")),
      split("v1alpha2", named("bookstore.shop")),
      split("v1alpha2", named("bookstore.shop.")),
      split("v1alpha2", named("bookstore.shop.svc")),
      split("v1alpha2", named("bookstore.shop.svc.cluster.local")),
      split("v1alpha2", named("Bookstore.shop.svc.cluster.local.")),
      split("v1alpha2", named("bookstore.shop.svc.example.org")),
    ],
  },
  {
    title: "TrafficSplit with quantities",
    plural: "trafficsplits",
    objects: [
      split("v1alpha1", {
        service: "bookstore",
        backends: [
          { service: "bookstore-v1", weight: "900m" },
          { service: "bookstore-v2", weight: "1.5" },
        ],
      }),
      split("v1alpha1", {
        service: "bookstore",
        backends: [
          { service: "bookstore-v1", weight: "0.9" },
          { service: "bookstore-v2", weight: "1500m" },
        ],
      }),
    ],
  },
  {
    title: "TrafficSplit of some requests",
    plural: "trafficsplits",
    objects: [
      split("v1alpha3", { ...named("bookstore"), matches: [{ kind: "HTTPRouteGroup", name: "ab" }] }),
      split("v1alpha4", {
        ...named("bookstore"),
        matches: [{ apiGroup: "specs.smi-spec.io", kind: "HTTPRouteGroup", name: "ab" }],
      }),
    ],
  },
];
