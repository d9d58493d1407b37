import { expect } from "chai";
import type { MeshEndpoint, Standing } from "../../../src/catalog/endpoints";
import type { MeshService } from "../../../src/model/workload";
import {
  directPorts,
  podListeners,
  serviceClusters,
  serviceDiagnostics,
  serviceEndpoints,
  serviceListeners,
  serviceRouteTables,
  type ListenerContext,
  type PodFrontend,
} from "../../../src/policy/outbound";
import type { ActiveSplit } from "../../../src/policy/split";
import { settingTerms } from "../../support/setting-terms";

type ServicePort = MeshService["ports"][number];
const cart = { namespace: "shop", serviceAccount: "cart" };
const port = (name: string, number: number, more: Partial<ServicePort> = {}): ServicePort => ({
  name,
  port: number,
  targetPort: number + 8000,
  transport: "TCP",
  appProtocol: undefined,
  ...more,
});
const service = (
  name: string,
  ports: readonly ServicePort[],
  kind: MeshService["kind"] = "clusterIP",
): MeshService => ({
  namespace: "shop",
  name,
  kind,
  addresses: ["10.9.0.1"],
  selector: {},
  ports,
});
const standing = (more: Partial<Standing> = {}): Standing => ({ served: true, identities: [cart], ...more });
const HTTP = port("http", 80);
const TCP = port("tcp", 81);
const GRPC = port("grpc", 82);
const three = service("cart", [HTTP, TCP, GRPC]);
const headless = service("peers", [HTTP, TCP], "headless");
const unserved = standing({ served: false, identities: [] });
const transport = {
  trustDomain: "cluster.local",
  tls: { minVersion: "TLSv1_2", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] },
} as const;

describe("clusters of a Service", () => {
  const named = (of: MeshService, at: Standing, direct = false): readonly string[] =>
    serviceClusters(of, at, { transport, setting: undefined, direct }).map(
      ({ name, protocol, discovery }) => `${name} ${protocol} ${discovery.kind}`,
    );

  it("are one for each port, and with calls of pods one more for that", () => {
    expect(named(three, standing())).to.deep.equal([
      "outbound|shop/cart|80 http endpoints",
      "outbound|shop/cart|81 tcp endpoints",
      "outbound|shop/cart|82 grpc endpoints",
    ]);
    expect(named(service("cart", [HTTP]), standing(), true)).to.deep.equal([
      "outbound|shop/cart|80 http endpoints",
      "outbound|shop/cart|80|direct tcp original-destination",
    ]);
    expect(named(headless, standing(), true)).to.deep.equal([
      "outbound|shop/peers|80 http original-destination",
      "outbound|shop/peers|81 tcp original-destination",
    ]);
  });

  it("are none of a Service of which nothing is known", () => {
    expect(named(three, unserved, true)).to.deep.equal([]);
    expect(named(headless, unserved, true)).to.deep.equal([]);
  });

  it("are of its pods alone where its address is not served", () => {
    const pods = standing({ served: false });
    expect(named(service("cart", [HTTP]), pods, true)).to.deep.equal([
      "outbound|shop/cart|80|direct tcp original-destination",
    ]);
    expect(named(service("cart", [HTTP]), pods)).to.deep.equal([]);
    expect(named(headless, pods)).to.have.length(2);
  });

  it("are none of ports at which sidecars are passed by", () => {
    const passed = standing({ excluded: ["http"] });
    expect(named(service("cart", [HTTP, TCP]), passed)).to.deep.equal([
      "outbound|shop/cart|81 tcp endpoints",
    ]);
    expect(named(headless, passed)).to.deep.equal(["outbound|shop/peers|81 tcp original-destination"]);
  });

  it("are balanced as a setting says, where the mesh chooses", () => {
    const setting = settingTerms("cart", { loadBalancing: { kind: "random" } });
    const terms = (of: MeshService) =>
      serviceClusters(of, standing(), { transport, setting, direct: false }).map(
        ({ loadBalancing, origins }) => [loadBalancing?.kind, origins.map(({ kind }) => kind)],
      );
    expect(terms(service("cart", [HTTP]))).to.deep.equal([["random", ["Service", "UpstreamTrafficSetting"]]]);
    expect(terms(service("cart", [HTTP], "headless"))).to.deep.equal([[undefined, ["Service"]]]);
  });
});

describe("endpoints of a Service", () => {
  const at = (address: string, more: Partial<MeshEndpoint> = {}): MeshEndpoint => ({
    address,
    ready: true,
    zone: undefined,
    identity: cart,
    party: { namespace: "shop", kind: "Deployment", name: "cart", pod: address },
    ports: { http: 8080, tcp: 8081 },
    ...more,
  });
  const outside = {
    group: "config.openservicemesh.io",
    kind: "ExternalWorkload",
    namespace: "shop",
    name: "vm",
  };

  it("are those that are ready and have the port, each address once", () => {
    const endpoints = [
      at("10.0.0.1"),
      at("10.0.0.1"),
      at("10.0.0.1", { ports: { http: 9090 } }),
      at("10.0.0.2", { ready: false }),
      at("10.0.0.3", { ports: { tcp: 8081 } }),
    ];
    const found = serviceEndpoints(service("cart", [HTTP, TCP]), standing(), endpoints);
    expect(
      found.map(({ name, endpoints: own }) => [
        name,
        own.map(({ address, port: number }) => `${address}:${number}`),
      ]),
    ).to.deep.equal([
      ["outbound|shop/cart|80", ["10.0.0.1:8080", "10.0.0.1:9090"]],
      ["outbound|shop/cart|81", ["10.0.0.1:8081", "10.0.0.3:8081"]],
    ]);
  });

  it("come from the Service and from what is outside of the cluster, each once", () => {
    const endpoints = [
      at("10.0.0.1"),
      at("192.0.2.1", { origin: outside }),
      at("192.0.2.2", { origin: { ...outside } }),
    ];
    const [found] = serviceEndpoints(service("cart", [HTTP]), standing(), endpoints);
    expect(found?.origins.map(({ kind, name }) => `${kind} ${name}`)).to.deep.equal([
      "Service cart",
      "ExternalWorkload vm",
    ]);
  });

  it("are none of a headless Service, nor of ports that are not served", () => {
    expect(serviceEndpoints(headless, standing(), [at("10.0.0.1")])).to.deep.equal([]);
    expect(serviceEndpoints(three, unserved, [at("10.0.0.1")])).to.deep.equal([]);
    expect(
      serviceEndpoints(three, standing({ excluded: ["http", "grpc"] }), []).map(({ name }) => name),
    ).to.deep.equal(["outbound|shop/cart|81"]);
  });
});

describe("listeners of a Service", () => {
  const context = (more: Partial<ListenerContext> = {}): ListenerContext => ({
    addresses: ["10.9.0.1"],
    tracing: undefined,
    splits: [],
    ...more,
  });
  const split: ActiveSplit = {
    ref: { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name: "canary" },
    matches: undefined,
    backends: [{ service: "shop/v2", weight: 1, ports: [81] }],
    origins: [{ group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name: "canary" }],
  };

  it("are of its own addresses and ports, each as it is carried", () => {
    const found = serviceListeners(three, standing(), context({ escapedSlashes: "keep" }));
    expect(found.map(({ name, addresses, port: number }) => [name, addresses, number])).to.deep.equal([
      ["outbound|shop/cart|80", ["10.9.0.1"], 80],
      ["outbound|shop/cart|81", ["10.9.0.1"], 81],
      ["outbound|shop/cart|82", ["10.9.0.1"], 82],
    ]);
    expect(found.map(({ handling }) => handling)).to.deep.equal([
      { kind: "http", routeTable: "outbound|shop/cart|80", tracing: undefined, escapedSlashes: "keep" },
      { kind: "tcp", backends: [{ cluster: "outbound|shop/cart|81", weight: 1 }] },
      {
        kind: "http",
        routeTable: "outbound|shop/cart|82",
        tracing: undefined,
        escapedSlashes: "keep",
        grpc: true,
      },
    ]);
    const [plain] = serviceListeners(three, standing(), context());
    expect(plain?.handling).to.not.have.property("escapedSlashes");
    expect(plain).to.not.have.any.keys("formerly", "accessLog");
  });

  it("are none without an address of its own, and of ports that are not served", () => {
    expect(serviceListeners(headless, standing(), context())).to.deep.equal([]);
    expect(serviceListeners(three, standing(), context({ addresses: [] }))).to.deep.equal([]);
    expect(serviceListeners(three, unserved, context())).to.deep.equal([]);
  });

  it("share bytes by the split of all, and send a caller to the same server where a setting says so", () => {
    const setting = settingTerms("cart", { loadBalancing: { kind: "source-address" } });
    const bytes = (more: Partial<ListenerContext>) => {
      const [found] = serviceListeners(service("cart", [TCP]), standing(), context(more));
      return [found?.handling, found?.origins.map(({ kind }) => kind)];
    };
    const own = [{ cluster: "outbound|shop/cart|81", weight: 1 }];
    const shared = [{ cluster: "outbound|shop/v2|81", weight: 1 }];
    expect(bytes({ splits: [split] })).to.deep.equal([
      { kind: "tcp", backends: shared },
      ["Service", "TrafficSplit"],
    ]);
    expect(bytes({ splits: [{ ...split, matches: [] }] })).to.deep.equal([
      { kind: "tcp", backends: own },
      ["Service"],
    ]);
    const elsewhere = { ...split, backends: [{ service: "shop/v2", weight: 1, ports: [1] }] };
    expect(bytes({ splits: [elsewhere] })).to.deep.equal([{ kind: "tcp", backends: own }, ["Service"]]);
    expect(bytes({ setting })).to.deep.equal([
      { kind: "tcp", backends: own, hashSource: true },
      ["Service", "UpstreamTrafficSetting"],
    ]);
    expect(bytes({ setting: settingTerms("cart", { loadBalancing: { kind: "random" } }) })).to.deep.equal([
      { kind: "tcp", backends: own },
      ["Service"],
    ]);
  });

  it("remember that they carried bytes, of HTTP alone", () => {
    const formerly = serviceListeners(three, standing(), context({ carriedBytes: [80, 81] })).map(
      each => each.formerly,
    );
    expect(formerly).to.deep.equal([
      { kind: "tcp", backends: [{ cluster: "outbound|shop/cart|80", weight: 1 }] },
      undefined,
      undefined,
    ]);
  });

  it("have route tables for HTTP that is carried and dialled", () => {
    const tables = (of: MeshService, at: Standing, ...dialled: readonly number[]): readonly string[] =>
      serviceRouteTables(of, at, {
        trustDomain: "cluster.local",
        splits: [],
        reading: "Prefix",
        dialled,
      }).map(({ name }) => name);
    expect(tables(three, standing(), 80, 81)).to.deep.equal(["outbound|shop/cart|80"]);
    expect(tables(three, standing({ excluded: ["http"] }), 80, 82)).to.deep.equal(["outbound|shop/cart|82"]);
    expect(tables(headless, standing({ served: false }), 80)).to.deep.equal(["outbound|shop/peers|80"]);
    expect(tables(headless, unserved, 80)).to.deep.equal([]);
  });
});

describe("calls of a pod's own address", () => {
  const leads = (of: MeshService, number = 80, more: Partial<PodFrontend> = {}): PodFrontend => ({
    frontend: { service: `shop/${of.name}`, port: number },
    service: of,
    standing: standing(),
    ...more,
  });
  const chosen = (...candidates: readonly PodFrontend[]): readonly string[] =>
    directPorts([{ port: 8080, frontends: [], candidates }]).map(
      ({ port: number, service: of }) => `${number} ${of.name}`,
    );
  const other = service("other", [HTTP]);

  it("are those of the first Service that leads there, a headless one before others", () => {
    expect(chosen(leads(three), leads(other))).to.deep.equal(["8080 cart"]);
    expect(chosen(leads(three), leads(headless), leads(service("more", [HTTP], "headless")))).to.deep.equal([
      "8080 peers",
    ]);
    expect(chosen()).to.deep.equal([]);
    expect(
      directPorts([{ port: 15003, frontends: [], candidates: [leads(three)] }]),
      "the sidecar's own",
    ).to.deep.equal([]);
  });

  it("are none of a Service that cannot be called there", () => {
    expect(chosen(leads(three, 80, { standing: unserved }), leads(other))).to.deep.equal(["8080 other"]);
    expect(
      chosen(leads(headless, 80, { standing: standing({ excluded: ["http"] }) }), leads(other)),
    ).to.deep.equal(["8080 other"]);
    expect(
      chosen(leads(headless, 81, { standing: standing({ excluded: ["http"] }) })),
      "another port",
    ).to.deep.equal(["8080 peers"]);
    // An identity is all that a pod behind an address needs.
    expect(chosen(leads(three, 80, { standing: standing({ excluded: ["http"] }) }))).to.deep.equal([
      "8080 cart",
    ]);
    expect(chosen(leads(headless, 99)), "a port that is gone").to.deep.equal(["8080 peers"]);
  });

  it("are carried as a headless Service says, else as bytes", () => {
    const party = { namespace: "shop", kind: "Deployment", name: "cart", pod: "cart-1" };
    const listen = (from: PodFrontend) =>
      podListeners("10.0.0.1", [{ ...from, port: 8080 }], {
        tracing: undefined,
        escapedSlashes: "keep",
        party,
      })[0];
    expect(listen(leads(three))).to.deep.equal({
      kind: "outbound-listener",
      name: "outbound|10.0.0.1|8080",
      origins: [{ group: "", kind: "Service", namespace: "shop", name: "cart" }],
      addresses: ["10.0.0.1"],
      port: 8080,
      handling: { kind: "tcp", backends: [{ cluster: "outbound|shop/cart|80|direct", weight: 1 }] },
    });
    const http = listen(leads(headless));
    expect(http?.handling).to.deep.equal({
      kind: "http",
      routeTable: "outbound|shop/peers|80",
      tracing: undefined,
      escapedSlashes: "keep",
    });
    expect(http).to.deep.include({ party }).and.to.not.have.property("formerly");
    expect(listen(leads(headless, 81))?.handling.kind).to.equal("tcp");
    expect(listen(leads(headless, 99))?.handling, "a port that is gone").to.deep.equal({
      kind: "tcp",
      backends: [{ cluster: "outbound|shop/peers|99", weight: 1 }],
    });
    expect(listen(leads(headless, 80, { carriedBytes: [80] }))?.formerly).to.deep.equal({
      kind: "tcp",
      backends: [{ cluster: "outbound|shop/peers|80", weight: 1 }],
    });
    expect(listen(leads(headless, 80, { carriedBytes: [81] }))).to.not.have.property("formerly");
    expect(listen(leads(headless, 81, { carriedBytes: [81] })), "bytes still").to.not.have.property(
      "formerly",
    );
    const [nobody] = podListeners("10.0.0.1", [{ ...leads(headless), port: 8080 }], { tracing: undefined });
    expect(nobody).to.not.have.property("party");
  });
});

describe("what the owner of a Service is told of its ports", () => {
  it("is which application protocols the mesh does not know, of TCP", () => {
    const found = serviceDiagnostics(
      service("cart", [
        port("a", 1, { appProtocol: "http" }),
        port("b", 2, { appProtocol: "odd" }),
        port("c", 3, { appProtocol: "odd", transport: "UDP" }),
        port("d", 4),
      ]),
    );
    expect(found.map(({ severity, code, field, message }) => [severity, code, field, message])).to.deep.equal(
      [
        [
          "warning",
          "UnknownAppProtocol",
          "spec.ports[1].appProtocol",
          "spec.ports[1].appProtocol (odd) is not a protocol the mesh knows; port 2 is carried as tcp",
        ],
      ],
    );
  });
});
