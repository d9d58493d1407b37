import { expect } from "chai";
import { meshConfig, namespace, pod, service, type TestObject } from "../../support/objects";
import { shopPod, shopService, ShopMesh } from "../../support/shop-mesh";
import { ingressBackend } from "../../support/terms-objects";
import { DENY, trafficSplit } from "../../support/traffic-objects";

const deny = meshConfig(DENY);

describe("what policies say of a Service", () => {
  const ranges = (name: string, number: number, cidr: string): TestObject =>
    ingressBackend(`shop/${name}-${number}`, {
      backends: [{ name, port: { number, protocol: "http" } }],
      sources: [{ kind: "IPRange", name: cidr }],
    });

  it("is of ingress said for each port of each Service by itself", () => {
    const http = [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "http-admin", port: 81, targetPort: 8081 },
    ];
    const mesh = new ShopMesh(
      deny,
      ...shopService("cart", 1, http),
      ...shopService("till", 2, http),
      ranges("cart", 8080, "10.1.0.0/16"),
      ranges("cart", 8081, "10.2.0.0/16"),
      ranges("till", 8080, "10.3.0.0/16"),
    );
    const open = (name: string, number: number): readonly (readonly [number, unknown])[] =>
      mesh
        .leaf("inbound-listener", "inbound", shopPod(name, number))
        .ports.map(({ port, ingress }) => [port, ingress?.flatMap(({ cidrs }) => cidrs)]);
    expect(open("cart", 1)).to.deep.equal([
      [8080, ["10.1.0.0/16"]],
      [8081, ["10.2.0.0/16"]],
    ]);
    expect(open("till", 2)).to.deep.equal([
      [8080, ["10.3.0.0/16"]],
      [8081, undefined],
    ]);
  });

  it("is of ingress said once, though several of its Services lead to the port", () => {
    const other = service({
      namespace: "shop",
      name: "other",
      selector: { app: "cart" },
      ports: [{ name: "http", port: 90, targetPort: 8080 }],
    });
    const both = ingressBackend("shop/both", {
      backends: ["cart", "other"].map(name => ({ name, port: { number: 8080, protocol: "http" } })),
      sources: [{ kind: "IPRange", name: "10.1.0.0/16" }],
    });
    const mesh = new ShopMesh(deny, ...shopService("cart", 1), other, both);
    const [port] = mesh.leaf("inbound-listener", "inbound", shopPod("cart", 1)).ports;
    expect(port?.ingress?.map(({ name }) => name)).to.deep.equal(["shop/both"]);
    expect(mesh.findings()).to.deep.equal([]);
  });

  const split = trafficSplit({ namespace: "shop", name: "canary", root: "root", shares: { v1: 1 } });
  const roots: readonly (readonly [string, readonly TestObject[]])[] = [
    [
      "selects no pods",
      [service({ namespace: "shop", name: "root", selector: null, ports: [{ port: 80 }] })],
    ],
    [
      "is a name of the outside",
      [service({ namespace: "shop", name: "root", type: "ExternalName", ports: [{ port: 80 }] })],
    ],
    [
      "is of a namespace that is not of the mesh",
      [...shopService("root", 1), namespace("shop", { meshed: false })],
    ],
    [
      "is served by pods without a sidecar",
      [
        ...shopService("root", 1),
        pod({ namespace: "shop", name: "root-1", ips: ["10.0.0.1"], labels: { app: "root" }, meshed: false }),
      ],
    ],
  ];
  for (const [what, objects] of roots) {
    it(`is no split of one that ${what}`, () => {
      const mesh = new ShopMesh(deny, ...shopService("v1", 2), split, ...objects);
      const [finding] = mesh.told("TrafficSplit", "canary");
      expect(finding).to.include({ code: "NoEffect", field: "spec.service" });
      expect(finding?.message).to.contain("do not go through the mesh");
    });
  }
});
