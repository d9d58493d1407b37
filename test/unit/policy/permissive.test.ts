import { expect } from "chai";
import type { Leaf } from "../../../src/policy/types";
import type { TestObject } from "../../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../../support/objects";
import { createWorld, proxyOf } from "../../support/world";

/** Every pod can be called by its own address. */
const everyPod = meshConfig({ traffic: { podAddresses: "Mesh" } });

type LeafOf<K extends Leaf["kind"]> = Extract<Leaf, { kind: K }>;

const client = pod({ namespace: "web", name: "buyer", ips: ["10.0.1.1"], serviceAccount: "buyer" });
const member = (name: string, ip: string, app = "cart"): TestObject =>
  pod({ namespace: "shop", name, ips: [ip], labels: { app }, serviceAccount: app });

/** The policy of the client pod (or another) in a mesh of two namespaces. */
function policyOf(objects: readonly TestObject[], of: TestObject = client) {
  const world = createWorld();
  world.feed(namespace("web"), namespace("shop"), client, ...objects);
  const leaves = world.engine.describe(proxyOf(of).podUid)?.leaves ?? [];
  return {
    engine: world.engine,
    all: <K extends Leaf["kind"]>(kind: K): readonly LeafOf<K>[] =>
      leaves.filter((leaf): leaf is LeafOf<K> => leaf.kind === kind),
    one: <K extends Leaf["kind"]>(kind: K, name: string): LeafOf<K> => {
      const found = leaves.find((leaf): leaf is LeafOf<K> => leaf.kind === kind && leaf.name === name);
      if (found === undefined)
        throw new Error(`no ${kind} ${name} among ${leaves.map(leaf => leaf.name).join(", ")}`);
      return found;
    },
  };
}

function cartBehind(
  ports: Parameters<typeof service>[0]["ports"],
  more: Partial<Parameters<typeof service>[0]> = {},
) {
  return [
    service({ namespace: "shop", name: "cart", clusterIPs: ["10.9.0.1"], ports, ...more }),
    member("cart-1", "10.0.0.1"),
    slice({
      namespace: "shop",
      service: "cart",
      ports: ports.map(({ name = "", port, targetPort }) => ({
        name,
        port: typeof targetPort === "number" ? targetPort : port,
      })),
      endpoints: [{ address: "10.0.0.1", pod: "cart-1" }],
    }),
  ];
}

describe("permissive policy of a client", () => {
  it("sends what is dialled at a Service to its ready pods, whoever the Host", () => {
    const policy = policyOf(cartBehind([{ name: "http", port: 80, targetPort: 8080 }]));
    const listener = policy.one("outbound-listener", "outbound|shop/cart|80");
    expect(listener.addresses).to.deep.equal(["10.9.0.1"]);
    expect(listener.handling).to.deep.include({ kind: "http", routeTable: "outbound|shop/cart|80" });
    const [rule] = policy.one("route-table", "outbound|shop/cart|80").rules;
    expect(rule?.matches).to.deep.equal([{ path: { kind: "any" }, methods: [], headers: [] }]);
    expect(rule?.backends).to.deep.equal([{ cluster: "outbound|shop/cart|80", weight: 1 }]);
    const cluster = policy.one("upstream-cluster", "outbound|shop/cart|80");
    expect(cluster.serverIdentities).to.deep.equal([{ namespace: "shop", serviceAccount: "cart" }]);
    expect(cluster.sni).to.equal("cart.shop.svc.cluster.local");
    expect(policy.one("endpoint-set", "outbound|shop/cart|80").endpoints).to.deep.equal([
      {
        address: "10.0.0.1",
        port: 8080,
        zone: undefined,
        party: { namespace: "shop", kind: "Pod", name: "cart-1", pod: "cart-1" },
      },
    ]);
  });

  it("carries calls of every pod's own address as bytes, checked for the identities of its Service, where told to", () => {
    const policy = policyOf([...cartBehind([{ name: "http", port: 80, targetPort: 8080 }]), everyPod]);
    const listener = policy.one("outbound-listener", "outbound|10.0.0.1|8080");
    expect(listener.handling).to.deep.equal({
      kind: "tcp",
      backends: [{ cluster: "outbound|shop/cart|80|direct", weight: 1 }],
    });
    const cluster = policy.one("upstream-cluster", "outbound|shop/cart|80|direct");
    expect([cluster.protocol, cluster.discovery.kind]).to.deep.equal(["tcp", "original-destination"]);
    expect(cluster.serverIdentities).to.deep.equal([{ namespace: "shop", serviceAccount: "cart" }]);
  });

  it("knows nothing of a pod's own address that no headless Service picks, nor of a port that it does not name", () => {
    const ports = [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "tcp", port: 90, targetPort: 9090 },
    ];
    const named = (policy: ReturnType<typeof policyOf>): readonly string[] =>
      [...policy.all("outbound-listener"), ...policy.all("upstream-cluster")].map(leaf => leaf.name);
    const served = ["outbound|shop/cart|80", "outbound|shop/cart|90"];
    expect(named(policyOf(cartBehind(ports)))).to.deep.equal([...served, ...served]);
    const peers = service({
      namespace: "shop",
      name: "peers",
      clusterIPs: ["None"],
      selector: { app: "cart" },
      ports: [{ name: "http", port: 8080 }],
    });
    const slices = slice({
      namespace: "shop",
      service: "peers",
      ports: [{ name: "http", port: 8080 }],
      endpoints: [{ address: "10.0.0.1", pod: "cart-1" }],
    });
    const picked = [...cartBehind(ports), peers, slices];
    expect(named(policyOf(picked))).to.have.members([
      ...[...served, "outbound|10.0.0.1|8080"],
      ...[...served, "outbound|shop/peers|8080"],
    ]);
    expect(named(policyOf([...picked, everyPod]))).to.have.members([
      ...[...served, "outbound|10.0.0.1|8080", "outbound|10.0.0.1|9090"],
      ...[...served, "outbound|shop/peers|8080", ...served.map(name => `${name}|direct`)],
    ]);
  });

  it("treats a headless Service's pods like the Service", () => {
    const policy = policyOf(
      cartBehind([{ name: "http", port: 80, targetPort: 8080 }], { clusterIPs: ["None"] }),
    );
    expect(policy.all("endpoint-set")).to.deep.equal([]);
    expect(policy.all("outbound-listener").map(leaf => leaf.name)).to.deep.equal(["outbound|10.0.0.1|8080"]);
    expect(policy.one("outbound-listener", "outbound|10.0.0.1|8080").handling).to.deep.include({
      routeTable: "outbound|shop/cart|80",
    });
    expect(policy.one("upstream-cluster", "outbound|shop/cart|80").discovery.kind).to.equal(
      "original-destination",
    );
  });

  it("prefers the headless Service where several lead to a pod's port", () => {
    const policy = policyOf([
      ...cartBehind([{ name: "http", port: 80, targetPort: 8080 }]),
      service({
        namespace: "shop",
        name: "peers",
        clusterIPs: ["None"],
        selector: { app: "cart" },
        ports: [{ name: "tcp", port: 8080 }],
      }),
    ]);
    expect(policy.one("outbound-listener", "outbound|10.0.0.1|8080").handling).to.deep.equal({
      kind: "tcp",
      backends: [{ cluster: "outbound|shop/peers|8080", weight: 1 }],
    });
  });

  it("leaves the sidecar's own ports and UDP alone", () => {
    const policy = policyOf([
      ...cartBehind([
        { name: "metrics", port: 80, targetPort: 15010 },
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "tcp", port: 90, targetPort: 9090 },
      ]),
      everyPod,
    ]);
    expect(policy.all("outbound-listener").map(leaf => leaf.port)).to.deep.equal([90, 9090]);
    expect(policy.all("upstream-cluster").map(leaf => leaf.name)).to.deep.equal([
      "outbound|shop/cart|90",
      "outbound|shop/cart|90|direct",
    ]);
  });

  it("lets unknown destinations pass or not, as egress says", () => {
    const on = policyOf([]);
    expect(on.one("outbound-catch-all", "outbound").passthroughCluster).to.equal("passthrough");
    expect(on.all("passthrough-cluster")).to.have.length(1);
    const off = policyOf([meshConfig({ traffic: { enableEgress: false } })]);
    expect(off.one("outbound-catch-all", "outbound").passthroughCluster).to.equal(undefined);
    expect(off.all("passthrough-cluster")).to.deep.equal([]);
  });

  it("serves nothing itself when it is in no Service", () => {
    expect(policyOf([]).one("inbound-listener", "inbound").ports).to.deep.equal([]);
  });

  it("has no listener twice for one address and port", () => {
    const port = [{ name: "tcp", port: 90 }];
    const policy = policyOf([
      service({ namespace: "shop", name: "a", clusterIPs: ["10.9.0.1"], ports: port }),
      service({ namespace: "shop", name: "b", clusterIPs: ["10.9.0.1"], ports: port }),
    ]);
    expect(policy.all("outbound-listener").map(leaf => leaf.name)).to.deep.equal(["outbound|shop/a|90"]);
  });
});

describe("permissive policy of a server", () => {
  const cart = member("cart-1", "10.0.0.1");
  const ports = [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "tcp", port: 81, targetPort: 8081 },
  ];

  it("lets every identity of the mesh in, and nobody without permissive mode", () => {
    const open = policyOf(cartBehind(ports), cart);
    expect(open.one("inbound-listener", "inbound").ports.map(port => port.permission.kind)).to.deep.equal([
      "any-mesh-identity",
      "any-mesh-identity",
    ]);
    const config = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } });
    const closed = policyOf([...cartBehind(ports), config], cart);
    const [http, tcp] = closed.one("inbound-listener", "inbound").ports;
    // The rules of an HTTP port decide; bytes are decided about before the first of them.
    expect(http?.permission).to.deep.equal({ kind: "any-mesh-identity" });
    expect(tcp?.permission).to.deep.equal({ kind: "allow", identities: [] });
    expect(closed.one("route-table", "inbound|8080").rules[0]?.permission).to.deep.equal({
      kind: "grants",
      grants: [],
    });
    expect(closed.all("caller-gate")).to.deep.equal([]);
  });

  it("is known to every client, whoever may call it", () => {
    const config = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } });
    const names = (policy: ReturnType<typeof policyOf>): readonly string[] =>
      [...policy.all("upstream-cluster"), ...policy.all("outbound-listener")].map(leaf => leaf.name);
    expect(names(policyOf([...cartBehind(ports), config]))).to.deep.equal(names(policyOf(cartBehind(ports))));
  });

  it("reaches the application at the container port", () => {
    const policy = policyOf(cartBehind(ports), cart);
    expect(policy.one("local-cluster", "local|8080")).to.include({ port: 8080, protocol: "http" });
    expect(policy.one("local-cluster", "local|8081")).to.include({ port: 8081, protocol: "tcp" });
    expect(policy.one("route-table", "inbound|8080").rules[0]?.backends).to.deep.equal([
      { cluster: "local|8080", weight: 1 },
    ]);
  });

  it("asks the authorization server on HTTP ports", () => {
    const authorization = { enable: true, address: "authz.example", port: 9191, timeout: "1.5s" };
    const withConfig = (inboundExternalAuthorization: object) =>
      policyOf([...cartBehind(ports), meshConfig({ traffic: { inboundExternalAuthorization } })], cart);
    const asked = withConfig(authorization);
    const [http, tcp] = asked.one("inbound-listener", "inbound").ports;
    expect(http?.externalAuthorization).to.include({ cluster: "external-authorization", timeoutMs: 1500 });
    expect(tcp?.externalAuthorization).to.equal(undefined);
    expect(asked.one("external-cluster", "external-authorization")).to.include({ http2: true, port: 9191 });
  });

  it("tells owners of Services that disagree about a container port", () => {
    const other = service({
      namespace: "shop",
      name: "raw",
      selector: { app: "cart" },
      ports: [{ name: "tcp", port: 90, targetPort: 8080 }],
    });
    const policy = policyOf([...cartBehind(ports), other], cart);
    expect(policy.one("inbound-listener", "inbound").ports[0]?.handling.kind).to.equal("tcp");
    expect([...policy.engine.diagnostics().keys()]).to.deep.equal(["Service/shop/cart"]);
    expect(
      policy.engine
        .diagnostics()
        .get("Service/shop/cart")
        ?.map(d => d.code),
    ).to.deep.equal(["ProtocolConflict"]);
  });
});
