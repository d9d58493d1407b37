import { expect } from "chai";
import { formatCommands, formatFault } from "../../../src/api/format";
import { validateCustomObject } from "../../../src/api/kinds";
import { StatusCode } from "../../../src/envoy/api/generated/envoy/type/v3/http_status";

/** Messages about an object of namespace `shop`. */
function told(kind: string, spec: object): readonly string[] {
  const object = { kind, metadata: { name: "x", namespace: "shop" }, spec };
  return validateCustomObject(kind, object).map(({ message }) => message);
}

const HOST = "store.shop.svc.cluster.local";
const local = (more: object): readonly string[] =>
  told("UpstreamTrafficSetting", {
    host: HOST,
    rateLimit: { local: { http: { requests: 1, unit: "second", ...more } } },
  });
const header = (name: string, value: string): readonly string[] =>
  local({ responseHeadersToAdd: [{ name, value }] });
const HEADER = "spec.rateLimit.local.http.responseHeadersToAdd[0]";

describe("formats of Envoy", () => {
  it("have commands, escaped percent signs and text", () => {
    for (const format of [
      "",
      "text",
      "%%",
      "100%% of %PROTOCOL%%REQ(:METHOD)%",
      "%REQ(a?:b):12%",
      "%START_TIME(%Y/%m)%",
      "%START_TIME(a)b)%",
      "%GRPC_STATUS(NUMBER)%",
      "%FILTER_STATE(a:FIELD:x):5%",
      "%METADATA(ROUTE:a:b)%",
      "%PROTOCOL()%",
    ])
      expect(formatFault(format, true), format).to.equal(undefined);
  });

  const rows: readonly (readonly [string, string])[] = [
    ["took 100% ok", "has a % at character 9 that begins no command"],
    ["50%", "has a % at character 3 that begins no command"],
    ["a%%%", "has a % at character 4"],
    ["100%% %REQ(:METHOD", 'has a % at character 7 that begins no command of Envoy ("%REQ(:METHOD")'],
    ["%BOGUS%", 'has "%BOGUS%" at character 1, which is no command of Envoy; a % itself is written %%'],
    ["%REQ%", "must be like %REQ(x-name?x-other)%"],
    ["%REQ(a?b?c)%", "must be like %REQ"],
    ["%REQ(a b)%", "must be like %REQ"],
    ["%PROTOCOL(x)%", "takes no argument"],
    ["%START_TIME(a):5%", "takes no length"],
    ["%START_TIME(%n)%", "must be like %START_TIME("],
    ["%REQ(a):9999999999%", "at most 9 digits"],
    ["%CEL(1)%", "is not taken: what stands in it cannot be checked"],
    ["%DYNAMIC_METADATA()%", "must be like"],
  ];
  for (const [format, fault] of rows)
    it(`say what is wrong with ${format}`, () => {
      expect(formatFault(format, true)).to.include(fault);
    });

  it("know REQ_WITHOUT_QUERY in access logs alone", () => {
    const format = "%REQ_WITHOUT_QUERY(:PATH)%";
    expect(formatFault(format, true)).to.equal(undefined);
    expect(formatFault(format, false)).to.include("is for access logs only");
    expect(formatCommands(true).length).to.equal(formatCommands(false).length + 1);
  });

  it("are read in time that grows with the text alone", () => {
    expect(formatFault("%A(".repeat(5_000), true)).to.include("character 1 ");
    expect(formatFault("%PROTOCOL%".repeat(1_600), true)).to.equal(undefined);
  });
});

describe("a Telemetry's formats", () => {
  const log = (accessLog: object): readonly string[] => told("Telemetry", { accessLog });
  const openTelemetry = { extensionService: { name: "o", namespace: "n" } };

  it("are refused with the field and the place", () => {
    expect(log({ format: "%BOGUS%" })).to.deep.equal([
      'spec.accessLog.format has "%BOGUS%" at character 1, which is no command of Envoy; a % itself is written %%',
    ]);
    expect(log({ format: '{"a":{"b":["%PROTOCOL%","5%"]}}' })).to.deep.equal([
      'spec.accessLog.format under "a.b.1" has a % at character 2 that begins no command of Envoy ("%"); a % itself is written %%',
    ]);
    expect(log({ openTelemetry: { ...openTelemetry, attributes: { share: "50%" } } })[0]).to.include(
      "spec.accessLog.openTelemetry.attributes.share has a % at character 3",
    );
  });

  it("may have any names in JSON, unless the text is a record's body as well", () => {
    const format = '{"5%":"%PROTOCOL%", "n": 1, "t": true, "l": [null]}';
    expect(log({ format })).to.deep.equal([]);
    expect(log({ format, openTelemetry })[0]).to.include("spec.accessLog.format has a % at character 4");
  });

  it("are no deeper than Envoy reads", () => {
    const nested = (depth: number): string => `${'{"a":'.repeat(depth)}"x"${"}".repeat(depth)}`;
    expect(log({ format: nested(16) })).to.deep.equal([]);
    expect(log({ format: nested(17) })[0]).to.include("at most 16 objects and lists");
    expect(log({ format: nested(2_000) })[0]).to.include("at most 16 objects and lists");
  });
});

describe("answers and descriptors of limits", () => {
  it("have headers that Envoy adds", () => {
    expect(header("x-a", "50%%\tof %PROTOCOL%")).to.deep.equal([]);
    expect(header("x-a", "50%")[0]).to.match(/^spec[^ ]+\[0\]\.value has a % at character 3 .*written %%$/);
    expect(header("x-a", "a\nb")).to.deep.equal([`${HEADER}.value must have no control characters`]);
    for (const name of [":x", "host", "Host"])
      expect(header(name, "a")).to.deep.equal([
        `${HEADER}.name must not be host or begin with a colon; it is "${name}"`,
      ]);
    const many = (count: number): readonly string[] =>
      local({ responseHeadersToAdd: Array.from({ length: count }, () => ({ name: "x", value: "" })) });
    expect(many(10)).to.deep.equal([]);
    expect(many(11)[0]).to.include("must have at most 10 items; it has 11");
  });

  it("have exactly those error codes that Envoy knows", () => {
    const taken = Array.from({ length: 700 }, (_, code) => code).filter(
      code => local({ responseStatusCode: code }).length === 0,
    );
    const known = Object.values(StatusCode)
      .map(Number)
      .filter(code => code >= 400);
    expect(taken).to.deep.equal(known);
    expect(local({ responseStatusCode: 418 })).to.deep.equal([
      "spec.rateLimit.local.http.responseStatusCode must be a code that Envoy knows, like 429 or 503; it is 418",
    ]);
    const global = { rateLimitService: { host: "rl", port: 1 }, domain: "d", responseStatusCode: 450 };
    expect(
      told("UpstreamTrafficSetting", { host: HOST, rateLimit: { global: { http: global } } })[0],
    ).to.include("global.http.responseStatusCode must be a code that Envoy knows");
  });

  it("have descriptors of connections whose values Envoy takes", () => {
    const tcp = (key: string, value: string): readonly string[] => {
      const service = { rateLimitService: { host: "rl", port: 1 }, domain: "d" };
      const global = { tcp: { ...service, descriptors: [{ entries: [{ key, value }] }] } };
      return told("UpstreamTrafficSetting", { host: HOST, rateLimit: { global } });
    };
    expect(tcp("50%", "a%%b")).to.deep.equal([]);
    expect(tcp("a", "a%b")[0]).to.include("descriptors[0].entries[0].value has a % at character 2");
  });
});
