import { expect } from "chai";
import fc from "fast-check";
import type { JsonObject } from "@bufbuild/protobuf";
import { formatCommands, formatFault } from "../../src/api/format";
import { validateCustomObject } from "../../src/api/kinds";
import { accessLogs } from "../../src/envoy/access-log";
import { AccessLog } from "../../src/envoy/api/generated/envoy/config/accesslog/v3/accesslog";
import { encodeLeaf } from "../../src/envoy/encode";
import { localHttpFilter, localHttpLimit } from "../../src/envoy/limits";
import type { LocalHttpLimit } from "../../src/model/traffic";
import { resourcesOf } from "../../src/xds/resource";
import { messageJson } from "../support/envoy-json";
import { staticBootstrap, validate, validateBootstrap, type Verdict } from "../support/envoy";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { SEED } from "../support/seed";
import { createWorld } from "../support/world";

const RUNS = Math.ceil(
  2_000 * Number(process.env["OSM_TEST_RUNS"] ?? (process.env["OSM_FULL"] === "1" ? "20" : "1")),
);
const ANY = "type.googleapis.com/";
const HTTP = `${ANY}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const TCP_LIMIT = `${ANY}envoy.extensions.filters.network.ratelimit.v3.RateLimit`;
const LOCAL = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

const NOTHING = new Uint8Array();

/** What is put to Envoy; a cluster named `service` is there. */
interface Given {
  /** Formats of access logs, each with an attribute of a collector. */
  readonly logs?: readonly { readonly format: string; readonly attribute?: string }[];
  readonly limits?: readonly LocalHttpLimit[];
  /** Keys and values of descriptors for connections. */
  readonly descriptors?: readonly (readonly [string, string])[];
}

function logsOf({ format, attribute }: NonNullable<Given["logs"]>[number]): JsonObject[] {
  const sink =
    attribute === undefined ? {} : { openTelemetry: { cluster: "service", attributes: { a: attribute } } };
  return accessLogs({ format, ...sink }).map(log =>
    messageJson(AccessLog.$type, AccessLog.encode(log).finish()),
  );
}

function routeOf(limit: LocalHttpLimit): JsonObject {
  const config = { "@type": ANY + LOCAL, ...messageJson(LOCAL, localHttpLimit(limit).value ?? NOTHING) };
  return {
    match: { prefix: "/" },
    directResponse: { status: 200 },
    typedPerFilterConfig: { "envoy.filters.http.local_ratelimit": config },
  };
}

/** One listener with all that is given. */
function ask({ logs = [], limits = [], descriptors = [] }: Given): Promise<Verdict> {
  const connections: JsonObject = {
    "@type": TCP_LIMIT,
    statPrefix: "x",
    domain: "d",
    descriptors: [
      { entries: [["k", "v"], ...descriptors].map(([key = "", value = ""]) => ({ key, value })) },
    ],
    rateLimitService: {
      transportApiVersion: "V3",
      grpcService: { envoyGrpc: { clusterName: "service" } },
    },
  };
  const http: JsonObject = {
    "@type": HTTP,
    statPrefix: "x",
    accessLog: logs.flatMap(logsOf),
    routeConfig: { name: "r", virtualHosts: [{ name: "v", domains: ["*"], routes: limits.map(routeOf) }] },
    httpFilters: [
      {
        name: "envoy.filters.http.local_ratelimit",
        typedConfig: { "@type": ANY + LOCAL, ...messageJson(LOCAL, localHttpFilter().value ?? NOTHING) },
      },
      {
        name: "envoy.filters.http.router",
        typedConfig: { "@type": `${ANY}envoy.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  const base = staticBootstrap([]);
  const listener = {
    name: "l",
    address: { socketAddress: { address: "127.0.0.1", portValue: 20_000 } },
    bindToPort: false,
    filterChains: [
      {
        filters: [
          { name: "envoy.filters.network.ratelimit", typedConfig: connections },
          { name: "envoy.filters.network.http_connection_manager", typedConfig: http },
        ],
      },
    ],
  };
  const { clusters } = base["staticResources"] as { readonly clusters: JsonObject[] };
  const known = [...clusters, { name: "service", type: "STATIC", connectTimeout: "1s" }];
  return validateBootstrap({ ...base, staticResources: { clusters: known, listeners: [listener] } });
}

const LIMIT: LocalHttpLimit = { count: 1, unitMs: 1_000, burst: 0, status: 429, headers: [] };
const withHeader = (name: string, value: string): LocalHttpLimit => ({
  ...LIMIT,
  headers: [{ name, value }],
});

/** The first text that Envoy refuses, by halves; undefined when it takes all. */
async function refusedOf(
  texts: readonly string[],
  given: (texts: readonly string[]) => Given,
): Promise<string | undefined> {
  const verdict = await ask(given(texts));
  if (verdict.ok) return undefined;
  if (texts.length === 1) return `${JSON.stringify(texts[0])}: ${verdict.output.slice(-300)}`;
  const middle = Math.ceil(texts.length / 2);
  return (await refusedOf(texts.slice(0, middle), given)) ?? (await refusedOf(texts.slice(middle), given));
}

const asLogs = (texts: readonly string[]): Given => ({
  logs: texts.map(format => ({ format, attribute: format })),
});
const asAnswers = (texts: readonly string[]): Given => ({
  limits: texts.map(value => withHeader("x", value)),
  descriptors: texts.filter(value => value !== "").map(value => ["k", value] as const),
});

const ARGUMENTS = [
  ..."|()|(x)|(:path?x-a)|(a?b?c)|(%Y %H.%M:%S)|(%n)|(%En)|(%10n)|(24)|(a:b:c)|(a:PLAIN)|(a:FIELD:x:y)|(a:FIELD:)".split(
    "|",
  ),
  ..."(ROUTE:a)|(BOGUS:a)|(WQ:ORIG)|(NQ)|(:PATH)|(ORIG)|(DECODED)|(ALLOW_WHITESPACES)|(NUMBER)|(A:B)|(A:B:us)|(a)b)|( )|(é)|(%)".split(
    "|",
  ),
];
const LENGTHS = ["", "", "", ":0", ":007", ":999999999", ":9999999999", ":-1", ":"];

/** An argument with which each command is right. */
function rightUse(name: string, log: boolean): string {
  const use = ARGUMENTS.map(argument => `%${name}${argument}%`).find(
    text => formatFault(text, log) === undefined,
  );
  if (use === undefined) throw new Error(`no use of ${name} is right`);
  return use;
}

/** Pieces of formats, of which most are right. */
function aFormat(log: boolean): fc.Arbitrary<string> {
  const command = fc
    .tuple(
      fc.constantFrom(...formatCommands(log), "CEL", "BOGUS", "req", ""),
      fc.constantFrom(...ARGUMENTS),
      fc.constantFrom(...LENGTHS),
    )
    .map(parts => `%${parts.join("")}%`);
  const piece = fc.oneof(
    { weight: 2, arbitrary: command },
    { weight: 2, arbitrary: fc.constantFrom("%%", "a", " ", "{", "é", ")", "\t", ":5") },
    { weight: 4, arbitrary: fc.constantFrom(...formatCommands(log)).map(name => rightUse(name, log)) },
    { weight: 1, arbitrary: fc.constantFrom("%", "%REQ(", "100% ") },
  );
  return fc.array(piece, { minLength: 0, maxLength: 3 }).map(pieces => pieces.join(""));
}

describe("formats and the real Envoy", function () {
  this.timeout(300_000);

  it("takes every command of the list, in access logs, attributes, headers of answers and descriptors", async () => {
    const logs = formatCommands(true).map(name => rightUse(name, true));
    expect(logs.length).to.be.greaterThan(140);
    expect(await refusedOf(logs, asLogs)).to.equal(undefined);
    const answers = formatCommands(false).map(name => rightUse(name, false));
    expect(await refusedOf(answers, asAnswers)).to.equal(undefined);
  });

  it(`takes every one of ${RUNS} random formats that the mesh takes`, async () => {
    console.log(`      OSM_SEED=${SEED}`);
    for (const [log, given] of [
      [true, asLogs],
      [false, asAnswers],
    ] as const) {
      const formats = [...new Set(fc.sample(aFormat(log), { numRuns: RUNS }))];
      const taken = formats.filter(format => formatFault(format, log) === undefined);
      console.log(`      ${formats.length} different formats, ${taken.length} taken by the mesh`);
      expect(taken.length).to.be.greaterThan(RUNS / 20);
      for (let at = 0; at < taken.length; at += 500)
        expect(await refusedOf(taken.slice(at, at + 500), given)).to.equal(undefined);
    }
  });

  it("refuses what the mesh refuses, as a whole", async () => {
    const good = { logs: [{ format: "ok", attribute: "ok" }], limits: [withHeader("x", "ok")] };
    expect((await ask({ ...good, descriptors: [["k", "ok"]] })).ok).to.equal(true);
    const bad = ["%BOGUS%", "took 100% ok", "100% %REQ(:METHOD", "50%", "%REQ%", "%REQ(a?b?c)%", "%%%"];
    bad.push("%PROTOCOL(x)%", "%START_TIME(%n)%", "%GRPC_STATUS(x)%", "%FILTER_STATE(a:FIELD:)%");
    for (const format of bad) {
      expect(formatFault(format, true), format).to.not.equal(undefined);
      expect((await ask({ logs: [{ format: "ok" }, { format }] })).ok, format).to.equal(false);
      expect((await ask({ limits: [withHeader("x", format)] })).ok, format).to.equal(false);
      expect((await ask({ descriptors: [["k", format]] })).ok, format).to.equal(false);
    }
    expect((await ask({ logs: [{ format: "ok", attribute: "50%" }] })).ok).to.equal(false);
    expect((await ask({ limits: [withHeader("x", "%REQ_WITHOUT_QUERY(a)%")] })).ok).to.equal(false);
  });

  it("reads JSON that is as deep as the mesh takes it", async () => {
    const format = `${'{"5%":'.repeat(14)}{"a":[1,true,null,"%PROTOCOL%",""]}${"}".repeat(14)}`;
    const object = { metadata: { name: "t", namespace: "n" }, spec: { accessLog: { format } } };
    expect(validateCustomObject("Telemetry", object)).to.deep.equal([]);
    expect(await ask({ logs: [{ format }] })).to.include({ ok: true });
  });
});

const PORTS = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "tcp", port: 81, targetPort: 8081 },
];

/** A Service of namespace `a` and its pod, with the setting. */
function serverWith(setting: TestObject): { readonly proxy: TestObject; readonly objects: TestObject[] } {
  const proxy = pod({ namespace: "a", name: "p", ips: ["10.1.0.1"], labels: { app: "x" } });
  const ports = PORTS.map(({ name, targetPort }) => ({ name, port: targetPort }));
  const endpoints = [{ address: "10.1.0.1", pod: "p" }];
  return {
    proxy,
    objects: [
      meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }),
      namespace("a"),
      proxy,
      service({ namespace: "a", name: "s", selector: { app: "x" }, ports: PORTS }),
      slice({ namespace: "a", service: "s", ports, endpoints }),
      setting,
    ],
  };
}

function setting(rateLimit: object, limits: readonly object[]): TestObject {
  return {
    apiVersion: "policy.openservicemesh.io/v1alpha1",
    kind: "UpstreamTrafficSetting",
    metadata: { name: "u", namespace: "a" },
    spec: {
      host: "s.a.svc.cluster.local",
      rateLimit,
      httpRoutes: limits.map((local, index) => ({ path: `/${index}`, rateLimit: { local } })),
    },
  };
}

/** Each kind of entry of a descriptor for requests, with the text wherever one is free. */
function httpEntries(text: string): object[] {
  const key = text.slice(0, 256);
  const headers = ["exact", "prefix", "suffix", "contains"].map(kind => ({ name: "!#$%&'*", [kind]: text }));
  return [
    { genericKey: { value: text, key } },
    { remoteAddress: {} },
    { requestHeader: { name: ":path", key } },
    { requestHeader: { name: "!#$%&'*+.^_`|~", key } },
    { headerValueMatch: { value: text, key, headers: [...headers, { name: ":x", present: false }] } },
  ];
}

describe("limits at the edge of what the mesh takes, and the real Envoy", function () {
  this.timeout(300_000);
  const rate = { requests: 4_294_967_295, unit: "second", burst: 4_294_967_295 };
  const valid = (object: TestObject): boolean =>
    validateCustomObject("UpstreamTrafficSetting", object).length === 0;
  const taken = (more: object): boolean => valid(setting({ local: { http: { ...rate, ...more } } }, []));

  it("takes each code, ten headers of any bytes, the largest bursts and any descriptor", async () => {
    const codes = Array.from({ length: 1_000 }, (_, code) => code).filter(code =>
      taken({ responseStatusCode: code }),
    );
    const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
    const names = bytes.filter(name => taken({ responseHeadersToAdd: [{ name, value: "" }] }));
    const values = bytes.filter(value => taken({ responseHeadersToAdd: [{ name: "x", value }] }));
    expect([codes.length, names.length, values.length].every(count => count > 30)).to.equal(true);
    const long = { name: "x".repeat(256), value: "%%".repeat(2_048) };
    const headers = [long, ...names.map(name => ({ name, value: values.join("") }))].slice(0, 10);
    const limits = [
      ...codes.map(responseStatusCode => ({ ...rate, responseStatusCode })),
      { ...rate, responseHeadersToAdd: headers },
      { ...rate, responseHeadersToAdd: [{ name: names.join(""), value: "%PROTOCOL%" }] },
    ];
    const service = { rateLimitService: { host: "rl.a", port: 1 }, domain: "d" };
    const entries = ["50%", "a\nb", "é"].map(key => ({ key, value: `%%${values.join("")}` }));
    const object = setting(
      {
        local: { http: rate, tcp: { connections: 4_294_967_295, unit: "hour", burst: 4_294_967_295 } },
        global: {
          tcp: { ...service, descriptors: [{ entries }] },
          http: {
            ...service,
            responseStatusCode: 511,
            descriptors: [{ entries: httpEntries(`50% ${bytes.join("")}`) }],
          },
        },
      },
      limits,
    );
    expect(validateCustomObject("UpstreamTrafficSetting", object)).to.deep.equal([]);
    const { proxy, objects } = serverWith(object);
    const world = createWorld(encodeLeaf);
    world.feed(...objects);
    const resources = [...world.connect(proxy).latest().values()].flatMap(set => [...resourcesOf(set)]);
    expect(world.errors).to.deep.equal([]);
    expect(resources.some(({ origins }) => origins.some(({ name }) => name === "u"))).to.equal(true);
    const verdict = await validate(resources);
    expect(verdict.ok, verdict.output.slice(-500)).to.equal(true);
  });

  it("knows what Envoy refuses", async () => {
    expect((await ask({ limits: [LIMIT] })).ok).to.equal(true);
    for (const status of [418, 450, 451, 599, 200]) {
      expect(taken({ responseStatusCode: status }), String(status)).to.equal(false);
      // Envoy writes its own code for one below 400.
      if (status >= 400) expect((await ask({ limits: [{ ...LIMIT, status }] })).ok).to.equal(false);
    }
    for (const name of [":x", "host", "Host"]) {
      expect(taken({ responseHeadersToAdd: [{ name, value: "" }] }), name).to.equal(false);
      expect((await ask({ limits: [withHeader(name, "a")] })).ok, name).to.equal(false);
    }
    for (const value of ["a\nb", "a\rb", "a\0b"]) {
      expect(taken({ responseHeadersToAdd: [{ name: "x", value }] })).to.equal(false);
      expect((await ask({ limits: [withHeader("x", value)] })).ok).to.equal(false);
    }
    const headers = Array.from({ length: 11 }, () => ({ name: "x", value: "a" }));
    expect(taken({ responseHeadersToAdd: headers })).to.equal(false);
    expect((await ask({ limits: [{ ...LIMIT, headers }] })).ok).to.equal(false);
  });

  it("takes nothing of a wrong object that is stored already, and leaves everything else as it is", () => {
    const rows = (given: TestObject): readonly string[] => {
      const { proxy, objects } = serverWith(given);
      const world = createWorld(encodeLeaf);
      world.feed(...objects);
      expect(world.errors).to.deep.equal([]);
      return [...world.connect(proxy).latest().values()]
        .flatMap(set => [...resourcesOf(set)])
        .map(({ typeUrl, name, version }) => `${typeUrl} ${name} ${version}`)
        .sort();
    };
    const wrong = { requests: 1, unit: "second", responseHeadersToAdd: [{ name: "x", value: "50%" }] };
    const other = { ...setting({}, []), metadata: { name: "none", namespace: "a" }, spec: {} };
    expect(rows(setting({ local: { http: wrong } }, []))).to.deep.equal(rows(other));
    const telemetry = (spec: object): TestObject => ({ ...other, kind: "Telemetry", spec });
    const bogus = rows(telemetry({ accessLog: { format: "%BOGUS%" } }));
    expect(bogus).to.deep.equal(rows(other));
    expect(bogus).to.not.deep.equal(rows(telemetry({ accessLog: { format: "%PROTOCOL%" } })));
  });
});
