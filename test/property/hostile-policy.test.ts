import { expect } from "chai";
import fc from "fast-check";
import { encodeLeaf } from "../../src/envoy/encode";
import { validate } from "../support/envoy";
import { hostileObject } from "../support/hostile-objects";
import type { TestObject } from "../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../support/objects";
import type { Connection, World } from "../support/world";
import { createWorld, printSnapshot } from "../support/world";
import { resourcesOf, type EncodedResource } from "../../src/xds/resource";

const RUNS = process.env["OSM_FULL"] === "1" ? 10_000 : 1_000;
/** Objects that are stored before everything is looked at. */
const BATCH = 100;

const APPS = ["cart", "bookstore", "bookstore-v1", "bookstore-v2"] as const;
const ports = [{ name: "http", port: 8080 }];

/** A Service with one meshed pod behind it. */
function served(
  of: string,
  name: string,
  index: number,
): { readonly pod: TestObject; readonly all: TestObject[] } {
  const address = `10.1.${of.length}.${index + 1}`;
  const one = pod({
    namespace: of,
    name,
    uid: `${of}-${name}`,
    ips: [address],
    serviceAccount: name,
    labels: { app: name },
  });
  const endpoints = [{ address, pod: name, uid: `${of}-${name}`, ready: true }];
  return {
    pod: one,
    all: [
      one,
      service({ namespace: of, name, ports: [{ name: "http", port: 8080, targetPort: 8080 }] }),
      slice({ namespace: of, service: name, name: `${name}-1`, ports, endpoints }),
    ],
  };
}

const shop = APPS.map((name, index) => served("shop", name, index));
const bank = served("bank", "vault", 0);

function resources(connection: Connection): readonly EncodedResource[] {
  return [...connection.latest().values()].flatMap(set => [...resourcesOf(set)]);
}

/** What belongs to the namespace that nobody's policies speak of. */
function ofBank(connection: Connection): readonly string[] {
  return printSnapshot(connection.latest())
    .split("\n")
    .filter(line => /\|(inbound|bank|outbound\|bank|[^|]*\|?bank)/.test(line));
}

describe("hostile policies in a mesh that denies", function () {
  this.timeout(600_000);

  it(`${RUNS} random objects break nothing: no error of ours, Envoy takes everything, others' bytes stay`, async () => {
    const world: World = createWorld(encodeLeaf);
    world.feed(
      ...["shop", "buyers", "ingress", "bank"].map(name => namespace(name)),
      meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false, enableEgress: false } }),
      ...[...shop, bank].flatMap(({ all }) => all),
    );
    const proxies = [...shop.map(({ pod: proxy }) => proxy), bank.pod].map(proxy => world.connect(proxy));
    const vault = proxies.at(-1);
    if (vault === undefined) throw new Error("no proxy");
    const before = ofBank(vault);
    expect(before).to.not.be.empty;
    const objects = fc.sample(hostileObject(3), RUNS) as unknown as readonly TestObject[];
    let findings = 0;
    for (let start = 0; start < objects.length; start += BATCH) {
      world.feed(...objects.slice(start, start + BATCH));
      expect(world.errors).to.deep.equal([]);
      expect(ofBank(vault)).to.deep.equal(before);
      findings += world.engine.diagnostics().size;
      const verdict = await validate(proxies.flatMap(resources).filter(first()));
      expect(verdict.ok, verdict.output.slice(-1_000)).to.equal(true);
    }
    expect(findings).to.be.greaterThan(0);
  });
});

/** Lets every resource pass once: shared ones are the same for all proxies. */
function first(): (resource: EncodedResource) => boolean {
  const seen = new Set<string>();
  return ({ typeUrl, name, version }) => {
    const key = `${typeUrl}|${name}|${version}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  };
}
