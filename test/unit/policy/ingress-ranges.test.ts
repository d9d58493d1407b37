import { expect } from "chai";
import { meshConfig, pod, slice, type TestObject } from "../../support/objects";
import { address, shopPod, shopService, ShopMesh } from "../../support/shop-mesh";
import { ingressBackend } from "../../support/terms-objects";
import { DENY, routeGroup } from "../../support/traffic-objects";
import { proxyOf } from "../../support/world";

const cart = shopPod("cart", 1);
const gateway = pod({ namespace: "edge", name: "gateway", ips: ["10.100.9.1"], meshed: false });
const other = pod({ namespace: "edge", name: "other", ips: ["10.100.8.1"], meshed: false });
const metrics = routeGroup("shop", "metrics", [{ name: "m", pathRegex: "/metrics", methods: ["GET"] }]);
const http = { name: "cart", port: { number: 8080, protocol: "http" } };
const secure = (...sniHosts: readonly string[]): object => ({
  name: "cart",
  port: { number: 8080, protocol: "https" },
  tls: { skipClientCertValidation: true, sniHosts },
});
const OLD = "2026-01-01T00:00:00Z";
const YOUNG = "2026-02-01T00:00:00Z";
const ofRanges = (
  name: string,
  created: string,
  { ranges, ...spec }: { readonly ranges: readonly string[]; readonly [field: string]: unknown },
): TestObject =>
  ingressBackend(
    `shop/${name}`,
    { backends: [http], sources: ranges.map(range => ({ kind: "IPRange", name: range })), ...spec },
    created,
  );
const shop = (...objects: readonly TestObject[]): ShopMesh =>
  new ShopMesh(meshConfig(DENY), ...shopService("cart", 1), gateway, other, metrics, ...objects);
const chains = (mesh: ShopMesh): readonly string[] =>
  (mesh.leaf("inbound-listener", "inbound", cart).ports.find(({ port }) => port === 8080)?.ingress ?? []).map(
    ({ name, cidrs }) => `${name}: ${cidrs.join(" ")}`,
  );
function get(mesh: ShopMesh, from: TestObject, path: string): string | undefined {
  const { podIP } = from["status"] as { podIP: string };
  const call = { address: address(1), port: 80, source: podIP, http: { method: "GET", path, headers: {} } };
  return mesh.world.engine.explain(proxyOf(from).podUid, call)?.outcome;
}

describe("one range of callers in several spellings", () => {
  it("is one range of an IngressBackend", () => {
    const mesh = shop(
      ofRanges("a", OLD, { ranges: ["10.0.9.7/24", "FD00::/8", "10.0.9.0/24", "fd00:0::/8"] }),
    );
    expect(chains(mesh)).to.deep.equal(["shop/a: 10.0.9.0/24 fd00::/8"]);
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("is one range of two IngressBackends, of which the oldest counts", () => {
    const mesh = shop(
      ofRanges("old", OLD, { ranges: ["10.0.9.0/24"] }),
      ofRanges("young", YOUNG, { ranges: ["10.0.9.7/24"] }),
    );
    expect(chains(mesh)).to.deep.equal(["shop/old: 10.0.9.0/24"]);
    expect(mesh.findings()).to.deep.equal(["IngressBackend/shop/young Conflicted spec.sources"]);
  });

  it("is one range also where endpoints of a Service write it", () => {
    const pods = slice({
      namespace: "edge",
      service: "gateway",
      ports: [{ port: 80 }],
      endpoints: [{ address: "FD00:0::1" }],
      addressType: "IPv6",
    });
    const sources = [
      { kind: "Service", namespace: "edge", name: "gateway" },
      { kind: "IPRange", name: "fd00::1/128" },
    ];
    const mesh = shop(pods, ingressBackend("shop/a", { backends: [http], sources }, OLD));
    expect(chains(mesh)).to.deep.equal(["shop/a: fd00::1/128"]);
  });
});

describe("a range within the range of an older IngressBackend", () => {
  const old = ofRanges("old", OLD, { ranges: ["10.100.0.0/16"] });
  const matches = [{ kind: "HTTPRouteGroup", name: "metrics" }];

  it("stays the older one's, and the younger is told", () => {
    const mesh = shop(old);
    expect(get(mesh, gateway, "/")).to.equal("delivered");
    mesh.world.feed(ofRanges("young", YOUNG, { ranges: ["10.100.9.0/24"], matches }));
    expect(get(mesh, gateway, "/")).to.equal("delivered");
    expect(chains(mesh)).to.deep.equal(["shop/old: 10.100.0.0/16"]);
    expect(mesh.told("IngressBackend", "young")[0]).to.deep.include({
      severity: "error",
      code: "Conflicted",
      field: "spec.sources",
      message:
        "IngressBackend shop/old is older and speaks of the same callers of container port 8080; this one lets nobody in there",
    });
    mesh.world.drop(old);
    expect(get(mesh, gateway, "/"), "without the older").to.equal("no-rule");
    expect(get(mesh, gateway, "/metrics")).to.equal("delivered");
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("costs the younger only that range", () => {
    const mesh = shop(old, ofRanges("young", YOUNG, { ranges: ["10.100.9.0/24", "10.101.0.0/16"] }));
    expect(chains(mesh)).to.deep.equal(["shop/old: 10.100.0.0/16", "shop/young: 10.101.0.0/16"]);
    expect(mesh.told("IngressBackend", "young")[0]).to.include({ severity: "warning", code: "Conflicted" });
  });

  it("is the older one's also where that is the narrower, and the younger has what is around it", () => {
    const mesh = shop(
      ofRanges("narrow", OLD, { ranges: ["10.100.9.0/24"], matches }),
      ofRanges("wide", YOUNG, { ranges: ["10.100.0.0/16"] }),
    );
    expect(chains(mesh)).to.deep.equal(["shop/narrow: 10.100.9.0/24", "shop/wide: 10.100.0.0/16"]);
    expect(get(mesh, gateway, "/")).to.equal("no-rule");
    expect(get(mesh, other, "/")).to.equal("delivered");
    expect(mesh.told("IngressBackend", "wide")[0]).to.include({ severity: "warning", code: "Conflicted" });
    expect(mesh.told("IngressBackend", "narrow")).to.deep.equal([]);
  });

  it("is no conflict of an object with itself, nor of ranges that are apart", () => {
    const mesh = shop(
      ofRanges("a", OLD, { ranges: ["10.100.0.0/16", "10.100.9.0/24"] }),
      ofRanges("b", YOUNG, { ranges: ["10.101.0.0/16", "::/0"] }),
    );
    expect(chains(mesh)).to.deep.equal(["shop/a: 10.100.0.0/16 10.100.9.0/24", "shop/b: 10.101.0.0/16 ::/0"]);
    expect(mesh.findings()).to.deep.equal([]);
  });
});

describe("server names of an IngressBackend", () => {
  it("are lower case, without the last dot, each once", () => {
    const mesh = shop(
      ofRanges("a", OLD, { ranges: ["10.0.0.0/8"], backends: [secure("a.com", "A.com.", "B.com.")] }),
    );
    const [port] = mesh.leaf("inbound-listener", "inbound", cart).ports;
    expect(port?.ingress?.[0]?.tls).to.deep.equal({ verifyClient: false, serverNames: ["a.com", "b.com"] });
  });

  it("are compared so with those of an older one", () => {
    const range = { ranges: ["10.0.0.0/8"] };
    const mesh = shop(
      ofRanges("old", OLD, { ...range, backends: [secure("a.com")] }),
      ofRanges("young", YOUNG, { ...range, backends: [secure("A.com.")] }),
    );
    expect(chains(mesh)).to.deep.equal(["shop/old|tls: 10.0.0.0/8"]);
    expect(mesh.findings()).to.deep.equal(["IngressBackend/shop/young Conflicted spec.sources"]);
  });
});
