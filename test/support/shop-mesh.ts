/** A small mesh for tests of traffic policy: two callers, a shop of several Services, and what they ask each other. */
import type { Diagnostic } from "../../src/model/diagnostic";
import { objectRefKey } from "../../src/model/object-ref";
import type { Decision, HttpRequest } from "../../src/policy/decide";
import type { Leaf } from "../../src/policy/types";
import type { TestObject } from "./objects";
import { namespace, pod, service, slice } from "./objects";
import type { World } from "./world";
import { createWorld, proxyOf } from "./world";

/** Leaves of one kind. */
export type LeafOf<K extends Leaf["kind"]> = Extract<Leaf, { kind: K }>;

/** Address of a Service of the shop, by its number. */
export const address = (number: number): string => `10.9.0.${number}`;

/** A caller of the namespace `web`. */
export const buyer = pod({ namespace: "web", name: "buyer", ips: ["10.0.1.1"], serviceAccount: "buyer" });
/** Another. */
export const thief = pod({ namespace: "web", name: "thief", ips: ["10.0.1.2"], serviceAccount: "thief" });

/** HTTP at 80 (to 8080), bytes at 81 (to 8081). */
export const PORTS = [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "tcp", port: 81, targetPort: 8081 },
];

/** A Service of the shop with one pod: its address ends with `number`, as that of the pod does. */
export function shopService(
  name: string,
  number: number,
  ports: typeof PORTS = PORTS,
): readonly TestObject[] {
  return [
    service({ namespace: "shop", name, clusterIPs: [address(number)], ports }),
    shopPod(name, number),
    slice({
      namespace: "shop",
      service: name,
      ports: ports.map(port => ({ name: port.name, port: port.targetPort })),
      endpoints: [{ address: `10.0.0.${number}`, pod: `${name}-1` }],
    }),
  ];
}

/** The pod of {@link shopService}. */
export function shopPod(name: string, number: number): TestObject {
  return pod({
    namespace: "shop",
    name: `${name}-1`,
    ips: [`10.0.0.${number}`],
    labels: { app: name },
    serviceAccount: name,
  });
}

/** A mesh under a test's control. */
export class ShopMesh {
  readonly world: World = createWorld();

  constructor(...objects: readonly TestObject[]) {
    this.world.feed(namespace("web"), namespace("shop"), buyer, thief, ...objects);
  }

  /** Leaves of one kind of a pod's proxy. */
  leaves<K extends Leaf["kind"]>(kind: K, of: TestObject): readonly LeafOf<K>[] {
    const leaves = this.world.engine.describe(proxyOf(of).podUid)?.leaves ?? [];
    return leaves.filter((leaf): leaf is LeafOf<K> => leaf.kind === kind);
  }

  /** The leaf of that name. */
  leaf<K extends Leaf["kind"]>(kind: K, name: string, of: TestObject): LeafOf<K> {
    const found = this.leaves(kind, of).find(leaf => leaf.name === name);
    if (found === undefined) throw new Error(`no ${kind} ${name}`);
    return found;
  }

  /** What happens to a GET (or another request) of the Service with that number. */
  get(from: TestObject, number: number, path = "/", more: Partial<HttpRequest> = {}): Decision {
    const http = { method: "GET", path, headers: {}, ...more };
    const found = this.world.engine.explain(proxyOf(from).podUid, {
      address: address(number),
      port: 80,
      http,
    });
    if (found === undefined) throw new Error("no such caller");
    return found;
  }

  /** What happens to a connection to the Service with that number. */
  dial(from: TestObject, number: number, port = 81): Decision {
    const found = this.world.engine.explain(proxyOf(from).podUid, { address: address(number), port });
    if (found === undefined) throw new Error("no such caller");
    return found;
  }

  /** Findings as `Kind/namespace/name code field`, sorted. */
  findings(): readonly string[] {
    const found = [...this.world.engine.diagnostics().values()].flat();
    return found.map(({ subject, code, field }) => {
      const key = objectRefKey({ ...subject, group: "" });
      return `${key} ${code} ${field ?? ""}`;
    });
  }

  /** Findings about one object. */
  told(kind: string, name: string): readonly Diagnostic[] {
    const found = [...this.world.engine.diagnostics().values()].flat();
    return found.filter(({ subject }) => subject.kind === kind && subject.name === name);
  }
}
