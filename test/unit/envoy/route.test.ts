import { expect } from "chai";
import type { Grant, HttpMatch, Permission } from "../../../src/policy/types";
import { all, at, built } from "./json-path";
import { ANY_REQUEST, CART, INBOUND_TABLE, PAY, RULE } from "./leaves";

const FILTER = "envoy.filters.http.rbac";
const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const route = (rule: typeof RULE, index = 0): ReturnType<typeof at> =>
  at(built({ ...INBOUND_TABLE, rules: [rule] }), "virtualHosts", 0, "routes", index);

describe("route tables for Envoy", () => {
  it("take any Host and do not depend on clusters being there", () => {
    const table = built(INBOUND_TABLE);
    expect(at(table, "virtualHosts", 0, "domains")).to.deep.equal(["*"]);
    expect(table["validateClusters"]).to.equal(false);
  });

  it("take off at the server what Envoy says of the caller's address, and nothing at the client", () => {
    for (const direction of ["inbound", "ingress", "outbound"] as const) {
      const table = built({ ...INBOUND_TABLE, direction });
      const removed = direction === "outbound" ? undefined : ["x-envoy-external-address"];
      expect(table["requestHeadersToRemove"], direction).to.deep.equal(removed);
    }
  });

  it("set no time limit", () => {
    expect(at(route(RULE), "route")).to.deep.equal({ cluster: "local|8080", timeout: "0s" });
  });

  it("make one route per match, in order of the rules", () => {
    const other = { ...ANY_REQUEST, path: { kind: "exact" as const, value: "/b" } };
    const table = built({
      ...INBOUND_TABLE,
      rules: [
        { ...RULE, name: "first", matches: [other, ANY_REQUEST] },
        { ...RULE, name: "second" },
      ],
    });
    const routes = at(table, "virtualHosts", 0, "routes");
    expect(Array.isArray(routes) && routes.map(item => at(item, "name"))).to.deep.equal([
      "first",
      "first",
      "second",
    ]);
  });

  const paths: [HttpMatch["path"], object][] = [
    [{ kind: "any" }, { prefix: "/" }],
    [{ kind: "prefix", value: "/a" }, { prefix: "/a" }],
    [{ kind: "exact", value: "/a" }, { path: "/a" }],
    [{ kind: "regex", value: "/a.*" }, { safeRegex: { regex: "/a.*" } }],
  ];
  for (const [path, expected] of paths) {
    it(`match a path: ${path.kind}`, () => {
      expect(at(route({ ...RULE, matches: [{ ...ANY_REQUEST, path }] }), "match")).to.deep.equal(expected);
    });
  }

  const methods: [string[], object | undefined][] = [
    [[], undefined],
    [["GET"], { exact: "GET" }],
    [["GET", "M.X"], { safeRegex: { regex: "GET|M\\.X" } }],
  ];
  for (const [names, stringMatch] of methods) {
    it(`match methods: [${names.join(", ")}]`, () => {
      const headers = at(
        route({ ...RULE, matches: [{ ...ANY_REQUEST, methods: names }] }),
        "match",
        "headers",
      );
      expect(headers).to.deep.equal(
        stringMatch === undefined ? undefined : [{ name: ":method", stringMatch }],
      );
    });
  }

  it("match headers in lower case, and Host as the authority", () => {
    const match: HttpMatch = {
      ...ANY_REQUEST,
      headers: [
        { name: "Host", kind: "exact", value: "shop" },
        { name: "X-Role", kind: "regex", value: "a|b" },
      ],
    };
    expect(at(route({ ...RULE, matches: [match] }), "match", "headers")).to.deep.equal([
      { name: ":authority", stringMatch: { exact: "shop" } },
      { name: "x-role", stringMatch: { safeRegex: { regex: "a|b" } } },
    ]);
  });

  it("split by weight, 0 included, and answer 500 where nothing may get a request", () => {
    const backends = [
      { cluster: "v1", weight: 0 },
      { cluster: "v2", weight: 3 },
    ];
    expect(at(route({ ...RULE, backends }), "route", "weightedClusters", "clusters")).to.deep.equal([
      { name: "v1", weight: 0 },
      { name: "v2", weight: 3 },
    ]);
    for (const none of [[], [{ cluster: "v1", weight: 0 }]])
      expect(at(route({ ...RULE, backends: none }), "directResponse")).to.deep.equal({ status: 500 });
  });

  const permissions: [string, Permission, object][] = [
    ["anybody", { kind: "any-mesh-identity" }, {}],
    ["nobody", { kind: "allow", identities: [] }, { rbac: { rules: {} } }],
    [
      "one identity",
      { kind: "allow", identities: [CART] },
      {
        rbac: {
          rules: {
            policies: {
              identities: {
                permissions: [{ any: true }],
                principals: [
                  {
                    authenticated: { principalName: { exact: "spiffe://cluster.local/ns/shop/sa/cart.v1" } },
                  },
                ],
              },
            },
          },
        },
      },
    ],
  ];
  const named = (uri: string): object => ({ authenticated: { principalName: { exact: uri } } });
  const grant = (name: string, part: Partial<Grant>): Grant => ({
    name,
    identities: [CART],
    matches: [ANY_REQUEST],
    origins: [],
    ...part,
  });
  const cart = named("spiffe://cluster.local/ns/shop/sa/cart.v1");
  permissions.push(
    ["anyone", { kind: "anyone" }, {}],
    ["nobody by grants", { kind: "grants", grants: [] }, { rbac: { rules: {} } }],
    [
      "nobody by grants of nobody or nothing",
      { kind: "grants", grants: [grant("a", { identities: [] }), grant("b", { matches: [] })] },
      { rbac: { rules: {} } },
    ],
    [
      "those of each grant",
      {
        kind: "grants",
        grants: [
          grant("shop/t#0", {
            identities: [CART, PAY],
            matches: [
              { path: { kind: "prefix", value: "/a" }, methods: [], headers: [] },
              {
                path: { kind: "exact", value: "/b" },
                methods: ["GET"],
                headers: [{ name: "Host", kind: "regex", value: "x.*" }],
              },
            ],
          }),
          grant("shop/t#1", {
            matches: [{ path: { kind: "regex", value: "/c.*" }, methods: [], headers: [] }],
          }),
          grant("shop/t#2", {}),
        ],
      },
      {
        rbac: {
          rules: {
            policies: {
              "shop/t#0": {
                permissions: [
                  { urlPath: { path: { prefix: "/a" } } },
                  {
                    andRules: {
                      rules: [
                        { urlPath: { path: { exact: "/b" } } },
                        { header: { name: ":method", stringMatch: { exact: "GET" } } },
                        { header: { name: ":authority", stringMatch: { safeRegex: { regex: "x.*" } } } },
                      ],
                    },
                  },
                ],
                principals: [cart, named("spiffe://cluster.local/ns/bank/sa/pay")],
              },
              "shop/t#1": {
                permissions: [{ urlPath: { path: { safeRegex: { regex: "/c.*" } } } }],
                principals: [cart],
              },
              "shop/t#2": { permissions: [{ any: true }], principals: [cart] },
            },
          },
        },
      },
    ],
    [
      "holders of names",
      { kind: "principals", names: ["gateway.ingress.svc"] },
      {
        rbac: {
          rules: {
            policies: {
              principals: { permissions: [{ any: true }], principals: [named("gateway.ingress.svc")] },
            },
          },
        },
      },
    ],
    ["nobody by names", { kind: "principals", names: [] }, { rbac: { rules: {} } }],
  );
  for (const [who, permission, expected] of permissions) {
    it(`state for every inbound route who may use it: ${who}`, () => {
      const config = at(route({ ...RULE, permission }), "typedPerFilterConfig");
      expect(config).to.deep.equal({ [FILTER]: { "@type": PER_ROUTE, ...expected } });
    });
  }

  it("send again, to another endpoint, only what no server has seen, and only at the client", () => {
    const outbound = built({ ...INBOUND_TABLE, direction: "outbound" });
    expect(at(outbound, "virtualHosts", 0, "retryPolicy")).to.deep.include({
      retryOn: "connect-failure,refused-stream,reset-before-request",
      numRetries: 2,
    });
    expect(all(built(INBOUND_TABLE), "retryPolicy")).to.deep.equal([]);
  });

  it("decide nothing about permission at the client", () => {
    const rules = [{ ...RULE, permission: { kind: "allow" as const, identities: [] } }];
    const table = built({ ...INBOUND_TABLE, direction: "outbound", rules });
    expect(all(table, "typedPerFilterConfig")).to.deep.equal([]);
  });
});
