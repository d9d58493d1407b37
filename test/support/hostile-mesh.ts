/** A small mesh for policies that mean it ill, and what must hold whatever they say. */
import { validate } from "./envoy";
import type { TestObject } from "./objects";
import { meshConfig, namespace, pod, service, slice } from "./objects";
import { printSnapshot, type Connection, type World } from "./world";
import { resourcesOf, type EncodedResource } from "../../src/xds/resource";

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

/** A mesh that denies, of which namespace `shop` is full of policies and nobody's policies speak of `bank`. */
export interface HostileMesh {
  /** Envoy's complaint about anything that any proxy holds; undefined for none. */
  complaint(): Promise<string | undefined>;
  /** What the proxy of `bank` holds of its own. */
  ofBank(): readonly string[];
}

/** Feeds the mesh to a world and connects its proxies. */
export function hostileMesh(world: World): HostileMesh {
  world.feed(
    ...["shop", "buyers", "ingress", "bank"].map(name => namespace(name)),
    meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false, enableEgress: false } }),
    ...[...shop, bank].flatMap(({ all }) => all),
  );
  const vault = world.connect(bank.pod);
  const proxies = [...shop.map(({ pod: proxy }) => world.connect(proxy)), vault];
  return {
    complaint: async () => {
      const { ok, output } = await validate(proxies.flatMap(resources).filter(first()));
      return ok ? undefined : output.slice(-1_000);
    },
    ofBank: () => ofBank(vault),
  };
}
