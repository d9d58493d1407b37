import { expect } from "chai";
import type { Grant, HttpMatch, Permission } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import { everyRequest, inboundLeaves, outboundLeaves } from "../support/mesh-leaves";
import { type RawRequest, statusAs } from "../support/tls-caller";
import { waitFor } from "../support/wait";

const BUYER = { namespace: "shoppers", serviceAccount: "buyer" };
const THIEF = { namespace: "shoppers", serviceAccount: "thief" };
const CLERK = { namespace: "shop", serviceAccount: "clerk" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const origins: [] = [];

const match = (part: Partial<HttpMatch>): HttpMatch => ({
  path: { kind: "any" },
  methods: [],
  headers: [],
  ...part,
});

const GRANTS: readonly Grant[] = [
  {
    name: "shop/buyers#0",
    identities: [BUYER],
    matches: [
      match({ path: { kind: "exact", value: "/buy" }, methods: ["GET", "POST"] }),
      match({ path: { kind: "prefix", value: "/catalogue/" } }),
      match({ path: { kind: "regex", value: "/books/[0-9]+" }, methods: ["GET"] }),
    ],
    origins,
  },
  {
    name: "shop/clerks#0",
    identities: [CLERK],
    matches: [
      match({
        path: { kind: "prefix", value: "/admin" },
        headers: [
          { name: "x-role", kind: "regex", value: "clerk|manager" },
          { name: "Host", kind: "exact", value: "shop" },
        ],
      }),
    ],
    origins,
  },
  { name: "shop/all#0", identities: [CLERK, BUYER], matches: [match({ methods: ["HEAD"] })], origins },
  { name: "shop/nobody#0", identities: [], matches: [match({})], origins },
  { name: "shop/nothing#0", identities: [THIEF], matches: [], origins },
];

/** The clerks' grant, said by routes. */
const BY_ROUTE = [
  ...everyRequest([{ cluster: "local|8080", weight: 1 }]).map(rule => ({
    ...rule,
    matches: GRANTS[1]?.matches ?? [],
  })),
  ...everyRequest([{ cluster: "local|8080", weight: 1 }], { kind: "allow", identities: [] }),
];

const granted = (grants: readonly Grant[]): Permission => ({ kind: "grants", grants });

describe("access by grants", () => {
  let mesh: Mesh;
  const configure = (permission: Permission): void => {
    const rules = everyRequest([{ cluster: "local|8080", weight: 1 }], permission);
    mesh.configure("server", [
      ...outboundLeaves(true),
      ...inboundLeaves(SERVER, [
        { port: 8080, protocol: "http", rules },
        { port: 8090, protocol: "http", rules: BY_ROUTE },
      ]),
    ]);
  };
  const status = (identity: typeof BUYER, request: Omit<RawRequest, "port">): Promise<number> =>
    statusAs(mesh, "server", identity, { port: 8080, ...request });

  before(async () => {
    mesh = await startMesh({ server: SERVER, outside: undefined });
    await mesh.app("server").serveHttp(8080);
    configure(granted(GRANTS));
    await waitFor("the server", async () => (await status(BUYER, { path: "/buy" })) === 200);
  });

  after(() => mesh.close());

  const cases: [string, typeof BUYER, Omit<RawRequest, "port">, number][] = [
    ["an exact path", BUYER, { path: "/buy" }, 200],
    ["another method of the list", BUYER, { path: "/buy", method: "POST" }, 200],
    ["not a method outside of it", BUYER, { path: "/buy", method: "DELETE" }, 403],
    ["the path without its query", BUYER, { path: "/buy?x=/admin" }, 200],
    ["not what only begins like an exact path", BUYER, { path: "/buy/more" }, 403],
    ["a prefix", BUYER, { path: "/catalogue/a/b" }, 200],
    ["a pattern of the whole path", BUYER, { path: "/books/12" }, 200],
    ["not a pattern found within a path", BUYER, { path: "/books/12/x" }, 403],
    ["a pattern, whatever the query", BUYER, { path: "/books/12?x" }, 200],
    ["the same only to those who are named", THIEF, { path: "/buy" }, 403],
    ["nothing by a grant of nothing", THIEF, { path: "/" }, 403],
    ["another grant to another caller", CLERK, { path: "/admin", headers: [["x-role", "clerk"]] }, 200],
    ["not without the header", CLERK, { path: "/admin" }, 403],
    ["not with another value", CLERK, { path: "/admin", headers: [["x-role", "xclerk"]] }, 403],
    ["not with another Host", CLERK, { path: "/admin", host: "x", headers: [["x-role", "clerk"]] }, 403],
    ["whatever one of several grants allows", BUYER, { path: "/anything", method: "HEAD" }, 200],
    [
      "nothing of one grant by the callers of another",
      BUYER,
      { path: "/admin", headers: [["x-role", "clerk"]] },
      403,
    ],
  ];
  for (const [what, identity, request, expected] of cases)
    it(`allows ${what}`, async () => {
      expect(await status(identity, request)).to.equal(expected);
    });

  for (const [what, values, expected] of [
    ["any one value of a repeated header that fits", ["nobody", "clerk"], 200],
    ["no repeated header of which none fits", ["nobody", "somebody"], 403],
    ["no list of values in one header", ["nobody,clerk"], 403],
  ] as const)
    it(`allows ${what}, in grants as in routes`, async () => {
      const headers = values.map(value => ["x-role", value] as const);
      expect(await status(CLERK, { path: "/admin", headers })).to.equal(expected);
      const byRoute = await statusAs(mesh, "server", CLERK, { port: 8090, path: "/admin", headers });
      expect(byRoute).to.equal(expected);
    });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
