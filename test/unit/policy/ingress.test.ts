import { expect } from "chai";
import { meshConfig, pod, slice, type TestObject } from "../../support/objects";
import { address, shopPod, shopService, ShopMesh } from "../../support/shop-mesh";
import { ingressBackend } from "../../support/terms-objects";
import { DENY, routeGroup } from "../../support/traffic-objects";
import { proxyOf } from "../../support/world";

const deny = meshConfig(DENY);
const cart = shopPod("cart", 1);
const gateway = pod({ namespace: "edge", name: "gateway", ips: ["10.0.9.1"], meshed: false });
const other = pod({ namespace: "edge", name: "other", ips: ["10.0.9.2"], meshed: false });
const gateways = slice({
  namespace: "edge",
  service: "gateway",
  ports: [{ port: 80 }],
  endpoints: [{ address: "10.0.9.1", pod: "gateway", ready: false }],
});
const ofGateway = { kind: "Service", namespace: "edge", name: "gateway" };
const http = { name: "cart", port: { number: 8080, protocol: "http" } };
const https = {
  name: "cart",
  port: { number: 8080, protocol: "https" },
  tls: { skipClientCertValidation: false, sniHosts: ["cart.example"] },
};
const principal = { kind: "AuthenticatedPrincipal", name: "gateway.edge.cluster.local" };
const backend = (spec: object, key = "shop/cart", created?: string) =>
  ingressBackend(key, { backends: [http], sources: [ofGateway], ...spec }, created);

function get(mesh: ShopMesh, from: typeof gateway, path = "/") {
  const { podIP } = from["status"] as { podIP: string };
  const call = { address: address(1), port: 80, source: podIP, http: { method: "GET", path, headers: {} } };
  return mesh.world.engine.explain(proxyOf(from).podUid, call)?.outcome;
}
const chains = (mesh: ShopMesh) =>
  mesh.leaf("inbound-listener", "inbound", cart).ports.find(({ port }) => port === 8080)?.ingress;
const shop = (...objects: readonly TestObject[]) =>
  new ShopMesh(deny, ...shopService("cart", 1), gateway, other, gateways, ...objects);

describe("ingress", () => {
  it("lets in the pods of a Service, with a sidecar or without, and nobody else", () => {
    const mesh = shop(backend({}));
    expect(get(mesh, gateway)).to.equal("delivered");
    expect(get(mesh, other)).to.equal("refused");
    expect(chains(mesh)?.map(({ name, cidrs, tls }) => ({ name, cidrs, tls }))).to.deep.equal([
      { name: "shop/cart", cidrs: ["10.0.9.1/32"], tls: undefined },
    ]);
    expect(mesh.findings()).to.deep.equal([]);
    mesh.world.drop(gateways);
    expect(chains(mesh)).to.equal(undefined);
    expect(mesh.findings()).to.deep.equal(["IngressBackend/shop/cart UnresolvedReference spec.sources"]);
  });

  it("lets in address ranges, and of requests those that match", () => {
    const sources = [{ kind: "IPRange", name: "10.0.9.0/24" }];
    const mesh = shop(backend({ sources, matches: [{ kind: "HTTPRouteGroup", name: "books" }] }));
    expect(get(mesh, other)).to.equal("no-rule");
    expect(mesh.findings()).to.deep.equal(["IngressBackend/shop/cart UnresolvedReference spec.matches"]);
    mesh.world.feed(routeGroup("shop", "books", [{ name: "b", pathRegex: "/books" }]));
    expect(get(mesh, other, "/books/1")).to.equal("delivered");
    expect(get(mesh, other, "/admin")).to.equal("no-rule");
  });

  it("by certificate asks for the name, and for the address as well where one is given", () => {
    const mesh = shop(backend({ backends: [https], sources: [principal] }));
    const [chain] = chains(mesh) ?? [];
    expect(chain?.cidrs).to.deep.equal(["0.0.0.0/0", "::/0"]);
    expect(chain?.tls).to.deep.equal({ verifyClient: true, serverNames: ["cart.example"] });
    const [rule] = mesh.leaf("route-table", chain?.routeTable ?? "", cart).rules;
    expect(rule?.permission).to.deep.equal({ kind: "principals", names: [principal.name] });
    expect(get(mesh, gateway)).to.equal("refused");
    mesh.world.feed(backend({ backends: [https], sources: [principal, ofGateway] }));
    expect(chains(mesh)?.[0]?.cidrs).to.deep.equal(["10.0.9.1/32"]);
  });

  it("is nobody's where only a name is given that nobody can show", () => {
    const mesh = shop(backend({ sources: [principal] }));
    expect(chains(mesh)).to.equal(undefined);
    expect(mesh.told("IngressBackend", "cart")[0]).to.include({ code: "NoEffect", severity: "error" });
    mesh.world.feed(backend({ sources: [principal, ofGateway] }));
    expect(mesh.told("IngressBackend", "cart")[0]).to.include({ code: "NoEffect", severity: "warning" });
    expect(get(mesh, gateway)).to.equal("delivered");
  });

  it("of the same callers: the oldest counts, the other is told", () => {
    const mesh = shop(
      backend({}, "shop/a-young", "2026-02-01T00:00:00Z"),
      backend({}, "shop/z-old", "2026-01-01T00:00:00Z"),
    );
    expect(chains(mesh)?.map(({ name }) => name)).to.deep.equal(["shop/z-old"]);
    expect(mesh.findings()).to.deep.equal(["IngressBackend/shop/a-young Conflicted spec.sources"]);
    expect(mesh.told("IngressBackend", "a-young")[0]?.message).to.contain("shop/z-old is older");
  });

  it("says what its backends are not", () => {
    const ports = [8081, 9999].map(number => ({ name: "cart", port: { number, protocol: "http" } }));
    const mesh = shop(backend({ backends: [...ports, { ...http, name: "gone" }] }));
    expect(
      mesh.told("IngressBackend", "cart").map(({ code, message }) => `${code}: ${message}`),
    ).to.deep.equal([
      "NoEffect: container port 8081 of Service shop/cart is carried as tcp; ingress is HTTP",
      "UnresolvedReference: Service shop/gone is not of the mesh",
      "UnresolvedReference: no port of Service shop/cart leads to container port 9999",
    ]);
  });

  it("of another namespace opens nothing here (P-06)", () => {
    const mesh = shop(backend({}, "edge/cart"));
    expect(chains(mesh)).to.equal(undefined);
    expect(get(mesh, gateway)).to.equal("refused");
  });
});
