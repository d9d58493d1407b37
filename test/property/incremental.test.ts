import { expect } from "chai";
import fc from "fast-check";
import type { IngestKind } from "../../src/ingest/index";
import { ingestMeshConfig } from "../../src/ingest/mesh-config";
import { encodeLeaf } from "../../src/envoy/encode";
import type { Watch } from "../../src/graph/graph";
import { partOf } from "../../src/policy/policy";
import { ANNOTATION_INBOUND_PLAINTEXT, ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import type { Backend, EgressPort, Handling, InboundPort, Leaf } from "../../src/policy/types";
import type { Engine } from "../../src/runtime/engine";
import { describedShapers } from "../support/described-shapers";
import { externalWorkload } from "../support/external-workload";
import type { TestObject } from "../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../support/objects";
import { aTerm } from "../support/random-terms";
import type { RuleSpec, SubjectSpec } from "../support/traffic-objects";
import {
  identityBinding,
  routeGroup,
  tcpRoute,
  trafficSplit,
  trafficTarget,
} from "../support/traffic-objects";
import type { Connection, World } from "../support/world";
import { createWorld, encodeAsJson, KINDS, printSnapshot, relist, remove, upsert } from "../support/world";

const scale = Number(process.env["OSM_TEST_RUNS"] ?? (process.env["OSM_FULL"] === "1" ? "5" : "1"));

const NAMESPACES = ["a", "b"] as const;
const APPS = ["x", "y", "z"] as const;

const aNamespace = fc
  .record({
    name: fc.constantFrom(...NAMESPACES),
    meshed: fc.constantFrom(true, true, true, false),
    permissive: fc.constantFrom(undefined, undefined, "enabled", "disabled"),
    plaintext: fc.constantFrom(undefined, undefined, "enabled"),
  })
  .map(({ name, meshed, permissive, plaintext }): TestObject => {
    const plain = namespace(name, { meshed });
    const annotations = { [ANNOTATION_PERMISSIVE]: permissive, [ANNOTATION_INBOUND_PLAINTEXT]: plaintext };
    return { ...plain, metadata: { ...plain.metadata, annotations } as TestObject["metadata"] };
  });

const aPort = fc.record({
  port: fc.constantFrom(80, 81, 15010),
  targetPort: fc.constantFrom<number | string>(8080, 8081, "web", 15003),
  name: fc.constantFrom("http-a", "tcp-b", "grpc", ""),
  protocol: fc.constantFrom("TCP", "TCP", "TCP", "UDP"),
  appProtocol: fc.option(fc.constantFrom("http", "tcp", "grpc", "mystery", "kubernetes.io/wss"), {
    nil: undefined,
  }),
});

const aService = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom("s1", "s2", "s3"),
    selector: fc.constantFrom(null, { app: "x" }, { app: "y" }, { app: "x", tier: "1" }),
    clusterIPs: fc.constantFrom(["10.0.0.1"], ["10.0.0.2"], ["10.0.0.1", "fd00::1"], ["None"]),
    type: fc.constantFrom("ClusterIP", "ClusterIP", "ExternalName"),
    ports: fc.array(aPort, { maxLength: 3 }),
  })
  .map(({ ports, ...rest }) =>
    service({
      ...rest,
      ports: ports.map(({ appProtocol, ...port }) =>
        appProtocol === undefined ? port : { ...port, appProtocol },
      ),
    }),
  );

const PODS = ["p1", "p2", "p3"] as const;

const aPod = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom(...PODS),
    uid: fc.constantFrom("u1", "u2", "u3", "u4"),
    app: fc.constantFrom(...APPS),
    ips: fc.constantFrom([], ["10.1.0.1"], ["10.1.0.2"], ["10.1.0.3", "fd01::3"]),
    meshed: fc.constantFrom(true, true, true, false),
    phase: fc.constantFrom("Running", "Running", "Pending", "Succeeded"),
    terminating: fc.boolean(),
    serviceAccount: fc.constantFrom("sa1", "sa2"),
    excluded: fc.constantFrom([], [], [8080], [8081, 9000]),
  })
  .map(({ app, excluded, ...rest }) =>
    pod({
      ...rest,
      labels: { app, tier: "1" },
      ports: [{ name: "web", containerPort: 8080 }],
      ...(excluded.length === 0 ? {} : { excludedPorts: excluded }),
    }),
  );

const anExternal = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    // A name that pods have as well.
    name: fc.constantFrom("v1", PODS[0]),
    uid: fc.constantFrom("x1", "x2"),
    app: fc.constantFrom(...APPS),
    addresses: fc.constantFrom(["10.1.0.1"], ["10.2.0.2"], ["10.2.0.3", "fd01::3"]),
    serviceAccount: fc.constantFrom("sa1", "sa2"),
    joined: fc.constantFrom(true, true, false),
    terminating: fc.boolean(),
  })
  .map(({ app, ...rest }) =>
    externalWorkload({ ...rest, labels: { app, tier: "1" }, ports: [{ name: "web", port: 8080 }] }),
  );

const aSlice = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    service: fc.constantFrom("s1", "s2", "s3"),
    name: fc.constantFrom("e1", "e2", "e3"),
    ports: fc.subarray([
      { name: "http-a", port: 8080 },
      { name: "tcp-b", port: 8081 },
      { name: "grpc", port: 9000 },
      { name: "", port: 8080 },
    ]),
    endpoints: fc.array(
      fc.record({
        address: fc.constantFrom("10.1.0.1", "10.1.0.2", "10.1.0.3"),
        pod: fc.constantFrom(...PODS),
        uid: fc.constantFrom("u1", "u2", "u3", "u4"),
        ready: fc.boolean(),
      }),
      { maxLength: 3 },
    ),
  })
  .map(slice);

const aConfig = fc
  .record({
    enableEgress: fc.boolean(),
    clientScope: fc.constantFrom("Mesh", "Permitted"),
    podAddresses: fc.constantFrom("Headless", "Mesh"),
    enablePermissiveTrafficPolicyMode: fc.constantFrom(true, false, false),
    enable: fc.boolean(),
    address: fc.constantFrom("", "authz.example"),
    max: fc.constantFrom("TLSv1_2", "TLSv1_3"),
    tracing: fc.boolean(),
  })
  .map(({ enable, address, max, tracing, ...traffic }) =>
    meshConfig({
      sidecar: { tlsMinProtocolVersion: "TLSv1_2", tlsMaxProtocolVersion: max },
      traffic: { ...traffic, inboundExternalAuthorization: { enable, address, port: 9191 } },
      observability: { tracing: { enable: tracing } },
      featureFlags: { enableRetryPolicy: tracing },
    }),
  );

const ACCOUNTS = ["a/sa1", "a/sa2", "b/sa1", "b/sa2"] as const;
const aSubject = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<SubjectSpec>(...ACCOUNTS) },
  fc
    .constantFrom(...NAMESPACES)
    .map((inNamespace): SubjectSpec => ({ kind: "IdentityBinding", name: "labels", namespace: inNamespace })),
);

const aTarget = fc
  .record({
    name: fc.constantFrom("t1", "t2"),
    to: aSubject,
    from: fc.uniqueArray(aSubject, { minLength: 1, maxLength: 2, selector: String }),
    rules: fc.uniqueArray(
      fc.constantFrom<RuleSpec>(
        "HTTPRouteGroup/g1",
        "HTTPRouteGroup/g2",
        { group: "g1", matches: ["m1"] },
        "TCPRoute/r1",
        "UDPRoute/u1",
      ),
      { minLength: 1, maxLength: 2, selector: rule => (typeof rule === "string" ? rule : rule.group) },
    ),
    port: fc.constantFrom(undefined, undefined, 80, 8081),
  })
  .map(({ port, ...target }) => trafficTarget(port === undefined ? target : { ...target, port }));

const aGroup = fc
  .record({
    inNamespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom("g1", "g2"),
    matches: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom("m1", "m2"),
        pathRegex: fc.constantFrom("/a", "/b.*", "/[cd]", "("),
        methods: fc.constantFrom(["GET"], ["*"], ["GET", "PUT"]),
      }),
      { minLength: 1, maxLength: 2, selector: ({ name }) => name },
    ),
  })
  .map(({ inNamespace, name, matches }) => routeGroup(inNamespace, name, matches));

const aSplit = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom("x1", "x2"),
    root: fc.constantFrom("s1", "s2"),
    shares: fc.dictionary(fc.constantFrom("s1", "s2", "s3"), fc.nat(2), { minKeys: 1, maxKeys: 2 }),
    matches: fc.constantFrom([], [], ["g1"], ["g1", "g2"]),
    created: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
  })
  .map(({ matches, ...split }) => trafficSplit(matches.length === 0 ? split : { ...split, matches }));

const aBinding = fc
  .record({ inNamespace: fc.constantFrom(...NAMESPACES), app: fc.constantFrom(...APPS) })
  .map(({ inNamespace, app }) => identityBinding(inNamespace, "labels", { app }));

const aTcpRoute = fc
  .record({
    inNamespace: fc.constantFrom(...NAMESPACES),
    ports: fc.constantFrom<readonly number[]>([], [8080], [8081]),
  })
  .map(({ inNamespace, ports }) => tcpRoute(inNamespace, "r1", ...ports));

/** Objects of traffic policy. */
const aPolicy: fc.Arbitrary<TestObject> = fc.oneof(
  { weight: 3, arbitrary: aTarget },
  { weight: 2, arbitrary: aGroup },
  { weight: 2, arbitrary: aSplit },
  aBinding,
  aTcpRoute,
);

const anObject: fc.Arbitrary<TestObject> = fc.oneof(
  aNamespace,
  { weight: 3, arbitrary: aPolicy },
  { weight: 2, arbitrary: aTerm },
  { weight: 2, arbitrary: aService },
  { weight: 3, arbitrary: aPod },
  anExternal,
  { weight: 3, arbitrary: aSlice },
  aConfig,
);

type Step =
  | { readonly kind: "upsert" | "remove"; readonly object: TestObject }
  | { readonly kind: "relist"; readonly of: IngestKind; readonly objects: readonly TestObject[] }
  | { readonly kind: "flush" }
  | { readonly kind: "connect" | "disconnect"; readonly nth: number };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("upsert" as const), object: anObject }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), object: anObject }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("relist" as const),
      of: fc.constantFrom(...KINDS),
      objects: fc.array(anObject, { maxLength: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "flush" as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("connect" as const), nth: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("disconnect" as const), nth: fc.nat(9) }) },
);

const hasProxy = ({ kind }: TestObject): boolean => kind === "Pod" || kind === "ExternalWorkload";

const keyOf = (object: TestObject): string =>
  `${object.kind}|${object.metadata.namespace ?? ""}/${object.metadata.name}`;
const proxyKey = (object: TestObject): string =>
  `${JSON.stringify(object["spec"])}|${object.metadata.uid ?? ""}`;

/** A world with what has been done to it: the objects there should be and the proxies connected. */
class Run {
  readonly state = new Map<string, TestObject>();
  readonly open = new Map<string, [TestObject, Connection]>();
  /** What shapes each pod that was ever connected, followed since then; by uid. */
  readonly shapers = new Map<string, Watch<ReadonlySet<string>>>();
  /** The last MeshConfig that can be used: the one input whose past counts, on purpose. */
  private lastGood: TestObject | undefined;

  constructor(readonly world: World) {}

  take(step: Step): void {
    switch (step.kind) {
      case "upsert":
        this.state.set(keyOf(step.object), step.object);
        this.remember(step.object);
        this.world.engine.apply(upsert(step.object));
        return;
      case "remove":
        this.state.delete(keyOf(step.object));
        this.world.engine.apply(remove(step.object));
        return;
      case "relist":
        this.relist(step.of, step.objects);
        return;
      case "flush":
        this.world.engine.flush();
        return;
      case "connect":
        this.connect(step.nth);
        return;
      case "disconnect":
        this.disconnect([...this.open.keys()][step.nth] ?? "");
    }
  }

  /** Feeds a world that has seen nothing with all there is. */
  feed(fresh: World): void {
    const { lastGood } = this;
    if (lastGood !== undefined) {
      fresh.engine.apply(upsert(lastGood));
      fresh.engine.apply(remove(lastGood));
    }
    for (const object of this.state.values()) fresh.engine.apply(upsert(object));
    fresh.engine.flush();
  }

  private remember(object: TestObject): void {
    if (object.kind === "MeshConfig" && ingestMeshConfig(object).value !== undefined) this.lastGood = object;
  }

  private relist(kind: IngestKind, among: readonly TestObject[]): void {
    const objects = new Map(among.filter(o => o.kind === kind).map(o => [keyOf(o), o] as const));
    for (const key of [...this.state.keys()]) if (key.startsWith(`${kind}|`)) this.state.delete(key);
    for (const [key, object] of objects) {
      this.state.set(key, object);
      this.remember(object);
    }
    this.world.engine.apply(relist(kind, [...objects.values()]));
  }

  private connect(nth: number): void {
    const pods = [...this.state.values()].filter(hasProxy);
    const target = pods[nth % pods.length];
    if (target === undefined) return;
    this.disconnect(proxyKey(target));
    this.open.set(proxyKey(target), [target, this.world.connect(target)]);
    const { uid = "" } = target.metadata;
    if (this.shapers.has(uid)) return;
    const watch = this.world.engine.followShapers(uid, () => undefined);
    watch.read();
    this.shapers.set(uid, watch);
  }

  private disconnect(key: string): void {
    this.open.get(key)?.[1].close();
    this.open.delete(key);
  }
}

function known(engine: Engine, object: TestObject): boolean {
  const live = engine.describe(object.metadata.uid ?? "");
  const spec = object["spec"] as { serviceAccountName: string };
  return (
    live?.group.identity.namespace === object.metadata.namespace &&
    live?.group.identity.serviceAccount === spec.serviceAccountName
  );
}

/** Names that leaves refer to but that are not there, or that are there twice. */
function danglingNames(leaves: readonly Leaf[]): readonly string[] {
  const have = new Set(leaves.map(leaf => `${partOf(leaf)} ${leaf.name}`));
  const twice = have.size === leaves.length ? [] : ["(two leaves of one name)"];
  return [...leaves.flatMap(namesWanted).filter(name => !have.has(name)), ...twice];
}

/** What a leaf refers to; kinds that are not here refer to nothing. */
const NAMES_WANTED: {
  readonly [K in Leaf["kind"]]?: (leaf: Extract<Leaf, { kind: K }>) => readonly string[];
} = {
  "route-table": leaf =>
    [...leaf.rules, ...(leaf.hosts ?? []).flatMap(host => host.rules)].flatMap(rule =>
      rule.backends.flatMap(backendNames),
    ),
  "outbound-listener": leaf => handlingNames(leaf.handling),
  "inbound-listener": leaf => leaf.ports.flatMap(portNames),
  "outbound-catch-all": leaf => [
    ...(leaf.passthroughCluster === undefined ? [] : [`cluster ${leaf.passthroughCluster}`]),
    ...(leaf.egress ?? []).flatMap(egressNames),
  ],
  "caller-gate": leaf => [`cluster ${leaf.cluster}`, `cluster ${leaf.name}`],
  "caller-cluster": leaf => [`listener ${leaf.name}`],
  "upstream-cluster": leaf => (leaf.discovery.kind === "endpoints" ? [`endpoint ${leaf.name}`] : []),
};

function namesWanted(leaf: Leaf): readonly string[] {
  return NAMES_WANTED[leaf.kind]?.(leaf as never) ?? [];
}

/** A backend that is said to lead nowhere has no cluster, and must have none. */
function backendNames({ cluster, unresolved }: Backend): readonly string[] {
  return unresolved === true ? [] : [`cluster ${cluster}`];
}

function egressNames({ cluster, routeTable }: EgressPort): readonly string[] {
  return [
    ...(cluster === undefined ? [] : [`cluster ${cluster}`]),
    ...(routeTable === undefined ? [] : [`route ${routeTable}`]),
  ];
}

function portNames(port: InboundPort): readonly string[] {
  const { handling, externalAuthorization, plaintext, ingress = [], globalHttpLimit, globalTcpLimit } = port;
  const limits = [globalHttpLimit, globalTcpLimit].flatMap(limit => limit?.cluster ?? []);
  const asked = externalAuthorization === undefined ? [] : [`cluster ${externalAuthorization.cluster}`];
  const table = plaintext?.routeTable;
  return [
    ...handlingNames(handling),
    ...asked,
    ...(table === undefined ? [] : [`route ${table}`]),
    ...ingress.map(chain => `route ${chain.routeTable}`),
    ...limits.map(cluster => `cluster ${cluster}`),
  ];
}

function handlingNames(handling: Handling): string[] {
  if (handling.kind === "tcp") return handling.backends.flatMap(backendNames);
  return [
    `route ${handling.routeTable}`,
    ...(handling.tracing === undefined ? [] : [`cluster ${handling.tracing.cluster}`]),
  ];
}

/** Route tables that no leaf refers to, by what a listener's bytes say where that is known: no proxy would ask for them. */
function unaskedTables(leaves: readonly Leaf[], encode?: typeof encodeLeaf): readonly string[] {
  const asks = (leaf: Leaf): readonly string[] =>
    encode === encodeLeaf ? (encode(leaf).needs ?? []).map(name => `route ${name}`) : namesWanted(leaf);
  const asked = new Set(leaves.filter(leaf => partOf(leaf) === "listener").flatMap(asks));
  return leaves
    .filter(leaf => leaf.kind === "route-table" && !asked.has(`route ${leaf.name}`))
    .map(({ name }) => name);
}

/** Addresses and ports at which a client has more than one listener; a proxy would refuse the second. */
function sharedSockets(leaves: readonly Leaf[]): readonly string[] {
  const sockets = leaves.flatMap(leaf =>
    leaf.kind === "outbound-listener" ? leaf.addresses.map(address => `${address}|${leaf.port}`) : [],
  );
  return sockets.filter((socket, i) => sockets.indexOf(socket) !== i);
}

/** Runs begin with namespaces of the mesh: pods elsewhere are told nothing, so there would be little to compare. */
const BEGINNING: readonly Step[] = NAMESPACES.map(name => ({ kind: "upsert", object: namespace(name) }));

function compareWithFresh(steps: readonly Step[], encode: Parameters<typeof createWorld>[0]): number {
  const world = createWorld(encode);
  const run = new Run(world);
  for (const step of [...BEGINNING, ...steps]) run.take(step);
  world.engine.flush();
  const fresh = createWorld(encode);
  run.feed(fresh);
  let compared = 0;
  for (const [target, connection] of run.open.values()) {
    const expected = fresh.connect(target);
    expect(known(world.engine, target)).to.equal(known(fresh.engine, target));
    const want = expected.snapshots.at(-1);
    if (want === undefined) continue;
    expect(printSnapshot(connection.latest())).to.equal(printSnapshot(want));
    const leaves = world.engine.describe(target.metadata.uid ?? "")?.leaves ?? [];
    expect(danglingNames(leaves), "names that lead nowhere").to.deep.equal([]);
    expect(unaskedTables(leaves, encode), "route tables for nobody").to.deep.equal([]);
    expect(sharedSockets(leaves), "listeners of one address").to.deep.equal([]);
    compared++;
  }
  for (const [uid, watch] of run.shapers)
    expect([...watch.read()].sort(), "what shapes a pod").to.deep.equal(describedShapers(fresh.engine, uid));
  expect([...world.engine.diagnostics()]).to.have.deep.members([...fresh.engine.diagnostics()]);
  expect(world.errors).to.deep.equal([]);
  return compared;
}

describe("incremental equals fresh", () => {
  it("after any sequence of changes, with the leaves themselves as bytes", () => {
    let compared = 0;
    fc.assert(
      fc.property(fc.array(aStep, { minLength: 5, maxLength: 60 }), steps => {
        compared += compareWithFresh(steps, encodeAsJson);
      }),
      { numRuns: 300 * scale },
    );
    expect(compared, "proxies compared").to.be.greaterThan(50 * scale);
  }).timeout(120_000 * Math.max(1, scale));

  it("with Envoy's bytes", () => {
    fc.assert(
      fc.property(fc.array(aStep, { minLength: 30, maxLength: 60 }), steps => {
        compareWithFresh(steps, encodeLeaf);
      }),
      { numRuns: Math.ceil(60 * scale) },
    );
  }).timeout(120_000 * Math.max(1, scale));

  it("whatever the order in which objects arrive (R-04)", () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(anObject, { selector: keyOf, minLength: 8, maxLength: 20 })
          .chain(objects =>
            fc.tuple(
              fc.constant(objects),
              fc.shuffledSubarray(objects, { minLength: objects.length, maxLength: objects.length }),
            ),
          ),
        ([given, shuffled]) => {
          const worlds = [given, shuffled].map(objects => {
            const world = createWorld();
            for (const object of objects) world.engine.apply(upsert(object));
            world.engine.flush();
            return world;
          });
          const prints = worlds.map(world =>
            given
              .filter(hasProxy)
              .map(target => world.connect(target).snapshots.map(printSnapshot).join("\n\n")),
          );
          expect(prints[0]).to.deep.equal(prints[1]);
        },
      ),
      { numRuns: 200 * scale },
    );
  }).timeout(120_000 * Math.max(1, scale));
});
