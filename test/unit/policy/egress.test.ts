import { expect } from "chai";
import type { Call } from "../../../src/policy/decide";
import type { TestObject } from "../../support/objects";
import { meshConfig } from "../../support/objects";
import { buyer, ShopMesh, thief } from "../../support/shop-mesh";
import { account, egress, upstreamSetting } from "../../support/terms-objects";
import { routeGroup } from "../../support/traffic-objects";
import { proxyOf } from "../../support/world";

const closed = meshConfig({ traffic: { enableEgress: false } });
const web = (spec: object, name = "web/out", created?: string) =>
  egress(name, { sources: [account("web/buyer")], ...spec }, created);
const HTTP = { number: 80, protocol: "http" };
const HTTPS = { number: 443, protocol: "HTTPS" };
const DB = { number: 3306, protocol: "tcp" };

function call(mesh: ShopMesh, from: TestObject, to: Partial<Omit<Call, "from">>) {
  return mesh.world.engine.explain(proxyOf(from).podUid, { address: "192.0.2.1", port: 80, ...to });
}
function get(
  mesh: ShopMesh,
  host: string,
  more: Partial<Omit<Call, "from">> & { path?: string; from?: TestObject } = {},
) {
  const { path = "/", from = buyer, ...rest } = more;
  const http = { method: "GET", path, headers: { Host: host } };
  return call(mesh, from, { http, ...rest })?.outcome;
}

describe("egress", () => {
  it("opens HTTP to its hosts, of its sources, and nothing else", () => {
    const mesh = new ShopMesh(closed, web({ hosts: ["api.example.com", "*.example.org"], ports: [HTTP] }));
    expect(get(mesh, "API.example.com")).to.equal("passthrough");
    expect(get(mesh, "api.example.com:80")).to.equal("passthrough");
    expect(get(mesh, "a.b.example.org")).to.equal("passthrough");
    expect(get(mesh, "example.org")).to.equal("no-rule");
    expect(get(mesh, "evil.example")).to.equal("no-rule");
    expect(get(mesh, "api.example.com", { port: 81 })).to.equal("refused");
    expect(get(mesh, "api.example.com", { from: thief })).to.equal("refused");
    const names = mesh.leaves("external-cluster", buyer).map(({ name }) => name);
    expect(names).to.deep.equal(["egress|api.example.com|80"]);
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("of a host goes to that host's cluster, so that a forged Host leads nowhere", () => {
    const mesh = new ShopMesh(closed, web({ hosts: ["api.example.com", "*.example.org"], ports: [HTTP] }));
    const table = mesh.leaf("route-table", "egress|80", buyer);
    const clusters = table.hosts?.map(({ name, rules }) => [name, rules[0]?.backends[0]?.cluster]);
    expect(clusters).to.deep.equal([
      ["*.example.org", "passthrough"],
      ["api.example.com", "egress|api.example.com|80"],
    ]);
  });

  it("holds requests to the groups it names, also when they are not there", () => {
    const named = web({
      hosts: ["api.example.com"],
      ports: [HTTP],
      matches: [{ apiGroup: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", name: "status" }],
    });
    const mesh = new ShopMesh(closed, named);
    expect(get(mesh, "api.example.com")).to.equal("refused");
    expect(mesh.findings()).to.deep.equal(["Egress/web/out UnresolvedReference spec.matches"]);
    mesh.world.feed(routeGroup("web", "status", [{ name: "s", pathRegex: "/status", methods: ["GET"] }]));
    expect(get(mesh, "api.example.com", { path: "/status/200" })).to.equal("passthrough");
    expect(get(mesh, "api.example.com", { path: "/" })).to.equal("no-rule");
  });

  it("is bounded by addresses, of HTTP as well", () => {
    const mesh = new ShopMesh(
      closed,
      web({ hosts: ["in.example.com"], ports: [HTTP, DB], ipAddresses: ["10.50.0.0/16"] }),
      web({ hosts: ["any.example.com"], ports: [HTTP] }, "web/any"),
    );
    const inside = { address: "10.50.3.4" };
    expect(get(mesh, "in.example.com", inside)).to.equal("passthrough");
    expect(get(mesh, "any.example.com", inside)).to.equal("passthrough");
    expect(get(mesh, "in.example.com")).to.equal("no-rule");
    expect(get(mesh, "any.example.com")).to.equal("passthrough");
    expect(call(mesh, buyer, { port: 3306, ...inside })?.outcome).to.equal("passthrough");
    expect(call(mesh, buyer, { port: 3306 })?.outcome).to.equal("refused");
  });

  it("makes no route table where some server may speak first, as all that TCP may dial there is bytes", () => {
    const tables = (...ports: readonly object[]): readonly string[] => {
      const mesh = new ShopMesh(
        closed,
        web({ hosts: ["api.example.com"], ports: [HTTP] }),
        ...ports.map(tcp),
      );
      return mesh.leaves("route-table", buyer).flatMap(({ name }) => (/^egress/.test(name) ? [name] : []));
    };
    const tcp = (spec: object, index: number): TestObject =>
      web({ hosts: [], ipAddresses: [], ...spec }, `web/tcp-${index}`);
    const first = { number: 80, protocol: "tcp-server-first" };
    expect(tables()).to.deep.equal(["egress|80"]);
    expect(tables({ ports: [first] })).to.deep.equal([]);
    expect(tables({ ports: [{ ...first, protocol: "tcp" }] })).to.deep.equal(["egress|80"]);
    expect(tables({ ports: [{ ...first, number: 81 }] })).to.deep.equal(["egress|80"]);
    // Addresses outside of the range are still held to their hosts.
    expect(tables({ ports: [first], ipAddresses: ["192.0.2.0/24"] })).to.deep.equal(["egress|80"]);
  });

  it("opens TLS by server name", () => {
    const mesh = new ShopMesh(closed, web({ hosts: ["api.example.com", "*.example.org"], ports: [HTTPS] }));
    const tls = (serverName: string) => call(mesh, buyer, { port: 443, serverName })?.outcome;
    expect(["api.example.com", "x.example.org", "example.net"].map(tls)).to.deep.equal([
      "passthrough",
      "passthrough",
      "refused",
    ]);
    expect(call(mesh, buyer, { port: 443 })?.outcome).to.equal("refused");
  });

  it("adds up, and takes connection limits of the setting that it names", () => {
    const limits = { connectionSettings: { tcp: { maxConnections: 1, connectTimeout: "2s" } } };
    const named = { kind: "UpstreamTrafficSetting", name: "api" };
    const mesh = new ShopMesh(
      closed,
      web({ hosts: ["api.example.com"], ports: [HTTP], matches: [named] }, "web/a", "2026-01-01T00:00:00Z"),
      web({ hosts: ["api.example.com", "b.example.com"], ports: [HTTP] }, "web/b", "2026-01-02T00:00:00Z"),
      upstreamSetting("web/api", { host: "api.example.com", ...limits }),
    );
    expect(get(mesh, "b.example.com")).to.equal("passthrough");
    const cluster = mesh.leaf("external-cluster", "egress|api.example.com|80", buyer);
    expect(cluster.connection).to.include({ maxConnections: 1, connectTimeoutMs: 2000 });
    expect(cluster.origins.map(({ name }) => name)).to.deep.equal(["a", "api", "b"]);
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("of another namespace opens nothing here (P-06)", () => {
    const foreign = egress("shop/out", {
      sources: [account("web/buyer")],
      hosts: ["api.example.com"],
      ports: [HTTP],
    });
    const mesh = new ShopMesh(closed, foreign);
    expect(get(mesh, "api.example.com")).to.equal("refused");
  });

  it("says when it has no effect", () => {
    const all = meshConfig({ traffic: { enableEgress: true } });
    const mesh = new ShopMesh(all, web({ hosts: ["a.example"], ports: [HTTP] }));
    expect(mesh.findings()).to.deep.equal(["Egress/web/out NoEffect spec"]);
    expect(mesh.leaves("external-cluster", buyer)).to.deep.equal([]);
    mesh.world.feed(closed, egress("web/out", { sources: [account("web/nobody")], ports: [HTTP] }));
    expect(mesh.findings()).to.deep.equal([
      "Egress/web/out NoEffect spec.hosts",
      "Egress/web/out NoEffect spec.sources",
      "Egress/web/out NoEffect spec.sources",
    ]);
    mesh.world.feed(web({ hosts: ["a.example"], ports: [DB] }));
    expect(mesh.findings()).to.deep.equal(["Egress/web/out NoEffect spec.hosts"]);
  });
});
