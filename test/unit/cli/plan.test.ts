import { expect } from "chai";
import { stringify } from "yaml";
import { accessManifests, splitManifest } from "../../../hack/demo/policies";
import { applicationManifests, type Manifest, namespaceManifests } from "../../../hack/demo/manifests";
import { createAddresses } from "../../../src/cli/offline/addresses";
import { type KubeDocument, readDocuments } from "../../../src/cli/offline/documents";
import { createMeshWorld } from "../../../src/cli/offline/world";
import { applied } from "../../../src/cli/plan/changes";
import { type Plan, planOf } from "../../../src/cli/plan/plan";
import { renderPlan } from "../../../src/cli/plan/render";
import { encodeLeaf } from "../../../src/envoy/encode";
import { resourcesOf, TYPE_URLS } from "../../../src/xds/resource";
import type { TestObject } from "../../support/objects";
import { podName } from "../../support/scene";
import { type Connection, createWorld, KINDS, type World } from "../../support/world";

const MESH = { meshName: "osm", osmNamespace: "osm-system" };

const documentsOf = (manifests: readonly Manifest[]): readonly KubeDocument[] =>
  readDocuments(manifests.map(each => stringify(each)).join("---\n"), {
    source: "demo",
    namespace: "default",
  });

const meshConfig = (permissive: boolean): Manifest => ({
  apiVersion: "config.openservicemesh.io/v1alpha2",
  kind: "MeshConfig",
  metadata: { name: "osm-mesh-config", namespace: "osm-system" },
  spec: { traffic: { enablePermissiveTrafficPolicyMode: permissive } },
});

const scaled = (replicas: number): Manifest => {
  const found = applicationManifests().find(
    each =>
      (each as unknown as KubeDocument).metadata.name === "bookstore-v2" && each["kind"] === "Deployment",
  );
  return { ...found, spec: { ...(found?.["spec"] as object), replicas } };
};

/** What the demo applies, in its order. */
const STEPS: readonly (readonly [string, readonly Manifest[]])[] = [
  ["deny", [meshConfig(false)]],
  ["allow", accessManifests()],
  ["split 100/0", [splitManifest(100, 0)]],
  ["v2 joins", [scaled(1)]],
  ["split 90/10", [splitManifest(90, 10)]],
  ["split 50/50", [splitManifest(50, 50)]],
  ["split 0/100", [splitManifest(0, 100)]],
];

/** Resources by pod, as `type|name` with version and size. */
type Held = ReadonlyMap<string, ReadonlyMap<string, { readonly version: string; readonly bytes: number }>>;

const WORDS = new Map(Object.entries(TYPE_URLS).map(([word, url]) => [url as string, word]));

/** Connected proxies of the product's engine, kept through all steps. */
class Fleet {
  private readonly world: World = createWorld(encodeLeaf);
  private readonly proxies = new Map<string, Connection>();
  private fed = new Map<string, string>();

  /** Feeds what is different from last time, as one change, and connects new pods. */
  turn(documents: Iterable<KubeDocument>): Held {
    const objects = [...documents].filter(({ kind }) => (KINDS as readonly string[]).includes(kind));
    const now = new Map(
      objects.map(object => [
        JSON.stringify([object.kind, object.metadata.namespace, object.metadata.name]),
        object,
      ]),
    );
    const upserts = [...now].filter(([key, object]) => this.fed.get(key) !== JSON.stringify(object));
    const removals = [...this.fed]
      .filter(([key]) => !now.has(key))
      .map(([, text]) => JSON.parse(text) as TestObject);
    this.world.change({ upserts: upserts.map(([, object]) => object as unknown as TestObject), removals });
    this.fed = new Map([...now].map(([key, object]) => [key, JSON.stringify(object)]));
    for (const pod of objects.filter(({ kind }) => kind === "Pod") as unknown as TestObject[]) {
      const isMeshed = this.world.engine.describe(pod.metadata.uid ?? "") !== undefined;
      if (isMeshed && !this.proxies.has(podName(pod)))
        this.proxies.set(podName(pod), this.world.connect(pod));
    }
    this.world.engine.flush();
    return new Map([...this.proxies].map(([pod, proxy]) => [pod, heldBy(proxy)]));
  }
}

function heldBy(
  proxy: Connection,
): ReadonlyMap<string, { readonly version: string; readonly bytes: number }> {
  const all = [...proxy.latest().values()].flatMap(set => [...resourcesOf(set)]);
  return new Map(
    all.map(({ typeUrl, name, version, fragment }) => [
      `${WORDS.get(typeUrl) ?? ""} ${name}`,
      { version, bytes: fragment.length },
    ]),
  );
}

/** One line per pod and resource that differs. */
function difference(before: Held, after: Held): readonly string[] {
  return [...after]
    .flatMap(([pod, held]) => {
      const was = before.get(pod) ?? new Map<string, never>();
      return [
        ...[...held].flatMap(([name, { version, bytes }]) => {
          if (!was.has(name)) return [`${pod} + ${name} ${bytes}`];
          return was.get(name)?.version === version ? [] : [`${pod} ~ ${name} ${bytes}`];
        }),
        ...[...was.keys()].filter(name => !held.has(name)).map(name => `${pod} - ${name}`),
      ];
    })
    .sort();
}

function planned({ proxies }: Plan): readonly string[] {
  return proxies
    .flatMap(({ pods, added, changed, removed }) =>
      pods.flatMap(pod => [
        ...added.map(({ type, name, bytes }) => `${pod} + ${type} ${name} ${bytes}`),
        ...changed.map(({ type, name, bytes }) => `${pod} ~ ${type} ${name} ${bytes}`),
        ...removed.map(({ type, name }) => `${pod} - ${type} ${name}`),
      ]),
    )
    .sort();
}

const BUYER = "bookbuyer/bookbuyer";

describe("osm plan", function () {
  this.timeout(120_000);
  const start = documentsOf([...namespaceManifests(), ...applicationManifests(), meshConfig(true)]);

  it("names exactly what the steps of the demo then change at each proxy", () => {
    const addresses = createAddresses();
    const fleet = new Fleet();
    let base = start;
    let held = fleet.turn(createMeshWorld(base, { ...MESH, addresses }).documents.values());
    expect([...held.keys()]).to.have.length(5);
    for (const [step, manifests] of STEPS) {
      const files = documentsOf(manifests);
      const plan = planOf({ base, files, deletions: [] }, { ...MESH, addresses });
      base = applied(base, files, []).after;
      const next = fleet.turn(createMeshWorld(base, { ...MESH, addresses }).documents.values());
      const happened = difference(held, next);
      expect(happened, step).to.not.be.empty;
      expect(planned(plan), step).to.deep.equal(happened);
      held = next;
    }
  });

  it("says who gains and who loses access, and how shares move", () => {
    const plans = new Map<string, Plan>();
    const addresses = createAddresses();
    let base = start;
    for (const [step, manifests] of STEPS) {
      const files = documentsOf(manifests);
      plans.set(step, planOf({ base, files, deletions: [] }, { ...MESH, addresses }));
      base = applied(base, files, []).after;
    }
    const of = (step: string): Plan["access"] => plans.get(step)?.access ?? { gained: [], lost: [] };
    expect(of("deny").gained).to.deep.equal([]);
    expect(of("deny").lost.map(({ from, to }) => `${from} ${to}`)).to.include.members([
      `${BUYER} bookstore/bookstore:14001`,
      "bookthief/bookthief bookstore/bookstore:14001",
    ]);
    expect(of("allow").lost).to.deep.equal([]);
    const gainers = new Set(of("allow").gained.map(({ from, to }) => `${from} → ${to}`));
    expect([...gainers].sort()).to.deep.equal([
      "bookbuyer/bookbuyer → bookstore/bookstore-v1:14001",
      "bookbuyer/bookbuyer → bookstore/bookstore:14001",
      "bookstore/bookstore-v1 → bookwarehouse/bookwarehouse:14001",
      "bookwarehouse/bookwarehouse → bookwarehouse/mysql:3306",
    ]);
    expect(plans.get("split 90/10")?.traffic).to.deep.equal([
      {
        to: "bookstore/bookstore:14001",
        before: { "bookstore/bookstore-v1:14001": 100 },
        after: { "bookstore/bookstore-v1:14001": 90, "bookstore/bookstore-v2:14001": 10 },
      },
    ]);
    for (const plan of plans.values())
      expect(renderPlan(plan)).to.match(/objects? changes?; nothing is applied/);
  });

  it("tells what is wrong with the objects, and what a deletion takes away", () => {
    const base = [...start, ...documentsOf([meshConfig(false), ...accessManifests()])];
    const target = "TrafficTarget/bookstore/bookstore-v1";
    const addresses = createAddresses();
    const less = planOf({ base, files: [], deletions: [target] }, { ...MESH, addresses });
    expect(less.objects).to.deep.equal([{ object: target, change: "removed" }]);
    expect(new Set(less.access.lost.map(({ from }) => from))).to.deep.equal(new Set([BUYER]));
    expect(less.access.gained).to.deep.equal([]);
    const wrong = accessManifests().filter(each => each["kind"] === "TrafficTarget");
    const bare = planOf({ base: start, files: documentsOf(wrong), deletions: [] }, { ...MESH, addresses });
    expect(bare.findings.map(({ object, code, isNew }) => ({ object, code, isNew }))).to.deep.include({
      object: "TrafficTarget bookstore/bookstore-v1",
      code: "UnresolvedReference",
      isNew: true,
    });
    expect(() => planOf({ base, files: [], deletions: ["Pod/a/b"] }, { ...MESH, addresses })).to.throw(
      "there is no such object",
    );
    const nothing = planOf(
      { base, files: documentsOf(accessManifests()), deletions: [] },
      { ...MESH, addresses },
    );
    expect(nothing.proxies).to.deep.equal([]);
    expect(renderPlan(nothing)).to.include("Nothing changes.");
  });
});
