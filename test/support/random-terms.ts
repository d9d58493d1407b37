/** Random objects of OSM's policy kinds, for the small world of the incremental property test. */
import fc from "fast-check";
import type { TestObject } from "./objects";
import {
  account,
  egress,
  extensionService,
  ingressBackend,
  retry,
  telemetry,
  upstreamSetting,
} from "./terms-objects";

const aNamespace = fc.constantFrom("a", "b");
const aDate = fc.constantFrom(undefined, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
const aService = fc.constantFrom("s1", "s2", "s3");
const aKey = fc.tuple(aNamespace, fc.constantFrom("o1", "o2")).map(([inNamespace, name]) => ({
  inNamespace,
  key: `${inNamespace}/${name}`,
}));
const anAccount = (inNamespace: string): fc.Arbitrary<Readonly<Record<string, unknown>>> =>
  fc.constantFrom(`${inNamespace}/sa1`, `${inNamespace}/sa2`, "a/sa1").map(account);

/** Go durations as people write them, with parts that no binary fraction has, and the longest that there is. */
export const aDuration: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 9_999 }), fc.constantFrom("", ".1", ".03", ".001", ".28", ".7"), aUnit())
    .map(parts => parts.join("")),
  fc.constantFrom("1.001s", "2.01s", "0.28h", "1h2m3.004s", "2562047h"),
);

function aUnit(): fc.Arbitrary<string> {
  return fc.constantFrom("ms", "s", "m", "h");
}

const anEgress = aKey.chain(({ inNamespace, key }) =>
  fc
    .record({
      source: anAccount(inNamespace),
      hosts: fc.subarray(["h1.example", "h2.example", "*.wild.example"]),
      ipAddresses: fc.subarray(["10.9.0.0/16", "10.9.1.0/24", "fd09::/64"]),
      ports: fc.uniqueArray(
        fc.record({
          number: fc.constantFrom(80, 443, 7000),
          protocol: fc.constantFrom("http", "https", "tcp", "tcp-server-first"),
        }),
        { minLength: 1, maxLength: 3, selector: ({ number, protocol }) => `${number}${protocol}` },
      ),
      matches: fc.subarray([
        { kind: "HTTPRouteGroup", name: "g1" },
        { kind: "UpstreamTrafficSetting", name: "o1" },
      ]),
      created: aDate,
    })
    .map(({ source, created, ...spec }) => egress(key, { sources: [source], ...spec }, created)),
);

const anIngressBackend = aKey.chain(({ key }) =>
  fc
    .record({
      name: aService,
      number: fc.constantFrom(8080, 8081),
      protocol: fc.constantFrom("http", "https"),
      skip: fc.boolean(),
      sources: fc.subarray(
        [
          { kind: "Service", name: "s3", namespace: "b" },
          { kind: "IPRange", name: "10.1.0.0/24" },
          { kind: "AuthenticatedPrincipal", name: "gateway.example" },
        ],
        { minLength: 1 },
      ),
      matches: fc.constantFrom([], [], [{ kind: "HTTPRouteGroup", name: "g1" }]),
      created: aDate,
    })
    .map(({ name, number, protocol, skip, sources, matches, created }) => {
      const tls = protocol === "https" ? { tls: { skipClientCertValidation: skip } } : {};
      return ingressBackend(
        key,
        { backends: [{ name, port: { number, protocol }, ...tls }], sources, matches },
        created,
      );
    }),
);

const aRetry = aKey.chain(({ inNamespace, key }) =>
  fc
    .record({
      source: anAccount(inNamespace),
      destinations: fc.uniqueArray(aService, { minLength: 1, maxLength: 2 }),
      to: aNamespace,
      numRetries: fc.constantFrom(1, 5),
      perTryTimeout: aDuration,
      retryBackoffBaseInterval: aDuration,
      created: aDate,
    })
    .map(({ source, destinations, to, created, ...terms }) => {
      const services = destinations.map(name => ({ kind: "Service", name, namespace: to }));
      return retry(
        key,
        { source, destinations: services, retryPolicy: { retryOn: "5xx", ...terms } },
        created,
      );
    }),
);

const aSetting = aKey.chain(({ key }) =>
  fc
    .record(
      {
        host: fc.constantFrom("s1", "s2", "h1.example"),
        timeout: aDuration,
        connectionSettings: aDuration.map(connectTimeout => ({ tcp: { maxConnections: 1, connectTimeout } })),
        outlierDetection: fc
          .tuple(aDuration, aDuration)
          .map(([interval, baseEjectionTime]) => ({ interval, baseEjectionTime })),
        loadBalancing: fc.constantFrom(
          { policy: "Random" },
          { policy: "SourceAddress" },
          { policy: "HeaderHash", header: "x-user" },
        ),
        rateLimit: fc.constant({
          local: {
            tcp: { connections: 1, unit: "minute" },
            http: { requests: 2, unit: "minute" },
          },
          global: {
            http: {
              rateLimitService: { host: "limits.example", port: 8081 },
              domain: "d",
              descriptors: [{ entries: [{ genericKey: { value: "v" } }] }],
            },
          },
        }),
        httpRoutes: fc.tuple(aDuration, aDuration).map(([timeout, delay]) => [
          { path: "/a", timeout, faults: { abort: { httpStatus: 503 } } },
          { path: "/[bc]", rateLimit: { local: { requests: 1, unit: "second" } } },
          { path: "/d", faults: { delay: { duration: delay } } },
        ]),
      },
      { requiredKeys: ["host"] },
    )
    .chain(spec => aDate.map(created => upstreamSetting(key, spec, created))),
);

const aTelemetry = fc
  .record({
    key: fc.constantFrom("a/o1", "a/o2", "b/o1", "osm-system/o1"),
    selector: fc.constantFrom({}, {}, { app: "x" }, { app: "y" }),
    accessLog: fc.constantFrom(
      undefined,
      { format: "%PROTOCOL%" },
      { openTelemetry: { extensionService: { namespace: "b", name: "x1" } } },
    ),
    created: aDate,
  })
  .map(({ key, selector, accessLog, created }) =>
    telemetry(key, accessLog === undefined ? { selector } : { selector, accessLog }, created),
  );

const anExtension = fc
  .constantFrom("h2c", "http1")
  .map(protocol => extensionService("b/x1", { host: "otel.example", port: 4317, protocol }));

/** An object of one of these kinds. */
export const aTerm: fc.Arbitrary<TestObject> = fc.oneof(
  anEgress,
  anIngressBackend,
  aRetry,
  aSetting,
  aTelemetry,
  anExtension,
);
