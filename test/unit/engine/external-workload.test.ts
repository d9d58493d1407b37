import { expect } from "chai";
import { externalWorkload, newPublicKey } from "../../support/external-workload";
import { meshConfig, namespace, pod, service, slice } from "../../support/objects";
import { createWorld, namesIn, proxyOf, relist, type World } from "../../support/world";
import { TYPE_URLS } from "../../../src/xds/resource";
import type { Leaf } from "../../../src/policy/types";

const shop = namespace("shop");
const port = { name: "http", port: 80, targetPort: "web", appProtocol: "http" };
const store = service({ namespace: "shop", name: "store", ports: [port], selector: { app: "store" } });
const VM = {
  namespace: "shop",
  name: "vm-1",
  addresses: ["192.0.2.7"],
  labels: { app: "store", site: "attic" },
  serviceAccount: "store",
  ports: [{ name: "web", port: 8080 }],
};
const vm = externalWorkload(VM);
const buyer = pod({ namespace: "shop", name: "buyer", ips: ["10.1.0.5"], serviceAccount: "buyer" });
const uid = vm.metadata.uid ?? "";

function leavesOf<K extends Leaf["kind"]>(
  world: World,
  podUid: string,
  kind: K,
): Extract<Leaf, { kind: K }>[] {
  const leaves = world.engine.describe(podUid)?.leaves ?? [];
  return leaves.filter((leaf): leaf is Extract<Leaf, { kind: K }> => leaf.kind === kind);
}

const endpoints = (world: World): string[] =>
  leavesOf(world, proxyOf(buyer).podUid, "endpoint-set").flatMap(({ endpoints: all }) =>
    all.map(({ address, port: number }) => `${address}:${number}`),
  );

const codes = (world: World): string[] =>
  (world.engine.diagnostics().get("ExternalWorkload.config.openservicemesh.io/shop/vm-1") ?? []).map(
    ({ code, field }) => `${code} ${field ?? ""}`,
  );

describe("a workload outside of the cluster", () => {
  it("is an endpoint of the Services that select it, with its identity, beside pods", () => {
    const world = createWorld();
    const own = pod({
      namespace: "shop",
      name: "store-1",
      ips: ["10.1.0.9"],
      labels: { app: "store" },
      serviceAccount: "store-in-pods",
      ports: [{ name: "web", containerPort: 8081 }],
    });
    const slices = slice({
      namespace: "shop",
      service: "store",
      ports: [{ name: "http", port: 8081 }],
      endpoints: [{ address: "10.1.0.9", pod: "store-1" }],
    });
    world.feed(shop, store, buyer, own, slices, vm);
    expect(endpoints(world)).to.deep.equal(["10.1.0.9:8081", "192.0.2.7:8080"]);
    const [cluster] = leavesOf(world, proxyOf(buyer).podUid, "upstream-cluster");
    expect(JSON.stringify(cluster)).to.contain('"store"').and.to.contain('"store-in-pods"');
    world.drop(own, slices);
    expect(endpoints(world)).to.deep.equal(["192.0.2.7:8080"]);
    world.drop(vm);
    expect(endpoints(world)).to.deep.equal([]);
    expect(world.errors).to.deep.equal([]);
  });

  it("is none before its key is certified, in another namespace, or with other labels", () => {
    for (const other of [
      { ...VM, joined: false },
      { ...VM, publicKey: null },
      { ...VM, namespace: "elsewhere" },
      { ...VM, labels: { app: "other" } },
      { ...VM, terminating: true },
      { ...VM, addresses: ["127.0.0.1"] },
    ]) {
      const world = createWorld();
      world.feed(shop, namespace("elsewhere"), store, buyer, externalWorkload(other));
      expect(endpoints(world), JSON.stringify(other)).to.deep.equal([]);
    }
  });

  it("has the configuration of a server: its port, opened to whom its policy allows", () => {
    const world = createWorld();
    const target = {
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "buy", namespace: "shop" },
      spec: {
        destination: { kind: "ServiceAccount", name: "store", namespace: "shop" },
        sources: [{ kind: "ServiceAccount", name: "buyer", namespace: "shop" }],
        rules: [{ kind: "HTTPRouteGroup", name: "all" }],
      },
    };
    const all = {
      apiVersion: "specs.smi-spec.io/v1alpha4",
      kind: "HTTPRouteGroup",
      metadata: { name: "all", namespace: "shop" },
      spec: { matches: [{ name: "all", pathRegex: "/.*", methods: ["*"] }] },
    };
    const closed = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false, enableEgress: false } });
    world.feed(shop, closed, store, buyer, vm, target, all);
    expect(JSON.stringify(leavesOf(world, uid, "inbound-listener"))).to.contain("8080");
    expect(JSON.stringify(world.engine.describe(uid)?.leaves)).to.contain('"buyer"');
    world.drop(target);
    expect(JSON.stringify(world.engine.describe(uid)?.leaves)).to.not.contain('"buyer"');
  });

  it("takes no address from anybody: calls of the bare address are led nowhere because of it", () => {
    const world = createWorld();
    const victim = pod({ namespace: "shop", name: "store-1", ips: ["10.1.0.9"], labels: { app: "store" } });
    const connected = createWorld();
    for (const each of [world, connected]) each.feed(shop, store, buyer, victim);
    connected.feed(externalWorkload({ ...VM, addresses: ["10.1.0.9"] }));
    const listeners = (each: World): readonly string[] =>
      namesIn(each.connect(buyer).latest(), TYPE_URLS.listener);
    expect(listeners(connected)).to.deep.equal(listeners(world));
  });

  it("is gone for its streams when it is deleted, made anew, void, or names another key; not when its labels change", () => {
    const world = createWorld();
    const gone: string[] = [];
    world.engine.onGone(found => gone.push(found));
    const next = (object: typeof vm): string[] => {
      world.feed(object);
      return gone.splice(0);
    };
    world.feed(shop, vm);
    expect(world.engine.byUid(uid)).to.include({ name: "vm-1", serviceAccount: "store", meshed: true });
    expect(next(externalWorkload({ ...VM, labels: {} }))).to.deep.equal([]);
    const publicKey = newPublicKey();
    expect(next(externalWorkload({ ...VM, publicKey }))).to.deep.equal([uid]);
    expect(world.engine.byUid(uid)).to.include({ publicKey });
    expect(next(externalWorkload({ ...VM, publicKey, addresses: [] }))).to.deep.equal([uid]);
    expect(world.engine.byUid(uid)).to.equal(undefined);
    expect(next(vm)).to.deep.equal([]);
    expect(next(externalWorkload({ ...VM, uid: "another" }))).to.deep.equal([uid]);
    world.drop(vm);
    expect(gone).to.deep.equal(["another"]);
    expect(world.engine.byUid("another")).to.equal(undefined);
  });

  it("is gone as soon as it is being deleted, however long a finalizer holds the object", () => {
    const world = createWorld();
    const gone: string[] = [];
    world.engine.onGone(found => gone.push(found));
    const called = (): string => JSON.stringify(leavesOf(world, proxyOf(buyer).podUid, "upstream-cluster"));
    world.feed(shop, store, buyer, vm);
    expect(endpoints(world)).to.deep.equal(["192.0.2.7:8080"]);
    expect(called()).to.contain('"serviceAccount":"store"');
    world.feed(externalWorkload({ ...VM, terminating: true }));
    expect(gone).to.deep.equal([uid]);
    expect(world.engine.byUid(uid)).to.equal(undefined);
    expect([...world.engine.expectedProxies().keys()]).to.deep.equal([proxyOf(buyer).podUid]);
    expect(endpoints(world)).to.deep.equal([]);
    expect(called(), "as whom it is called").to.not.contain('"serviceAccount":"store"');
    expect(world.errors).to.deep.equal([]);
  });

  it("is void when its key is no point of the curve, and tells so", () => {
    const world = createWorld();
    const publicKey = Buffer.from(newPublicKey(), "base64").fill(0, 27).toString("base64");
    world.feed(shop, store, buyer, externalWorkload({ ...VM, publicKey }));
    expect(codes(world)).to.deep.equal(["InvalidField spec.publicKey"]);
    expect(endpoints(world)).to.deep.equal([]);
  });

  it("is waited for as a live proxy once it has joined", () => {
    const world = createWorld();
    world.feed(shop, externalWorkload({ ...VM, joined: false }));
    expect([...world.engine.expectedProxies().keys()]).to.deep.equal([]);
    world.feed(vm);
    expect([...world.engine.expectedProxies().keys()]).to.deep.equal([uid]);
  });

  it("is not touched by a list of pods, nor pods by a list of such workloads", () => {
    const world = createWorld();
    world.feed(shop, store, buyer, vm);
    world.engine.apply(relist("Pod", [buyer]));
    world.engine.flush();
    expect(endpoints(world)).to.deep.equal(["192.0.2.7:8080"]);
    expect(world.engine.byUid(uid)?.name).to.equal("vm-1");
    world.engine.apply(relist("ExternalWorkload", []));
    world.engine.flush();
    expect(endpoints(world)).to.deep.equal([]);
    expect(world.engine.byUid(uid)).to.equal(undefined);
    expect(world.engine.byUid(proxyOf(buyer).podUid)?.name).to.equal("buyer");
  });

  it("is called so for one name shared with a pod: neither takes the other's place", () => {
    const world = createWorld();
    const twin = pod({ namespace: "shop", name: "vm-1", ips: ["10.1.0.4"], uid: "uid-of-the-pod" });
    world.feed(shop, store, buyer, vm, twin);
    expect(world.engine.byUid("uid-of-the-pod")?.name).to.equal("vm-1");
    expect(endpoints(world)).to.deep.equal(["192.0.2.7:8080"]);
    world.drop(twin);
    expect(world.engine.byUid(uid)?.name).to.equal("vm-1");
  });

  it("tells its owner what is missing", () => {
    const world = createWorld();
    world.feed(namespace("shop", { meshed: false }), externalWorkload({ ...VM, joined: false }));
    expect(codes(world)).to.deep.equal([
      "NoEffect metadata.namespace",
      "NoEffect spec.publicKey",
      "UnresolvedReferenceAccount spec.serviceAccountName",
    ]);
    const account = {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "store", namespace: "shop" },
    };
    world.feed(shop, vm, account);
    expect(codes(world)).to.deep.equal(["NoEffect metadata.labels"]);
    world.feed(store);
    expect(codes(world)).to.deep.equal([]);
  });
});
