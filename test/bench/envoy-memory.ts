/** What a sidecar's Envoy holds in memory by the number of Services that it is told of. */
import path from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { encodeLeaf } from "../../src/envoy/encode";
import { bootstrap } from "../../src/injector/bootstrap";
import { resourcesOf } from "../../src/xds/resource";
import { startAdsPipe } from "../support/ads-pipe";
import { createNetwork } from "../support/netns";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { createWorkshop, startSidecar } from "../support/sidecar";
import { waitFor } from "../support/wait";
import { createWorld } from "../support/world";
import { table } from "./report";

const SIZES = [0, 10, 100, 1_000];
const PODS = 5;

/** How injected sidecars keep their metrics. */
function statistics(): JsonObject {
  const input = { adsAddress: "127.0.0.1:15128", routes: [], metrics: false, ipv6: false };
  const { deferred_stat_options: options } = bootstrap(input) as JsonObject;
  return options === undefined ? {} : { deferred_stat_options: options };
}

function address(index: number): string {
  return `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

/** That many Services with their pods, and the pod whose sidecar is looked at. */
function objectsOf(services: number): readonly TestObject[] {
  const own = pod({ namespace: "own", name: "own", ips: ["10.99.0.10"], serviceAccount: "own" });
  const objects = [
    meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }),
    namespace("own"),
    namespace("many"),
    own,
  ];
  for (let s = 0; s < services; s += 1) {
    const pods = Array.from({ length: PODS }, (_, p) => ({
      name: `s${s}-${p}`,
      ip: address(s * PODS + p + 1),
    }));
    for (const { name, ip } of pods)
      objects.push(
        pod({ namespace: "many", name, ips: [ip], labels: { app: `s${s}` }, serviceAccount: `s${s}` }),
      );
    objects.push(
      service({
        namespace: "many",
        name: `s${s}`,
        clusterIPs: [`10.120.${s >> 8}.${s & 255}`],
        ports: [{ name: "http", port: 80, targetPort: 8080 }],
      }),
      slice({
        namespace: "many",
        service: `s${s}`,
        ports: [{ name: "http", port: 8080 }],
        endpoints: pods.map(({ name, ip }) => ({ address: ip, pod: name })),
      }),
    );
  }
  return objects;
}

/** Starts an Envoy for each size and prints what it has allocated, of how many resources and bytes. */
export async function benchEnvoyMemory(): Promise<void> {
  const workshop = await createWorkshop();
  const socket = path.join(workshop.folder, "ads.sock");
  const ads = await startAdsPipe(socket);
  const network = await createNetwork(["own"]);
  const rows: string[][] = [];
  try {
    for (const services of SIZES) {
      const world = createWorld(encodeLeaf);
      const objects = objectsOf(services);
      world.feed(...objects);
      const own = objects.find(({ metadata }) => metadata.name === "own" && metadata.namespace === "own");
      if (own === undefined) throw new Error("no pod");
      const resources = [...world.connect(own).latest().values()].flatMap(set => [...resourcesOf(set)]);
      ads.set("own", resources);
      const sidecar = await startSidecar(network.pod("own"), workshop, socket, { more: statistics() });
      await waitFor(`${services} Services`, () => ads.settled("own") || ads.nacks.length > 0, 120_000);
      const bytes = resources.reduce((sum, { fragment }) => sum + fragment.length, 0);
      const [allocated, heap] = await Promise.all(
        ["server.memory_allocated", "server.memory_physical_size"].map(name => sidecar.stat(name)),
      );
      const mib = (value = 0): string => (value / 1048576).toFixed(1);
      rows.push([`${services}`, `${resources.length}`, mib(bytes), mib(allocated), mib(heap)]);
      await sidecar.stop();
    }
  } finally {
    await network.close();
    ads.close();
    workshop.remove();
  }
  process.stdout.write(
    table(["visible Services", "resources", "configuration MiB", "allocated MiB", "physical MiB"], rows),
  );
}
