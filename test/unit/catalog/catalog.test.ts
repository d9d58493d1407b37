import { expect } from "chai";
import type { Catalog } from "../../../src/catalog/index";
import { DEFAULT_MESH_CONFIG } from "../../../src/api/mesh-config";
import { createCatalog } from "../../../src/catalog/index";
import type { Inputs } from "../../../src/catalog/inputs";
import { createInputs } from "../../../src/catalog/inputs";
import { createGraph } from "../../../src/graph/graph";
import type { Cell } from "../../../src/graph/graph";
import { objectKey } from "../../../src/ingest/fields";
import { createProjectors } from "../../../src/ingest/index";
import type { TestObject } from "../../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../../support/objects";

const projectors = createProjectors("osm");

function load(...objects: readonly TestObject[]): {
  inputs: Inputs;
  catalog: Catalog;
  get: <T>(cell: Cell<T>) => T;
  put: (object: TestObject) => void;
} {
  const graph = createGraph();
  const inputs = createInputs(graph);
  const put = (object: TestObject): void => {
    const key = objectKey(object);
    switch (object.kind) {
      case "Namespace":
        inputs.namespaces.set(key, projectors.Namespace.project(object).value);
        break;
      case "Service":
        inputs.services.set(key, projectors.Service.project(object).value);
        break;
      case "EndpointSlice":
        inputs.slices.set(key, projectors.EndpointSlice.project(object).value);
        break;
      case "Pod":
        inputs.pods.set(key, projectors.Pod.project(object).value);
        break;
      case "MeshConfig":
        inputs.meshConfig.set(projectors.MeshConfig.project(object).value ?? DEFAULT_MESH_CONFIG);
    }
  };
  objects.forEach(put);
  return { inputs, catalog: createCatalog(inputs), get: cell => graph.peek(cell), put };
}

const shop = namespace("shop");
const http = { name: "http", port: 80, targetPort: 8080 };
const cart = service({ namespace: "shop", name: "cart", ports: [http] });
const member = (name: string, ip: string, more: Partial<Parameters<typeof pod>[0]> = {}): TestObject =>
  pod({ namespace: "shop", name, ips: [ip], labels: { app: "cart" }, serviceAccount: "cart", ...more });
const behind = (...endpoints: Parameters<typeof slice>[0]["endpoints"]): TestObject =>
  slice({ namespace: "shop", service: "cart", ports: [{ name: "http", port: 8080 }], endpoints });

describe("membership", () => {
  it("is a matter of the namespace, the selector and the sidecar", () => {
    const { catalog, get, put } = load(
      shop,
      namespace("outside", { meshed: false }),
      cart,
      service({ namespace: "shop", name: "by-hand", ports: [], selector: null }),
      service({ namespace: "shop", name: "alias", ports: [], type: "ExternalName" }),
      service({ namespace: "outside", name: "cart", ports: [http] }),
      member("p1", "10.0.0.1"),
      member("p2", "10.0.0.2", { meshed: false }),
      member("p3", "10.0.0.3", { phase: "Succeeded" }),
      pod({ namespace: "outside", name: "p4", ips: ["10.0.0.4"] }),
    );
    const { membership } = catalog;
    expect(get(membership.namespaces)).to.deep.equal(["shop"]);
    expect(get(membership.services)).to.deep.equal(["shop/cart"]);
    expect(get(membership.pods)).to.deep.equal(["shop/p1"]);
    put(namespace("outside"));
    expect(get(membership.services)).to.deep.equal(["outside/cart", "shop/cart"]);
    expect(get(membership.pods)).to.deep.equal(["outside/p4", "shop/p1"]);
  });
});

describe("pods that are called by their own addresses", () => {
  const peers = service({
    namespace: "shop",
    name: "peers",
    clusterIPs: ["None"],
    selector: { app: "cart" },
    ports: [http],
  });

  it("are those that a headless Service of the mesh picks, by all of its selector", () => {
    const { catalog, get, put } = load(shop, cart, member("p1", "10.0.0.1"));
    const { picked, isPicked } = catalog.podAddresses;
    expect([get(picked), get(isPicked("shop/p1"))]).to.deep.equal([[], false]);
    put(peers);
    expect([get(picked), get(isPicked("shop/p1"))]).to.deep.equal([["shop/p1"], true]);
    put(member("p0", "10.0.0.2"));
    put(member("bare", "10.0.0.3", { meshed: false }));
    put(member("other", "10.0.0.4", { labels: { app: "other" } }));
    expect(get(picked)).to.deep.equal(["shop/p0", "shop/p1"]);
    put({ ...peers, spec: { ...(peers["spec"] as object), selector: { app: "cart", tier: "x" } } });
    expect(get(picked)).to.deep.equal([]);
    put(member("p1", "10.0.0.1", { labels: { tier: "x", app: "cart" } }));
    expect(get(picked)).to.deep.equal(["shop/p1"]);
    put(cart);
    put({ ...peers, metadata: { name: "peers", namespace: "outside" } });
    expect(get(picked)).to.deep.equal(["shop/p1"]);
  });
});

describe("standing of a Service", () => {
  const plain = { meshed: false };
  const identity = { namespace: "shop", serviceAccount: "cart" };
  const rows: readonly (readonly [string, readonly TestObject[], boolean, readonly object[]])[] = [
    ["without endpoints it is served: callers get 503, never plaintext", [behind()], true, []],
    ["without slices likewise", [], true, []],
    [
      "with a ready pod",
      [member("a", "10.0.0.1"), behind({ address: "10.0.0.1", pod: "a" })],
      true,
      [identity],
    ],
    [
      "with a pod that is not ready",
      [member("a", "10.0.0.1"), behind({ address: "10.0.0.1", pod: "a", ready: false })],
      true,
      [identity],
    ],
    [
      "while only pods without sidecar are ready it is left alone",
      [
        member("a", "10.0.0.1"),
        member("b", "10.0.0.2", plain),
        behind({ address: "10.0.0.1", pod: "a", ready: false }, { address: "10.0.0.2", pod: "b" }),
      ],
      false,
      [identity],
    ],
    [
      "as soon as one with sidecar is ready it is served",
      [
        member("a", "10.0.0.1"),
        member("b", "10.0.0.2", plain),
        behind({ address: "10.0.0.1", pod: "a" }, { address: "10.0.0.2", pod: "b" }),
      ],
      true,
      [identity],
    ],
    [
      "an endpoint that gives another address than its pod has does not count",
      [member("a", "10.0.0.1"), behind({ address: "10.0.0.66", pod: "a" })],
      true,
      [],
    ],
    ["an endpoint of an unknown pod does not count", [behind({ address: "10.0.0.1", pod: "a" })], true, []],
    [
      "a pod that has ended does not count",
      [member("a", "10.0.0.1", { phase: "Failed" }), behind({ address: "10.0.0.1", pod: "a" })],
      true,
      [],
    ],
  ];
  for (const [name, objects, served, identities] of rows) {
    it(name, () => {
      const { catalog, get } = load(shop, cart, ...objects);
      expect(get(catalog.endpoints.standing("shop/cart"))).to.deep.equal({ served, identities });
    });
  }

  const excluding = { excludedPorts: [8080] };
  const exclusions: readonly (readonly [string, readonly TestObject[], readonly string[] | undefined])[] = [
    [
      "a port that the sidecar of its only pod is passed by at is left alone",
      [member("a", "10.0.0.1", excluding), behind({ address: "10.0.0.1", pod: "a" })],
      ["http"],
    ],
    [
      "also while that pod is not ready, so that readiness does not switch callers",
      [member("a", "10.0.0.1", excluding), behind({ address: "10.0.0.1", pod: "a", ready: false })],
      ["http"],
    ],
    [
      "as soon as a ready pod's sidecar takes it, it is served",
      [
        member("a", "10.0.0.1", excluding),
        member("b", "10.0.0.2"),
        behind({ address: "10.0.0.1", pod: "a" }, { address: "10.0.0.2", pod: "b" }),
      ],
      undefined,
    ],
    [
      "not by a pod whose sidecar takes it and is not ready",
      [
        member("a", "10.0.0.1", excluding),
        member("b", "10.0.0.2"),
        behind({ address: "10.0.0.1", pod: "a" }, { address: "10.0.0.2", pod: "b", ready: false }),
      ],
      ["http"],
    ],
    [
      "exclusions of other ports are of no meaning",
      [member("a", "10.0.0.1", { excludedPorts: [80] }), behind({ address: "10.0.0.1", pod: "a" })],
      undefined,
    ],
  ];
  for (const [name, objects, excluded] of exclusions) {
    it(name, () => {
      const { catalog, get } = load(shop, cart, ...objects);
      const standing = get(catalog.endpoints.standing("shop/cart"));
      expect([standing.served, standing.excluded]).to.deep.equal([true, excluded]);
    });
  }

  it("joins slices, in the order of addresses, and takes a terminating pod as not ready", () => {
    const { catalog, get } = load(
      shop,
      cart,
      member("a", "10.0.0.9"),
      member("b", "10.0.0.1", { terminating: true, serviceAccount: "other" }),
      behind({ address: "10.0.0.9", pod: "a", zone: "z" }),
      slice({
        namespace: "shop",
        service: "cart",
        name: "cart-2",
        ports: [{ name: "http", port: 9090 }],
        endpoints: [{ address: "10.0.0.1", pod: "b" }],
      }),
    );
    const { endpoints } = get(catalog.endpoints.backing("shop/cart"));
    expect(endpoints.map(e => [e.address, e.ready, e.zone, e.ports["http"]])).to.deep.equal([
      ["10.0.0.1", false, undefined, 9090],
      ["10.0.0.9", true, "z", 8080],
    ]);
    const { identities } = get(catalog.endpoints.standing("shop/cart"));
    expect(identities.map(id => id.serviceAccount)).to.deep.equal(["cart", "other"]);
  });
});

describe("node groups", () => {
  it("join all Services that select a pod, by container port", () => {
    const { catalog, get } = load(
      shop,
      cart,
      service({
        namespace: "shop",
        name: "api",
        ports: [{ port: 90, targetPort: "web" }],
        selector: { app: "cart", tier: "1" },
      }),
      service({ namespace: "shop", name: "not", ports: [http], selector: { app: "cart", tier: "2" } }),
      service({
        namespace: "shop",
        name: "unnamed",
        ports: [{ port: 91, targetPort: "nope" }],
        selector: { app: "cart" },
      }),
      member("p", "10.0.0.1", {
        labels: { app: "cart", tier: "1" },
        ports: [{ name: "web", containerPort: 8080 }],
      }),
    );
    expect(get(catalog.nodeGroups.served("shop/p"))).to.deep.equal([
      {
        port: 8080,
        frontends: [
          { service: "shop/api", port: 90 },
          { service: "shop/cart", port: 80 },
        ],
      },
    ]);
  });

  it("are equal for pods of the same account, Services and address families", () => {
    const { catalog, get } = load(
      shop,
      cart,
      member("a", "10.0.0.1"),
      member("b", "10.0.0.2"),
      member("c", "10.0.0.3", { ips: ["10.0.0.3", "fd00::3"] }),
    );
    const [a, b, c] = ["a", "b", "c"].map(name => get(catalog.nodeGroups.group(`shop/${name}`)));
    expect(a).to.deep.equal(b);
    expect(a).to.not.deep.equal(c);
    expect(c?.ipv6).to.equal(true);
  });

  it("exist for pods in no Service, and not for pods without sidecar", () => {
    const { catalog, get } = load(
      shop,
      member("alone", "10.0.0.1"),
      member("plain", "10.0.0.2", { meshed: false }),
    );
    expect(get(catalog.nodeGroups.group("shop/alone"))?.served).to.deep.equal([]);
    expect(get(catalog.nodeGroups.group("shop/plain"))).to.equal(undefined);
    expect(get(catalog.nodeGroups.group("shop/nobody"))).to.equal(undefined);
  });

  it("serve nothing in a namespace that left the mesh", () => {
    const { catalog, get, put } = load(shop, cart, member("a", "10.0.0.1"));
    expect(get(catalog.nodeGroups.served("shop/a"))).to.have.length(1);
    put(namespace("shop", { meshed: false }));
    expect(get(catalog.nodeGroups.served("shop/a"))).to.deep.equal([]);
  });

  it("are told the same of the mesh in both modes; only who may call them differs", () => {
    const { catalog, get, put } = load(shop, member("a", "10.0.0.1"));
    const open = get(catalog.nodeGroups.group("shop/a"));
    put(meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } }));
    const closed = get(catalog.nodeGroups.group("shop/a"));
    expect([open?.permissive, closed?.permissive]).to.deep.equal([true, false]);
    expect(closed?.view).to.equal(open?.view);
  });
});

describe("address owners", () => {
  it("are single: the pod that stays rather than the one that goes", () => {
    const { catalog, get } = load(
      shop,
      member("a", "10.0.0.1", { terminating: true, uid: "old" }),
      member("b", "10.0.0.1", { uid: "new" }),
    );
    expect(get(catalog.owners.pod("10.0.0.1"))).to.equal("shop/b");
    expect(get(catalog.owners.pod("10.0.0.2"))).to.equal(undefined);
  });

  it("are Services of the mesh only, the first by key", () => {
    const twin = { ports: [http], clusterIPs: ["10.1.0.1"] };
    const { catalog, get } = load(
      shop,
      namespace("a-outside", { meshed: false }),
      service({ namespace: "a-outside", name: "x", ...twin }),
      service({ namespace: "shop", name: "z", ...twin }),
      service({ namespace: "shop", name: "y", ...twin }),
    );
    expect(get(catalog.owners.service("10.1.0.1"))).to.equal("shop/y");
  });
});
