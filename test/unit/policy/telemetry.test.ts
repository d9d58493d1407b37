import { expect } from "chai";
import { meshConfig, pod, type TestObject } from "../../support/objects";
import { buyer, shopPod, shopService, ShopMesh, thief } from "../../support/shop-mesh";
import { extensionService, telemetry } from "../../support/terms-objects";

const open = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true, podAddresses: "Mesh" } });
const cart = shopPod("cart", 1);
const log = (format: string, selector?: object) => ({
  ...(selector === undefined ? {} : { selector }),
  accessLog: { format },
});
const shop = (...objects: readonly TestObject[]) => new ShopMesh(open, ...shopService("cart", 1), ...objects);
const formats = (mesh: ShopMesh, of: TestObject) => [
  mesh.leaf("inbound-listener", "inbound", of).accessLog?.format,
  mesh.leaf("outbound-catch-all", "outbound", of).accessLog?.format,
  mesh.leaf("outbound-listener", "outbound|shop/cart|80", of).accessLog?.format,
  mesh.leaf("outbound-listener", "outbound|10.0.0.1|8080", of).accessLog?.format,
];
const all = (format: string | undefined) => Array.from({ length: 4 }, () => format);

describe("telemetry", () => {
  it("counts by nearness: labels, then the namespace, then the mesh", () => {
    const mesh = shop();
    expect(formats(mesh, cart)).to.deep.equal(all(undefined));
    mesh.world.feed(telemetry("osm-system/mesh", log("mesh")));
    expect([formats(mesh, cart), formats(mesh, buyer)]).to.deep.equal([all("mesh"), all("mesh")]);
    mesh.world.feed(telemetry("shop/all", log("namespace")));
    expect([formats(mesh, cart), formats(mesh, buyer)]).to.deep.equal([all("namespace"), all("mesh")]);
    mesh.world.feed(telemetry("shop/cart", log("labels", { app: "cart" })));
    expect(formats(mesh, cart)).to.deep.equal(all("labels"));
    expect(mesh.findings()).to.deep.equal(["Telemetry/shop/all NoEffect spec.selector"]);
  });

  it("whose labels do not fit is not that of the namespace (BUG-9a)", () => {
    const mesh = shop(telemetry("shop/other", log("other", { app: "other" })));
    expect(formats(mesh, cart)).to.deep.equal(all(undefined));
    expect(mesh.findings()).to.deep.equal(["Telemetry/shop/other NoEffect spec.selector"]);
  });

  it("of another namespace speaks of no pod here, whatever its labels (BUG-9b, P-06)", () => {
    const mesh = shop(telemetry("web/cart", log("foreign", { app: "cart" })));
    expect(formats(mesh, cart)).to.deep.equal(all(undefined));
    mesh.world.feed(telemetry("osm-system/cart", log("foreign", { app: "cart" })));
    expect(formats(mesh, cart)).to.deep.equal(all(undefined));
  });

  it("that says nothing of logs is left out (BUG-10)", () => {
    const mesh = shop(
      telemetry("shop/all", log("namespace")),
      telemetry("shop/cart", { selector: { app: "cart" } }),
    );
    expect(formats(mesh, cart)).to.deep.equal(all("namespace"));
    expect(mesh.findings()).to.deep.equal(["Telemetry/shop/cart NoEffect spec"]);
  });

  it("has the share of traces, where MeshConfig has tracing on", () => {
    const shares = (mesh: ShopMesh, of: TestObject): readonly unknown[] => {
      const listener = mesh.leaf("outbound-listener", "outbound|shop/cart|80", of);
      const port = mesh.leaf("inbound-listener", "inbound", of).ports[0];
      return [listener, port].map(each =>
        each?.handling.kind === "http" ? each.handling.tracing?.samplingPercentage : "tcp",
      );
    };
    const rare = telemetry("shop/cart", { selector: { app: "cart" }, tracing: { samplingPercentage: 0 } });
    const mesh = shop(rare);
    expect(shares(mesh, cart)).to.deep.equal([undefined, undefined]);
    const tracing = { enable: true, address: "otel", port: 4317, protocol: "otlp", samplingPercentage: 25 };
    mesh.world.feed(
      meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true }, observability: { tracing } }),
    );
    expect(shares(mesh, cart)).to.deep.equal([0, 0]);
    expect(shares(mesh, buyer)[0]).to.equal(25);
    expect(mesh.findings()).to.deep.equal([]);
  });

  const traced = meshConfig({
    traffic: { enablePermissiveTrafficPolicyMode: true, podAddresses: "Mesh" },
    observability: { tracing: { enable: true, address: "otel", port: 4317, protocol: "otlp" } },
  });
  const share = (mesh: ShopMesh, of: TestObject): unknown => {
    const { handling } = mesh.leaf("outbound-listener", "outbound|shop/cart|80", of);
    return handling.kind === "http" ? handling.tracing?.samplingPercentage : "tcp";
  };
  const rarely = { tracing: { samplingPercentage: 1 } };

  it("says nothing of logs where it says something of traces alone, and the other way round", () => {
    const mesh = shop(traced, telemetry("shop/logs", log("namespace")));
    mesh.world.feed(telemetry("shop/rare", { selector: { app: "cart" }, ...rarely }));
    expect([formats(mesh, cart), share(mesh, cart)]).to.deep.equal([all("namespace"), 1]);
    expect([formats(mesh, buyer), share(mesh, buyer)]).to.deep.equal([all(undefined), 100]);
    expect(mesh.leaf("inbound-listener", "inbound", cart).origins.map(({ name }) => name)).to.include.members(
      ["logs", "rare"],
    );
    mesh.world.feed(telemetry("osm-system/mesh", { ...log("mesh"), ...rarely }));
    expect([formats(mesh, buyer), share(mesh, buyer)]).to.deep.equal([all("mesh"), 1]);
    mesh.world.feed(telemetry("shop/cart", log("labels", { app: "cart" })));
    expect([formats(mesh, cart), share(mesh, cart)]).to.deep.equal([all("labels"), 1]);
    expect(mesh.findings()).to.deep.equal(["Telemetry/shop/logs NoEffect spec.selector"]);
  });

  it("alone, of traces, leaves the access log as it is without any", () => {
    const mesh = shop(traced);
    const before = mesh.leaf("inbound-listener", "inbound", cart);
    mesh.world.feed(telemetry("shop/rare", rarely));
    expect(before).to.not.have.property("accessLog");
    expect(mesh.leaf("inbound-listener", "inbound", cart)).to.not.have.property("accessLog");
    expect(share(mesh, cart)).to.equal(1);
  });

  it("loses one part to an older rival and keeps the other, and its owner is told which", () => {
    const mesh = shop(
      traced,
      telemetry("shop/a-young", { ...log("young"), ...rarely }, "2026-02-01T00:00:00Z"),
      telemetry("shop/z-old", log("old"), "2026-01-01T00:00:00Z"),
    );
    expect([formats(mesh, cart), share(mesh, cart)]).to.deep.equal([all("old"), 1]);
    const [told] = mesh.told("Telemetry", "a-young");
    expect(told).to.include({ code: "Conflicted", severity: "warning" });
    expect(told?.message).to.equal(
      "Telemetry z-old is older and speaks of the same pods; it counts for the access logs of 1 of its pods",
    );
    expect(mesh.told("Telemetry", "z-old")).to.deep.equal([]);
  });

  it("as near as another: the oldest counts", () => {
    const mesh = shop(
      telemetry("shop/a-young", log("young"), "2026-02-01T00:00:00Z"),
      telemetry("shop/z-old", log("old"), "2026-01-01T00:00:00Z"),
    );
    expect(formats(mesh, cart)).to.deep.equal(all("old"));
    expect(mesh.findings()).to.deep.equal(["Telemetry/shop/a-young Conflicted spec.selector"]);
  });

  it("sends to a collector, and without one only writes", () => {
    const openTelemetry = {
      extensionService: { namespace: "osm-system", name: "otel" },
      attributes: { mesh: "osm" },
    };
    const mesh = shop(telemetry("shop/all", { accessLog: { format: "f", openTelemetry } }));
    const listener = () => mesh.leaf("inbound-listener", "inbound", cart);
    expect(listener().accessLog).to.deep.equal({ format: "f" });
    expect(mesh.findings()).to.deep.equal([
      "Telemetry/shop/all UnresolvedReference spec.accessLog.openTelemetry.extensionService",
    ]);
    mesh.world.feed(
      extensionService("osm-system/otel", { host: "otel.example", port: 4317, protocol: "http2" }),
    );
    const cluster = "extension|osm-system/otel";
    expect(listener().accessLog?.openTelemetry).to.deep.equal({ cluster, attributes: { mesh: "osm" } });
    expect(listener().origins.map(({ kind }) => kind)).to.include.members(["Telemetry", "ExtensionService"]);
    expect(mesh.leaf("external-cluster", cluster, cart)).to.include({ address: "otel.example", http2: true });
    expect(mesh.leaves("external-cluster", thief)).to.deep.equal([]);
    expect(mesh.findings()).to.deep.equal([]);
  });
});

describe("external authorization of a workload", () => {
  const annotated = (value: string): TestObject => {
    const plain = pod({
      namespace: "shop",
      name: "cart-1",
      ips: ["10.0.0.1"],
      labels: { app: "cart" },
      serviceAccount: "cart",
    });
    const annotations = { "openservicemesh.io/external-authorization": value };
    return { ...plain, metadata: { ...plain.metadata, annotations } as TestObject["metadata"] };
  };
  const asked = (mesh: ShopMesh) =>
    mesh.leaf("inbound-listener", "inbound", cart).ports[0]?.externalAuthorization;
  const ofMesh = meshConfig({
    traffic: {
      enablePermissiveTrafficPolicyMode: true,
      inboundExternalAuthorization: { enable: true, address: "authz.mesh", port: 9191, timeout: "2s" },
    },
  });

  it("is asked of the service that the pod names, over that of the mesh", () => {
    const mesh = shop(
      annotated("shop/opa"),
      extensionService("shop/opa", { host: "opa.shop", port: 9292, protocol: "h2c" }),
    );
    const own = { cluster: "extension|shop/opa", address: "opa.shop", port: 9292, failureModeAllow: false };
    expect(asked(mesh)).to.include({ ...own, timeoutMs: 1000 });
    expect(mesh.leaf("external-cluster", "extension|shop/opa", cart)).to.include({ port: 9292, http2: true });
    mesh.world.feed(ofMesh);
    expect(asked(mesh)).to.include({ ...own, timeoutMs: 2000 });
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("is off for a pod that says so", () => {
    const mesh = shop(ofMesh);
    expect(asked(mesh)).to.include({ address: "authz.mesh" });
    mesh.world.feed(annotated("disabled"));
    expect(asked(mesh)).to.equal(undefined);
    expect(mesh.get(buyer, 1).outcome).to.equal("delivered");
  });

  it("that cannot be asked lets nothing through", () => {
    const mesh = shop(annotated("shop/gone"));
    expect(mesh.get(buyer, 1).outcome).to.equal("forbidden");
    expect(mesh.told("Pod", "cart-1")[0]).to.include({ code: "UnresolvedReference", severity: "error" });
  });
});
