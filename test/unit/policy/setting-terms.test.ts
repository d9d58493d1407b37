import { expect } from "chai";
import type { FaultTerms, LoadBalancing, UpstreamTrafficSetting } from "../../../src/model/traffic";
import type { HttpMatch, HttpRule, RouteTableLeaf } from "../../../src/policy/types";
import {
  chooseSetting,
  clusterTerms,
  portTerms,
  rateLimitClusters,
  servingSetting,
  settingFindings,
  withClientTerms,
  withServerLimits,
} from "../../../src/policy/upstream";
import { ASKED_OF_REQUESTS, ONE_A_SECOND, routeTerms, settingTerms } from "../../support/setting-terms";

const HTTP_LIMIT = { ...ONE_A_SECOND, status: 429, headers: [] };
const GENERIC = [[{ kind: "genericKey", key: undefined, value: "x" }]] as const;
const FAULT: FaultTerms = { delay: undefined, abort: { status: 503, percent: 1 } };
const OTHER: FaultTerms = { delay: { ms: 1, percent: 1 }, abort: undefined };
const TCP_SERVICE = {
  host: "limits.example",
  port: 8081,
  domain: "shop",
  timeoutMs: 20,
  failOpen: true,
  descriptors: [],
};
const blank = settingTerms("cart");

function rule(name: string, path: HttpMatch["path"] = { kind: "any" }): HttpRule {
  return {
    name,
    matches: [{ path, methods: [], headers: [] }],
    permission: { kind: "any-mesh-identity" },
    backends: [],
    origins: [],
  };
}
const table = (...rules: readonly HttpRule[]): RouteTableLeaf => ({
  kind: "route-table",
  name: "inbound|8080",
  direction: "inbound",
  origins: [],
  rules,
  trustDomain: "cluster.local",
});
const paths = ({ matches }: HttpRule): readonly unknown[] => matches.map(({ path }) => path);
const prefix = (value: string): HttpMatch["path"] => ({ kind: "prefix", value });

describe("what a setting says of a client's cluster", () => {
  it("is nothing where there is none, or it says nothing of that", () => {
    expect(clusterTerms(undefined, { balanced: true })).to.deep.equal({ by: [] });
    expect(clusterTerms(settingTerms("cart", { timeoutMs: 1 }), { balanced: true })).to.deep.equal({
      by: [],
    });
  });

  it("is its connections, outliers and load balancing, where the mesh balances", () => {
    const connection = { ...blank.connection, maxConnections: 5 };
    const outlier = { consecutiveErrors: 1, intervalMs: 1, baseEjectionMs: 1, maxEjectionPercent: 1 };
    const loadBalancing: LoadBalancing = { kind: "random" };
    const setting = settingTerms("cart", { connection, outlier, loadBalancing });
    const by = [setting.ref];
    expect(clusterTerms(setting, { balanced: true })).to.deep.equal({
      connection,
      outlier,
      loadBalancing,
      by,
    });
    expect(clusterTerms(setting, { balanced: false })).to.deep.equal({ connection, outlier, by });
    expect(clusterTerms(settingTerms("cart", { connection }), { balanced: true })).to.deep.equal({
      connection,
      by,
    });
    expect(clusterTerms(settingTerms("cart", { outlier }), { balanced: true })).to.deep.equal({
      outlier,
      by,
    });
    expect(clusterTerms(settingTerms("cart", { loadBalancing }), { balanced: true })).to.deep.equal({
      loadBalancing,
      by,
    });
    expect(clusterTerms(settingTerms("cart", { loadBalancing }), { balanced: false })).to.deep.equal({
      by: [],
    });
  });
});

describe("what a setting says of a client's rules", () => {
  const rules = [rule("a", prefix("/a")), rule("rest")];
  const held = (more: Partial<UpstreamTrafficSetting>) =>
    withClientTerms(rules, settingTerms("cart", more), "Prefix");

  it("is nothing where there is none, or it says nothing of requests", () => {
    expect(withClientTerms(rules, undefined, "Prefix")).to.equal(rules);
    expect(held({ localTcp: ONE_A_SECOND })).to.deep.equal(rules);
    expect(held({ routes: [routeTerms("/a", { localLimit: HTTP_LIMIT })] })).to.deep.equal(rules);
  });

  it("is time, faults and what chooses the endpoint, of all of them", () => {
    const terms = (more: Partial<UpstreamTrafficSetting>) => {
      const [first] = held(more);
      const { timeoutMs, fault, hashHeader, hashSource, origins } = first ?? rule("none");
      const said = Object.entries({ timeoutMs, fault, hashHeader, hashSource });
      expect(origins).to.deep.equal(said.some(([, value]) => value !== undefined) ? [blank.ref] : []);
      return Object.fromEntries(said.filter(([, value]) => value !== undefined));
    };
    expect(terms({ timeoutMs: 7 })).to.deep.equal({ timeoutMs: 7 });
    expect(terms({ fault: FAULT })).to.deep.equal({ fault: FAULT });
    expect(terms({ loadBalancing: { kind: "hash", header: "x" } })).to.deep.equal({ hashHeader: "x" });
    expect(terms({ loadBalancing: { kind: "source-address" } })).to.deep.equal({ hashSource: true });
    expect(terms({ loadBalancing: { kind: "random" } })).to.deep.equal({});
    const [plain] = held({ timeoutMs: 7 });
    expect(plain).to.not.have.any.keys("fault", "hashHeader", "hashSource");
  });

  it("is of a path before the rule that it is a part of, and of no rule without such paths", () => {
    const routes = [
      routeTerms("/a/b", { timeoutMs: 1 }),
      routeTerms("/c", { fault: OTHER }),
      routeTerms("/d", { descriptors: GENERIC }),
    ];
    const found = held({ routes, timeoutMs: 9, fault: FAULT });
    expect(found.map(each => [each.name, paths(each), each.timeoutMs, each.fault])).to.deep.equal([
      ["a /a/b", [prefix("/a/b")], 1, FAULT],
      ["a", [prefix("/a")], 9, FAULT],
      ["rest /a/b", [prefix("/a/b")], 1, FAULT],
      ["rest /c", [prefix("/c")], 9, OTHER],
      ["rest", [{ kind: "any" }], 9, FAULT],
    ]);
    for (const { origins } of found) expect(origins).to.deep.equal([blank.ref]);
    const [first] = withClientTerms([rule("all")], settingTerms("cart", { routes }), "Full");
    expect(paths(first ?? rule("none"))).to.deep.equal([{ kind: "exact", value: "/a/b" }]);
  });
});

describe("the setting whose limits hold at a port", () => {
  const limits: readonly (readonly [string, Partial<UpstreamTrafficSetting>])[] = [
    ["local connections", { localTcp: ONE_A_SECOND }],
    ["local requests", { localHttp: HTTP_LIMIT }],
    ["global connections", { globalTcp: TCP_SERVICE }],
    ["global requests", { globalHttp: ASKED_OF_REQUESTS }],
    [
      "local requests of a path",
      { routes: [routeTerms("/x"), routeTerms("/a", { localLimit: HTTP_LIMIT })] },
    ],
    ["descriptors of a path", { routes: [routeTerms("/x"), routeTerms("/a", { descriptors: GENERIC })] }],
  ];
  for (const [what, more] of limits) {
    it(`is one that limits ${what}`, () => {
      const own = settingTerms("own", more);
      expect(servingSetting([settingTerms("first"), own, settingTerms("later", more)])).to.equal(own);
    });
  }

  it("is none that limits nothing", () => {
    const clients = settingTerms("a", {
      timeoutMs: 1,
      fault: FAULT,
      routes: [routeTerms("/a", { timeoutMs: 1 })],
    });
    expect(servingSetting([clients, settingTerms("b")])).to.equal(undefined);
  });

  it("holds connections of every port, and requests of those of HTTP", () => {
    const setting = settingTerms("own", {
      localTcp: ONE_A_SECOND,
      globalTcp: TCP_SERVICE,
      globalHttp: ASKED_OF_REQUESTS,
    });
    const cluster = "rate-limit|limits.example|8081";
    const ofBytes = { localLimit: ONE_A_SECOND, globalTcpLimit: { ...TCP_SERVICE, cluster } };
    expect(portTerms(setting, { http: false })).to.deep.equal(ofBytes);
    const { domain, timeoutMs, failOpen, xRateLimitHeaders, status } = ASKED_OF_REQUESTS;
    expect(portTerms(setting, { http: true })).to.deep.equal({
      ...ofBytes,
      globalHttpLimit: { cluster, domain, timeoutMs, failOpen, xRateLimitHeaders, status },
    });
    expect(portTerms(undefined, { http: true })).to.deep.equal({});
    expect(portTerms(settingTerms("none"), { http: true })).to.deep.equal({});
  });
});

describe("rate limit services", () => {
  it("are there once each, for the settings that name them", () => {
    const [a, b] = [
      settingTerms("a", { globalTcp: TCP_SERVICE, globalHttp: ASKED_OF_REQUESTS }),
      settingTerms("b", { globalHttp: ASKED_OF_REQUESTS }),
    ];
    const c = settingTerms("c", { globalTcp: { ...TCP_SERVICE, port: 9 } });
    expect(rateLimitClusters([a, b, c, settingTerms("d")])).to.deep.equal([
      {
        kind: "external-cluster",
        name: "rate-limit|limits.example|8081",
        origins: [a.ref, b.ref],
        address: "limits.example",
        port: 8081,
        http2: true,
      },
      {
        kind: "external-cluster",
        name: "rate-limit|limits.example|9",
        origins: [c.ref],
        address: "limits.example",
        port: 9,
        http2: true,
      },
    ]);
  });
});

describe("a server's table held to a setting", () => {
  const plain = table(rule("a", prefix("/a")), rule("rest"));
  const held = (more: Partial<UpstreamTrafficSetting>) =>
    withServerLimits(plain, settingTerms("cart", more), "Prefix");

  it("is the same where there is none, or it limits no requests", () => {
    expect(withServerLimits(plain, undefined, "Prefix")).to.equal(plain);
    for (const more of [
      { localTcp: ONE_A_SECOND },
      { timeoutMs: 1 },
      { routes: [routeTerms("/a", { timeoutMs: 1 })] },
    ])
      expect(held(more)).to.equal(plain);
  });

  it("limits all of its requests together", () => {
    const limited = held({ localHttp: HTTP_LIMIT });
    expect(limited).to.deep.equal({ ...plain, origins: [blank.ref], localLimit: HTTP_LIMIT });
    expect(held({ globalHttp: ASKED_OF_REQUESTS })).to.deep.equal({ ...plain, origins: [blank.ref] });
  });

  it("limits the requests of a path before the rule that they are of", () => {
    const { rules, localLimit } = held({
      routes: [routeTerms("/a/b", { localLimit: HTTP_LIMIT }), routeTerms("/z")],
    });
    expect(localLimit).to.equal(undefined);
    expect(rules.map(each => [each.name, paths(each), each.localLimit])).to.deep.equal([
      ["a /a/b", [prefix("/a/b")], HTTP_LIMIT],
      ["a", [prefix("/a")], undefined],
      ["rest /a/b", [prefix("/a/b")], HTTP_LIMIT],
      ["rest", [{ kind: "any" }], undefined],
    ]);
    expect(rules.map(({ origins }) => origins.length)).to.deep.equal([1, 0, 1, 0]);
    const [apart] = withServerLimits(
      table(rule("b", prefix("/b"))),
      settingTerms("cart", { routes: [routeTerms("/a", { localLimit: HTTP_LIMIT })] }),
      "Prefix",
    ).rules;
    expect(apart?.name).to.equal("b");
  });

  it("describes requests to the service: those of a path in its words, or in those of all", () => {
    const all = [[{ kind: "remoteAddress" }]] as const;
    const globalHttp = { ...ASKED_OF_REQUESTS, descriptors: all };
    const routes = [
      routeTerms("/a/own", { descriptors: GENERIC }),
      routeTerms("/a/limited", { localLimit: HTTP_LIMIT }),
    ];
    const said = (more: Partial<UpstreamTrafficSetting>) =>
      withServerLimits(table(rule("a", prefix("/a"))), settingTerms("cart", more), "Prefix").rules.map(
        ({ name, descriptors }) => [name, descriptors],
      );
    expect(said({ globalHttp, routes })).to.deep.equal([
      ["a /a/own", GENERIC],
      ["a /a/limited", all],
      ["a", all],
    ]);
    expect(said({ globalHttp: ASKED_OF_REQUESTS, routes })).to.deep.equal([
      ["a /a/own", GENERIC],
      ["a /a/limited", undefined],
      ["a", undefined],
    ]);
    // Nobody is asked.
    expect(said({ routes })).to.deep.equal([
      ["a", undefined],
      ["a /a/limited", undefined],
      ["a", undefined],
    ]);
  });
});

describe("what the owner of a setting is told", () => {
  const facts = { served: true, http: true, referred: false };
  const told = (
    more: Partial<UpstreamTrafficSetting>,
    changed: Partial<typeof facts> = {},
  ): readonly string[] =>
    settingFindings(settingTerms("cart", more), { ...facts, ...changed }).map(
      ({ severity, code, field, subject }) => {
        expect(subject).to.deep.equal(blank.ref);
        return `${severity} ${code} ${field ?? ""}`;
      },
    );
  const lost = "warning NoEffect spec";
  const words = "warning NoEffect spec.httpRoutes";

  it("is nothing where all of it has an effect, or an Egress refers to it", () => {
    expect(
      told({
        timeoutMs: 1,
        globalHttp: ASKED_OF_REQUESTS,
        routes: [routeTerms("/a", { descriptors: GENERIC })],
      }),
    ).to.deep.equal([]);
    for (const changed of [
      { referred: true, served: false },
      { referred: true, http: false },
    ])
      expect(told({ timeoutMs: 1 }, changed)).to.deep.equal([]);
    expect(told({ service: undefined }, { referred: true })).to.deep.equal([]);
  });

  it("is that its host is no Service, or none of the mesh", () => {
    expect(told({ service: undefined })).to.deep.equal(["warning NoEffect spec.host"]);
    expect(told({}, { served: false })).to.deep.equal(["error UnresolvedReference spec.host"]);
  });

  it("is that requests are spoken of where there are none", () => {
    const ofRequests: readonly Partial<UpstreamTrafficSetting>[] = [
      { localHttp: HTTP_LIMIT },
      { globalHttp: ASKED_OF_REQUESTS },
      { fault: FAULT },
      { timeoutMs: 1 },
      { routes: [routeTerms("/a", { timeoutMs: 1 })] },
    ];
    for (const more of ofRequests) {
      expect(told(more, { http: false }), JSON.stringify(more)).to.deep.equal([lost]);
      expect(told(more)).to.deep.equal([]);
    }
    expect(told({ localTcp: ONE_A_SECOND }, { http: false })).to.deep.equal([]);
  });

  it("is that descriptors are given and nobody is asked", () => {
    const routes = [routeTerms("/x"), routeTerms("/a", { descriptors: GENERIC })];
    expect(told({ routes })).to.deep.equal([words]);
    expect(told({ routes, globalHttp: ASKED_OF_REQUESTS })).to.deep.equal([]);
    expect(told({ routes: [routeTerms("/x")] })).to.deep.equal([]);
    expect(told({ routes }, { http: false })).to.deep.equal([lost, words]);
  });

  it("is that another is older", () => {
    const [old, young] = [settingTerms("old"), settingTerms("young")];
    const { value, diagnostics } = chooseSetting([old, young]);
    expect(value).to.equal(old);
    expect(diagnostics).to.have.length(1);
    expect(diagnostics[0]).to.deep.include({
      severity: "error",
      code: "Conflicted",
      subject: young.ref,
      field: "spec.host",
    });
    expect(chooseSetting([])).to.deep.equal({ value: undefined, diagnostics: [] });
  });
});
