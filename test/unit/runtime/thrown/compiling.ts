/** Places in the compiler: encoders by kind of leaf, what is computed of one Service, those who listen to the engine. */
import { expect } from "chai";
import { createCatalog } from "../../../../src/catalog/index";
import { nodeGroupKey, type NodeGroup } from "../../../../src/catalog/node-groups";
import { createInputs } from "../../../../src/catalog/inputs";
import { createGraph, type Family } from "../../../../src/graph/graph";
import type { Diagnostic } from "../../../../src/model/diagnostic";
import { createPolicy, shownKey, type Policy, type Shown } from "../../../../src/policy/policy";
import type { Leaf } from "../../../../src/policy/types";
import { judgeInWorld } from "../../../../src/runtime/control-plane/admission";
import { createFlushTimer } from "../../../../src/runtime/engine/flush-timer";
import { createInputWriter } from "../../../../src/runtime/engine/inputs";
import { Patience } from "../../../../src/runtime/engine/patience";
import { observe } from "../../../../src/runtime/engine/observed";
import { createSubscribers } from "../../../../src/runtime/engine/subscribers";
import { createSnapshots } from "../../../../src/runtime/engine/snapshots";
import type { Log } from "../../../../src/runtime/ports";
import { resourcesOf, type Snapshot } from "../../../../src/xds/resource";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../../../support/objects";
import { TurnedClock } from "../../../support/turned-clock";
import { createWorld, encodeAsJson, proxyOf, upsert } from "../../../support/world";
import { throws, type Place } from "./place";

const http = { name: "http", port: 80, targetPort: 8080 };
const bytes = { name: "tcp-bytes", port: 90, targetPort: 9090 };
const shop = (name: string, ports: readonly (typeof http)[]): readonly TestObject[] => [
  service({ namespace: "shop", name, ports }),
  pod({
    namespace: "shop",
    name: `${name}-1`,
    ips: [name === "cart" ? "10.0.0.1" : "10.0.0.2"],
    labels: { app: name },
  }),
  slice({
    namespace: "shop",
    service: name,
    ports: ports.map(port => ({ name: port.name, port: port.targetPort })),
    endpoints: [{ address: name === "cart" ? "10.0.0.1" : "10.0.0.2", pod: `${name}-1` }],
  }),
];
const client = pod({ namespace: "web", name: "buyer", ips: ["10.1.0.1"], serviceAccount: "buyer" });
const permissive = meshConfig({
  traffic: {
    enablePermissiveTrafficPolicyMode: true,
    enableEgress: true,
    podAddresses: "Mesh",
    inboundExternalAuthorization: { enable: true, address: "authz.tools", port: 9000 },
  },
});
const mesh: readonly TestObject[] = [
  namespace("shop"),
  namespace("web"),
  permissive,
  ...shop("cart", [http, bytes]),
  ...shop("bank", [http]),
  client,
];

/** Kinds of leaves of which this mesh is made. */
function kindsOfLeaves(): readonly Leaf["kind"][] {
  const kinds = new Set<Leaf["kind"]>();
  const world = createWorld(leaf => {
    kinds.add(leaf.kind);
    return encodeAsJson(leaf);
  });
  world.feed(...mesh);
  world.connect(client);
  world.connect(mesh[4] ?? client);
  return [...kinds].sort();
}

const ENCODERS: readonly Place[] = kindsOfLeaves().map(kind => ({
  name: `encoder of ${kind}`,
  told: '"resource":"',
  look: log => {
    const encoded = new Set<string>();
    const encode = (leaf: Leaf): ReturnType<typeof encodeAsJson> => {
      if (leaf.kind === kind) throws();
      encoded.add(leaf.kind);
      return encodeAsJson(leaf);
    };
    const world = createWorld(encode, { log });
    world.feed(...mesh);
    const connection = world.connect(client);
    world.connect(mesh[4] ?? client);
    expect([...encoded, kind].sort()).to.deep.equal(kindsOfLeaves());
    const before = connection.snapshots.length;
    world.feed(...shop("late", [http]));
    expect(connection.snapshots.length).to.be.above(before);
  },
}));

type Part = keyof Policy["ofService"];

/** Snapshots over the real policy, in which one family throws for one Service or pod when `state.armed`. */
function broken(log: Log, part: Part | "pod" | "own") {
  const graph = createGraph();
  const inputs = createInputs(graph, {});
  const catalog = createCatalog(inputs);
  const policy = createPolicy(inputs, catalog);
  const writer = createInputWriter(inputs);
  const state = { armed: false };
  const isBad = ({ key }: Shown): boolean => key === "shop/cart" || key === "shop/cart-1";
  const armed = graph.input("armed", 0);
  const guard = (family: Family<Shown, readonly Leaf[]>): Family<Shown, readonly Leaf[]> =>
    graph.family({
      label: "breaks",
      keyOf: shownKey,
      compute: (read, shown) => {
        read(armed);
        return state.armed && isBad(shown) ? throws() : read(family(shown));
      },
    });
  const ofService = part === "pod" || part === "own" ? {} : { [part]: guard(policy.ofService[part]) };
  const parts: Policy = {
    ...policy,
    ...(part === "pod" ? { ofPod: guard(policy.ofPod) } : {}),
    ofService: { ...policy.ofService, ...ofService },
  };
  const snapshot = createSnapshots(graph, parts, encodeAsJson, log);
  for (const object of mesh) writer.apply(upsert(object));
  const print = (): string => {
    const group = graph.peek(catalog.nodeGroups.group("web/buyer"));
    if (group === undefined) return "";
    const sets = [...graph.peek(snapshot(group)).values()];
    return sets
      .flatMap(set => [...resourcesOf(set)].map(({ name, version }) => `${name} ${version}`))
      .join("\n");
  };
  const watch = graph.watch(
    graph.derive("all", read => {
      const group = read(catalog.nodeGroups.group("web/buyer"));
      return group && read(snapshot(group));
    }),
    () => undefined,
  );
  const read = (): string => {
    watch.read();
    return print();
  };
  const arm = (): void => {
    state.armed = true;
    armed.set(1);
  };
  return {
    read,
    arm,
    feed: (objects: readonly TestObject[]) => {
      for (const object of objects) writer.apply(upsert(object));
    },
  };
}

const FAMILIES: readonly Place[] = (["cluster", "endpoint", "route", "listener", "pod"] as const).map(
  part => ({
    name: `what is compiled of one ${part === "pod" ? "pod" : `Service (${part})`}`,
    told: "not compiled, it stays as it was",
    look: log => {
      const { read, arm, feed } = broken(log, part);
      const before = read();
      expect(before).to.contain("shop/cart");
      arm();
      feed(shop("late", [http]));
      const after = read();
      expect(after, "others come").to.contain("shop/late");
      for (const line of before.split("\n").filter(one => one.includes("cart")))
        expect(after).to.contain(line);
    },
  }),
);

const ENGINE: readonly Place[] = [
  {
    name: "what is looked at once in a flush",
    told: '"cell":"looked at"',
    look: log => {
      const graph = createGraph();
      const armed = graph.input("armed", 1);
      const cell = graph.derive("looked at", read => (read(armed) === 2 ? throws() : read(armed)));
      const observed = observe(graph, cell, { initial: 0, log });
      const seen: number[] = [];
      for (const value of [1, 2, 3]) {
        armed.set(value);
        observed.look((_before, now) => seen.push(now));
      }
      expect(seen).to.deep.equal([1, 3]);
    },
  },
  {
    name: "what a proxy that has not come yet will be given",
    told: "configuration not computed",
    look: log => {
      const graph = createGraph();
      const inputs = createInputs(graph, {});
      const { group } = createCatalog(inputs).nodeGroups;
      const writer = createInputWriter(inputs);
      for (const object of mesh) writer.apply(upsert(object));
      const computed: string[] = [];
      const snapshot = graph.family<NodeGroup, Snapshot>({
        label: "snapshot",
        keyOf: nodeGroupKey,
        compute: (_read, { identity }) => {
          if (identity.serviceAccount === "buyer") throws();
          computed.push(identity.serviceAccount);
          return new Map();
        },
      });
      const clock = new TurnedClock();
      const subscribers = createSubscribers({ inputs, group, snapshot, log, clock, holdMs: 0 });
      const seller = mesh.find(({ kind }) => kind === "Pod") ?? client;
      for (const target of [client, seller]) subscribers.warm(proxyOf(target));
      expect(computed).to.deep.equal([proxyOf(seller).identity.serviceAccount]);
    },
  },
  {
    name: "subscriber of snapshots",
    told: '"pod":"buyer"',
    look: log => {
      const world = createWorld(encodeAsJson, { log });
      world.feed(...mesh);
      world.engine.subscribe(proxyOf(client), throws);
      const other = world.connect(client);
      world.feed(...shop("late", [http]));
      expect(other.snapshots).to.have.length(2);
    },
  },
  ...(
    [
      ["mesh configuration", "onMeshConfig"],
      ["diagnostics", "onDiagnostics"],
      ["generations", "onCompiled"],
      ["expected proxies", "onExpectedProxies"],
    ] as const
  ).map(
    ([what, subscribe]): Place => ({
      name: `listener of the engine: ${what}`,
      told: what,
      look: log => {
        const world = createWorld(encodeAsJson, { log });
        let told = 0;
        world.engine[subscribe](throws);
        world.engine[subscribe](() => (told += 1));
        const wrong = {
          ...service({ namespace: "shop", name: "odd", ports: [http] }),
          spec: { ports: [{}] },
        };
        const split = {
          kind: "TrafficSplit",
          metadata: { name: "s", namespace: "shop", generation: 1 },
          spec: { service: "none", backends: [{ service: "none", weight: 1 }] },
        } as unknown as TestObject;
        const event = upsert(split);
        world.feed(...mesh, wrong as TestObject);
        world.engine.apply({
          ...event,
          compiled: { ...(event as { compiled: object }).compiled, generation: 1 },
        } as typeof event);
        world.engine.flush();
        const connection = world.connect(client);
        expect(told).to.be.above(0);
        expect(connection.snapshots).to.have.length(1);
      },
    }),
  ),
  {
    name: "listener of pods that are gone",
    told: '"pod":"web/buyer"',
    look: log => {
      const world = createWorld(encodeAsJson, { log });
      world.feed(...mesh);
      const gone: string[] = [];
      world.engine.onGone(throws);
      world.engine.onGone(uid => gone.push(uid));
      world.drop(client);
      expect(gone).to.have.length(1);
      expect(world.engine.expectedProxies().size).to.equal(2);
    },
  },
  {
    name: "the flush itself",
    told: "contained: flush",
    look: log => {
      let flushes = 0;
      const flush = (): void => {
        flushes += 1;
        if (flushes === 1) throws();
      };
      const soon: (() => void)[] = [];
      const timer = createFlushTimer({ clock: new TurnedClock(), soon: run => soon.push(run), flush, log });
      for (let turn = 0; turn < 2; turn += 1) {
        timer.request();
        for (const run of soon.splice(0)) run();
      }
      expect(flushes).to.equal(2);
    },
  },
  {
    name: "a Service that has waited for its first slice",
    told: '"object":"shop/cart"',
    look: log => {
      const taken: string[] = [];
      const clock = new TurnedClock();
      const take = (event: { readonly kind: string; readonly type: string; readonly key?: string }): void => {
        if (event.key === "shop/cart") throws();
        taken.push(event.key ?? "");
      };
      const inputs = createInputs(createGraph(), {});
      const patience = new Patience(take, { clock, log, inputs, patienceMs: 100 });
      for (const name of ["cart", "bank"])
        patience.apply(upsert(service({ namespace: "shop", name, ports: [http] })));
      clock.pass(200);
      expect(taken).to.deep.equal(["shop/bank"]);
    },
  },
  {
    name: "what is foreseen of an object at its admission",
    told: '"kind":"Retry"',
    look: log => {
      const judge = judgeInWorld({ foresee: (): readonly Diagnostic[] => throws() }, log);
      const judged = judge("Retry", {
        metadata: { name: "r", namespace: "shop" },
        spec: {
          source: { kind: "ServiceAccount", name: "a", namespace: "shop" },
          destinations: [{ kind: "Service", name: "b", namespace: "shop" }],
          retryPolicy: { retryOn: "5xx" },
        },
      });
      expect(judged.faults).to.deep.equal([]);
    },
  },
];

/** All of them. */
export const COMPILING: readonly Place[] = [...ENCODERS, ...FAMILIES, ...ENGINE];
