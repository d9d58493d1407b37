import { expect } from "chai";
import fc from "fast-check";
import { encodeLeaf } from "../../src/envoy/encode";
import { resourcesOf } from "../../src/xds/resource";
import { validate } from "../support/envoy";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { aTerm } from "../support/random-terms";
import { routeGroup } from "../support/traffic-objects";
import { createWorld } from "../support/world";

const scale = Number(process.env["OSM_TEST_RUNS"] ?? "1");

const PORTS = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "tcp", port: 81, targetPort: 8081 },
];

/** Three Services of a namespace, all before one pod. */
function mesh(
  of: string,
  ip: string,
): { readonly proxy: TestObject; readonly objects: readonly TestObject[] } {
  const proxy = pod({ namespace: of, name: "p", ips: [ip], labels: { app: "x" }, serviceAccount: "sa1" });
  const services = ["s1", "s2", "s3"].flatMap(name => [
    service({ namespace: of, name, selector: { app: "x" }, ports: PORTS }),
    slice({
      namespace: of,
      service: name,
      ports: PORTS.map(port => ({ name: port.name, port: port.targetPort })),
      endpoints: [{ address: ip, pod: "p" }],
    }),
  ]);
  const group = routeGroup(of, "g1", [{ name: "m", pathRegex: "/[ab]", methods: ["GET"] }]);
  return { proxy, objects: [namespace(of), proxy, ...services, group] };
}

const config = meshConfig({
  traffic: { enableEgress: false, enablePermissiveTrafficPolicyMode: true },
  featureFlags: { enableRetryPolicy: true },
});

describe("terms of traffic", () => {
  it("are taken by the real Envoy, whatever they are together", async () => {
    const keyOf = ({ kind, metadata }: TestObject): string =>
      `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
    const someTerms = fc.uniqueArray(aTerm, { minLength: 6, maxLength: 16, selector: keyOf });
    let shaped = 0;
    await fc.assert(
      fc.asyncProperty(someTerms, async terms => {
        const [a, b] = [mesh("a", "10.1.0.1"), mesh("b", "10.1.0.2")];
        const world = createWorld(encodeLeaf);
        world.feed(config, ...a.objects, ...b.objects, ...terms);
        for (const { proxy } of [a, b]) {
          const resources = [...world.connect(proxy).latest().values()].flatMap(set => [...resourcesOf(set)]);
          shaped += resources.filter(({ origins }) => origins.some(({ kind }) => kind !== "Service")).length;
          const verdict = await validate(resources);
          expect(verdict, JSON.stringify(verdict)).to.include({ ok: true });
        }
        expect(world.errors).to.deep.equal([]);
      }),
      { numRuns: Math.ceil(12 * scale), endOnFailure: true },
    );
    expect(shaped).to.be.greaterThan(0);
  }).timeout(120_000 * Math.max(1, scale));
});
