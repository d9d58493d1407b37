import { expect } from "chai";
import fc from "fast-check";
import { encodeLeaf } from "../../src/envoy/encode";
import { resourcesOf } from "../../src/xds/resource";
import { validate } from "../support/envoy";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { account, egress, ingressBackend } from "../support/terms-objects";
import { createWorld } from "../support/world";

const scale = Number(process.env["OSM_TEST_RUNS"] ?? "1");

/** Few ranges in many spellings, within each other and apart. */
const SPELLINGS = [
  ...["10.0.9.0/24", "10.0.9.7/24", "10.0.0.0/8", "10.9.9.9/8", "0.0.0.0/0", "1.2.3.4/0", "0.0.0.0/1"],
  ...["fd00::/8", "FD00::/8", "fd00:0:0::/8", "fdff::1/8", "::/0", "abcd::/0", "8000::/1"],
  ...["::ffff:10.0.9.0/120", "::FFFF:a00:907/120", "::ffff:0:0/96", "10.0.9.1/32", "::ffff:10.0.9.1/128"],
];
const someRanges = fc.uniqueArray(fc.constantFrom(...SPELLINGS), { minLength: 1, maxLength: 6 });
const aDate = fc.constantFrom("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");

const anIngressBackend = (name: string): fc.Arbitrary<TestObject> =>
  fc
    .record({
      protocol: fc.constantFrom("http", "https"),
      sniHosts: fc.subarray(["a.com", "A.com", "a.com.", "*.b.com", "*.B.com."]),
      ranges: someRanges,
      created: aDate,
    })
    .map(({ protocol, sniHosts, ranges, created }) => {
      const tls = protocol === "http" ? {} : { tls: { skipClientCertValidation: true, sniHosts } };
      const backends = [{ name: "s", port: { number: 8080, protocol }, ...tls }];
      const sources = ranges.map(range => ({ kind: "IPRange", name: range }));
      return ingressBackend(`a/${name}`, { backends, sources }, created);
    });

const anEgress = (name: string): fc.Arbitrary<TestObject> =>
  fc
    .record({
      hosts: fc.subarray(["a.com", "A.com.", "*.b.com"]),
      ranges: fc.oneof(fc.constant([]), someRanges),
      ports: fc.uniqueArray(fc.constantFrom("http", "https", "tcp"), { minLength: 1 }),
      created: aDate,
    })
    .map(({ hosts, ranges, ports, created }) => {
      const own = { sources: [account("a/sa")], hosts, ipAddresses: ranges };
      return egress(
        `a/${name}`,
        { ...own, ports: ports.map(protocol => ({ number: 443, protocol })) },
        created,
      );
    });

const config = meshConfig({
  traffic: { enableEgress: false, enablePermissiveTrafficPolicyMode: true },
});

describe("address ranges and server names in any spelling", () => {
  it("are taken by the real Envoy, however the objects that name them lie over each other", async () => {
    const proxy = pod({
      namespace: "a",
      name: "p",
      ips: ["10.1.0.1"],
      labels: { app: "x" },
      serviceAccount: "sa",
    });
    const port = { name: "http", port: 80, targetPort: 8080 };
    const given = [
      namespace("a"),
      proxy,
      service({ namespace: "a", name: "s", selector: { app: "x" }, ports: [port] }),
      slice({
        namespace: "a",
        service: "s",
        ports: [{ name: "http", port: 8080 }],
        endpoints: [{ address: "10.1.0.1", pod: "p" }],
      }),
    ];
    const some = (of: (name: string) => fc.Arbitrary<TestObject>): fc.Arbitrary<readonly TestObject[]> =>
      fc.tuple(of("x"), of("y"), of("z"));
    await fc.assert(
      fc.asyncProperty(some(anIngressBackend), some(anEgress), async (ways, outs) => {
        const world = createWorld(encodeLeaf);
        world.feed(config, ...given, ...ways, ...outs);
        const resources = [...world.connect(proxy).latest().values()].flatMap(set => [...resourcesOf(set)]);
        const named = new Set(resources.flatMap(({ origins }) => origins.map(({ kind }) => kind)));
        expect([...named]).to.include.members(["IngressBackend", "Egress"]);
        const verdict = await validate(resources);
        expect(verdict, JSON.stringify(verdict)).to.include({ ok: true });
        expect(world.errors).to.deep.equal([]);
      }),
      { numRuns: Math.ceil(20 * scale), endOnFailure: true },
    );
  }).timeout(120_000 * Math.max(1, scale));
});
