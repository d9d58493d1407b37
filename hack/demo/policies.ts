import type { Manifest } from "./manifests";

const DATABASE_PORT = 3306;

interface Account {
  readonly kind: "ServiceAccount";
  readonly name: string;
  readonly namespace: string;
}

function account(name: string, namespace = name): Account {
  return { kind: "ServiceAccount", name, namespace };
}

const STORES = ["bookstore-v1", "bookstore-v2"].map(name => account(name, "bookstore"));

interface Rule {
  readonly kind: "HTTPRouteGroup" | "TCPRoute";
  readonly name: string;
  readonly matches?: readonly string[];
}

function target(destination: Account, sources: readonly Account[], rules: readonly Rule[]): Manifest {
  return {
    apiVersion: "access.smi-spec.io/v1alpha3",
    kind: "TrafficTarget",
    metadata: { name: destination.name, namespace: destination.namespace },
    spec: { destination, sources, rules },
  };
}

/** A header of bookbuyer's requests; bookthief sends the same, so it decides nothing about the two. */
const BUYER_HEADERS = [{ "user-agent": ".*-http-client/*.*" }, { "client-app": "bookbuyer" }];

function routeGroup(name: string, namespace: string, matches: readonly object[]): Manifest {
  const metadata = { name, namespace };
  return { apiVersion: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", metadata, spec: { matches } };
}

/**
 * Who may call whom in the bookstore: bookbuyer the bookstore, the bookstore its warehouse, the warehouse the database; each
 * by the identity of its ServiceAccount. bookthief is not mentioned, which is how it is kept out.
 */
export function accessManifests(): readonly Manifest[] {
  const store: Rule = { kind: "HTTPRouteGroup", name: "bookstore-service-routes" };
  const matches = ["books-bought", "buy-a-book"];
  return [
    routeGroup(store.name, "bookstore", [
      { name: "books-bought", pathRegex: "/books-bought", methods: ["GET"], headers: BUYER_HEADERS },
      { name: "buy-a-book", pathRegex: ".*a-book.*new", methods: ["GET"] },
    ]),
    routeGroup("bookwarehouse-service-routes", "bookwarehouse", [
      { name: "restock-books", methods: ["POST"] },
    ]),
    {
      apiVersion: "specs.smi-spec.io/v1alpha4",
      kind: "TCPRoute",
      metadata: { name: "mysql", namespace: "bookwarehouse" },
      spec: { matches: { ports: [DATABASE_PORT] } },
    },
    ...STORES.map(each => target(each, [account("bookbuyer")], [{ ...store, matches }])),
    target(account("bookwarehouse"), STORES, [
      { kind: "HTTPRouteGroup", name: "bookwarehouse-service-routes", matches: ["restock-books"] },
    ]),
    target(
      account("mysql", "bookwarehouse"),
      [account("bookwarehouse")],
      [{ kind: "TCPRoute", name: "mysql" }],
    ),
  ];
}

/** The share of each version among those who call the Service bookstore, as weights. */
export function splitManifest(v1: number, v2: number): Manifest {
  const backends = [
    { service: "bookstore-v1", weight: v1 },
    { service: "bookstore-v2", weight: v2 },
  ];
  return {
    apiVersion: "split.smi-spec.io/v1alpha2",
    kind: "TrafficSplit",
    metadata: { name: "bookstore-split", namespace: "bookstore" },
    spec: { service: "bookstore", backends },
  };
}
