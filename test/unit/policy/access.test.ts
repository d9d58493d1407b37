import { expect } from "chai";
import { createInputs } from "../../../src/catalog/inputs";
import { createGraph } from "../../../src/graph/graph";
import { meshAuthorization } from "../../../src/policy/authorization";
import { groupLeaves } from "../../../src/policy/inbound";
import { meshConfig, namespace, pod, service } from "../../support/objects";
import { buyer, PORTS, shopPod, shopService, ShopMesh, thief } from "../../support/shop-mesh";
import { DENY, identityBinding, routeGroup, tcpRoute, trafficTarget } from "../../support/traffic-objects";

const deny = meshConfig(DENY);
const cart = shopPod("cart", 1);
const books = routeGroup("shop", "routes", [
  { name: "books", pathRegex: "/books", methods: ["GET"] },
  { name: "admin", pathRegex: "/admin/.*", methods: ["*"], headers: [{ "x-role": "chief" }] },
]);
const toCart = (more: Partial<Parameters<typeof trafficTarget>[0]> = {}) =>
  trafficTarget({
    name: "cart",
    to: "shop/cart",
    from: ["web/buyer"],
    rules: [{ group: "routes", matches: ["books"] }],
    ...more,
  });

describe("access by TrafficTargets", () => {
  it("is nobody's without one, by HTTP and by TCP", () => {
    const mesh = new ShopMesh(deny, ...shopService("cart", 1));
    expect(mesh.get(buyer, 1).outcome).to.equal("forbidden");
    expect(mesh.dial(buyer, 1).outcome).to.equal("forbidden");
    expect(mesh.get(buyer, 1).by.map(ref => ref.kind)).to.deep.equal(["Service"]);
  });

  it("is of the caller and the requests that are named, and says which rule decides", () => {
    const mesh = new ShopMesh(deny, ...shopService("cart", 1), books, toCart());
    const allowed = mesh.get(buyer, 1, "/books/1?x=y");
    expect(allowed).to.include({ outcome: "delivered", rule: "shop/cart#0/books" });
    expect(allowed.by.map(ref => ref.kind)).to.deep.equal(["TrafficTarget", "HTTPRouteGroup"]);
    const rows = [
      [mesh.get(thief, 1, "/books"), ["identity"]],
      [mesh.get(buyer, 1, "/"), ["path"]],
      [mesh.get(buyer, 1, "/books", { method: "PUT" }), ["method"]],
      [mesh.get(thief, 1, "/", { method: "PUT" }), ["identity", "path", "method"]],
    ] as const;
    for (const [decision, differs] of rows) {
      expect(decision.outcome).to.equal("forbidden");
      expect(decision.nearest?.differs).to.deep.equal(differs);
      expect(decision.nearest?.grant).to.equal("shop/cart#0/books");
      expect(decision.by.map(ref => ref.kind)).to.deep.equal(["TrafficTarget", "HTTPRouteGroup"]);
    }
    expect(mesh.get(thief, 1).nearest?.text).to.equal(
      "caller web/thief is not web/buyer; path / is not /books…",
    );
    // A grant of HTTP is none of a port that is carried as bytes.
    expect(mesh.dial(buyer, 1).outcome).to.equal("forbidden");
  });

  it("is of all matches where a rule names none, each with its headers", () => {
    const mesh = new ShopMesh(
      deny,
      ...shopService("cart", 1),
      books,
      toCart({ rules: ["HTTPRouteGroup/routes"] }),
    );
    const role = (value: string) => ({ method: "DELETE", headers: { "X-Role": value } });
    expect(mesh.get(buyer, 1, "/admin/x", role("chief")).rule).to.equal("shop/cart#0/admin");
    expect(mesh.get(buyer, 1, "/admin/x", role("clerk")).nearest?.differs).to.deep.equal(["header"]);
    expect(mesh.get(buyer, 1, "/books").rule).to.equal("shop/cart#0/books");
  });

  it("adds up over TrafficTargets", () => {
    const second = trafficTarget({
      name: "second",
      to: "shop/cart",
      from: ["web/thief"],
      rules: ["TCPRoute/all"],
    });
    const mesh = new ShopMesh(
      deny,
      ...shopService("cart", 1),
      books,
      toCart(),
      second,
      tcpRoute("shop", "all"),
    );
    expect(mesh.get(buyer, 1, "/books").allowed).to.equal(true);
    // A TCPRoute lets HTTP through as well, on every port it does not exclude.
    expect(mesh.get(thief, 1, "/anything").rule).to.equal("shop/second#0");
    expect(mesh.dial(thief, 1)).to.include({ outcome: "delivered", rule: "shop/second#0" });
    expect(mesh.dial(buyer, 1)).to.include({ outcome: "forbidden" });
    expect(mesh.dial(buyer, 1).nearest?.text).to.equal("caller web/buyer is not web/thief");
  });

  it("is bounded by ports of the route and of the destination, container's or Service's", () => {
    const all = tcpRoute("shop", "all");
    const rows: readonly (readonly [Parameters<typeof toCart>[0], boolean, boolean])[] = [
      [{ rules: ["TCPRoute/all"] }, true, true],
      [{ rules: ["TCPRoute/bulk"] }, false, true],
      [{ rules: ["TCPRoute/all"], port: 81 }, false, true],
      [{ rules: ["TCPRoute/all"], port: 8081 }, false, true],
      [{ rules: ["TCPRoute/all"], port: 80 }, true, false],
      [{ rules: ["TCPRoute/bulk"], port: 80 }, false, false],
    ];
    for (const [more, http, tcp] of rows) {
      const mesh = new ShopMesh(
        deny,
        ...shopService("cart", 1),
        all,
        tcpRoute("shop", "bulk", 8081),
        toCart(more),
      );
      expect([mesh.get(buyer, 1).allowed, mesh.dial(buyer, 1).allowed], JSON.stringify(more)).to.deep.equal([
        http,
        tcp,
      ]);
    }
  });

  it("of nothing that is not there", () => {
    const rows: readonly (readonly [Parameters<typeof toCart>[0], string])[] = [
      [{ rules: ["HTTPRouteGroup/none"] }, "TrafficTarget/shop/cart UnresolvedReference spec.rules[0]"],
      [{ rules: ["TCPRoute/none"] }, "TrafficTarget/shop/cart UnresolvedReference spec.rules[0]"],
      [
        { rules: [{ group: "routes", matches: ["none"] }] },
        "TrafficTarget/shop/cart UnresolvedReference spec.rules[0].matches",
      ],
      [{ to: "shop/nobody" }, "TrafficTarget/shop/cart NoEffect spec.destination"],
      [{ port: 99 }, "TrafficTarget/shop/cart NoEffect spec.destination"],
      [{ rules: ["UDPRoute/any"] }, "TrafficTarget/shop/cart NoEffect spec.rules[0]"],
    ];
    for (const [more, finding] of rows) {
      const mesh = new ShopMesh(deny, ...shopService("cart", 1), books, toCart(more));
      expect(mesh.findings()).to.include(finding);
      expect(mesh.get(buyer, 1, "/books").allowed, finding).to.equal(false);
    }
  });

  it("of a group that is gone, and back with it", () => {
    const mesh = new ShopMesh(deny, ...shopService("cart", 1), books, toCart());
    mesh.world.drop(books);
    expect(mesh.get(buyer, 1, "/books").allowed).to.equal(false);
    mesh.world.feed(books);
    expect(mesh.get(buyer, 1, "/books").allowed).to.equal(true);
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("is told where rules of HTTP meet a port of bytes", () => {
    const bytes = [{ name: "tcp", port: 81, targetPort: 8081 }];
    const alone = new ShopMesh(deny, ...shopService("cart", 1, bytes), books, toCart());
    expect(alone.findings()).to.deep.equal(["TrafficTarget/shop/cart NoEffect spec.rules[0]"]);
    const rival = service({
      namespace: "shop",
      name: "raw",
      selector: { app: "cart" },
      ports: [{ name: "tcp", port: 90, targetPort: 8080 }],
    });
    const torn = new ShopMesh(deny, ...shopService("cart", 1), rival, books, toCart());
    expect(torn.findings()).to.include("TrafficTarget/shop/cart ProtocolConflict spec.rules[0]");
    expect(torn.dial(buyer, 1, 80).allowed).to.equal(false);
  });

  it("goes by pod labels: the destination exactly, sources by their accounts", () => {
    const twin = pod({
      namespace: "shop",
      name: "twin",
      ips: ["10.0.0.9"],
      labels: { app: "other" },
      serviceAccount: "cart",
    });
    const binding = identityBinding("shop", "carts", { app: "cart" });
    const callers = identityBinding("web", "callers", { role: "buyer" });
    const target = {
      ...trafficTarget({
        name: "cart",
        to: { kind: "IdentityBinding", name: "carts", namespace: "shop" },
        from: [{ kind: "IdentityBinding", name: "callers", namespace: "web" }],
        rules: ["TCPRoute/all"],
      }),
      apiVersion: "access.smi-spec.io/v1alpha4",
    };
    const labelled = (name: string, role: string) =>
      pod({ namespace: "web", name, ips: [], labels: { role }, serviceAccount: "buyer" });
    const mesh = new ShopMesh(
      deny,
      ...shopService("cart", 1),
      twin,
      binding,
      callers,
      target,
      tcpRoute("shop", "all"),
    );
    expect(mesh.get(buyer, 1).allowed).to.equal(false);
    mesh.world.feed(labelled("b2", "buyer"));
    expect(mesh.get(buyer, 1).rule).to.equal("shop/cart#0");
    expect(mesh.findings()).to.include("TrafficTarget/shop/cart WiderThanLabels spec.sources");
    const groupOf = (name: string) => mesh.world.engine.describe(`uid-shop-${name}`)?.group.targets;
    expect([groupOf("cart-1"), groupOf("twin")]).to.deep.equal([["shop/cart"], []]);
    mesh.world.drop(callers);
    expect(mesh.get(buyer, 1).allowed).to.equal(false);
    expect(mesh.findings()).to.include("TrafficTarget/shop/cart UnresolvedReference spec.sources");
  });

  it("gives every caller that anything is granted to a way of its own, which permissive mode keeps and does not use", () => {
    const target = toCart({ from: ["web/thief", "web/buyer"], rules: ["HTTPRouteGroup/routes"] });
    const mesh = new ShopMesh(deny, ...shopService("cart", 1), books, target);
    const gates = [
      "inbound|8080|spiffe://cluster.local/ns/web/sa/buyer",
      "inbound|8080|spiffe://cluster.local/ns/web/sa/thief",
    ];
    expect(mesh.leaves("caller-gate", cart).map(leaf => leaf.name)).to.deep.equal(gates);
    expect(mesh.leaves("caller-cluster", cart).map(leaf => leaf.name)).to.deep.equal(gates);
    const kinds = ["caller-gate", "caller-cluster"] as const;
    const before = kinds.map(kind => mesh.leaves(kind, cart));
    expect(mesh.leaf("route-table", "inbound|8080", cart).perCaller).to.equal(true);
    mesh.world.feed(meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } }));
    expect(kinds.map(kind => mesh.leaves(kind, cart))).to.deep.equal(before);
    expect(mesh.leaf("route-table", "inbound|8080", cart).perCaller).to.equal(undefined);
    expect(
      mesh.leaf("inbound-listener", "inbound", cart).ports.map(({ perCaller }) => perCaller),
    ).to.deep.equal([undefined, undefined]);
    mesh.world.drop(target);
    for (const kind of kinds) expect(mesh.leaves(kind, cart)).to.deep.equal([]);
  });
});

describe("modes of a namespace", () => {
  const annotated = (annotations: Readonly<Record<string, string>>) => {
    const plain = namespace("shop");
    return { ...plain, metadata: { ...plain.metadata, annotations } };
  };
  const mode = (value: string) => ({ "openservicemesh.io/permissive-traffic-policy-mode": value });
  const plaintext = { "openservicemesh.io/inbound-plaintext": "enabled" };
  const open = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true } });

  it("are over what MeshConfig says, for its pods as destinations", () => {
    const mesh = new ShopMesh(deny, ...shopService("cart", 1));
    expect(mesh.get(buyer, 1).allowed).to.equal(false);
    mesh.world.feed(annotated(mode("enabled")));
    expect(mesh.get(buyer, 1).allowed).to.equal(true);
    mesh.world.feed(open, annotated(mode("disabled")));
    expect(mesh.get(buyer, 1).allowed).to.equal(false);
    mesh.world.feed(annotated({}));
    expect(mesh.get(buyer, 1).allowed).to.equal(true);
  });

  it("let plaintext in where they are permissive", () => {
    const mesh = new ShopMesh(open, ...shopService("cart", 1));
    const ports = () => mesh.leaf("inbound-listener", "inbound", cart).ports.map(port => port.plaintext);
    expect(ports()).to.deep.equal([undefined, undefined]);
    mesh.world.feed(annotated(plaintext));
    expect(ports()).to.deep.equal([{ routeTable: "inbound|8080|plaintext" }, { routeTable: undefined }]);
    const rule = () => mesh.leaf("route-table", "inbound|8080|plaintext", cart).rules[0]?.permission;
    expect(rule()).to.deep.equal({ kind: "anyone" });
    mesh.world.feed(annotated({ ...plaintext, ...mode("disabled") }));
    expect(ports()).to.deep.equal([{ routeTable: "inbound|8080|plaintext" }, undefined]);
    expect(rule()).to.deep.equal({ kind: "allow", identities: [] });
  });

  it("of external authorization that cannot be asked: nobody, whatever is granted", () => {
    const inputs = createInputs(createGraph());
    const world = new ShopMesh(open, ...shopService("cart", 1), annotated(plaintext)).world;
    const group = world.engine.describe("uid-shop-cart-1")?.group;
    if (group === undefined) throw new Error("no group");
    const leaves = groupLeaves(group, {
      meshConfig: inputs.meshConfigRef,
      transport: {
        trustDomain: "cluster.local",
        tls: { minVersion: "TLSv1_2", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] },
      },
      callerDomain: "cluster.local",
      egress: { kind: "some", ports: [], leaves: [] },
      tracing: undefined,
      authorization: meshAuthorization({ kind: "deny" }),
      logging: undefined,
      setting: () => undefined,
      reading: "Prefix",
      ingress: () => ({ chains: [], tables: [], diagnostics: [] }),
      targets: [],
      service: () => ({
        namespace: "shop",
        name: "cart",
        kind: "clusterIP",
        addresses: [],
        selector: {},
        ports: PORTS.map(port => ({ ...port, transport: "TCP", appProtocol: undefined })),
      }),
    });
    const permissions = leaves
      .flatMap(leaf => (leaf.kind === "route-table" ? leaf.rules : []))
      .map(rule => rule.permission);
    expect(permissions).to.deep.equal(Array.from({ length: 2 }, () => ({ kind: "allow", identities: [] })));
  });
});
