import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import type { Operations } from "../support/pod-operations";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import {
  expectNothing,
  grpcStream,
  grpcUnary,
  http1,
  http2,
  type MatrixCase,
  runMatrix,
  settles,
  type Target,
  tcpEcho,
  tcpGreeting,
  webSocket,
} from "./support/matrix-cases";
import {
  appAt,
  matrixPod,
  matrixService,
  matrixTemplate,
  metricBy,
  type PortRow,
  shipApplication,
} from "./support/matrix-pods";
import { PORTS } from "./support/matrix-words";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";

/** Ports chosen by `appProtocol`; the first by the name of the container's port. */
const BY_APP: readonly PortRow[] = [
  ["a", 80, "web", "http"],
  ["b", 8000, PORTS.http, "http"],
  ["c", 81, PORTS.h2c, "kubernetes.io/h2c"],
  ["d", 82, PORTS.grpc, "grpc"],
  ["e", 83, PORTS.http, "kubernetes.io/ws"],
  ["f", 84, "echo", "tcp"],
  ["g", 85, PORTS.greeting, "tcp-server-first"],
  ["h", 86, PORTS.odd, "example.org/unheard-of"],
];
/** Ports chosen by the beginning of their name. */
const BY_NAME: readonly PortRow[] = [
  ["http-shop", 90, PORTS.http],
  ["http2-shop", 91, PORTS.h2c],
  ["grpc-shop", 92, PORTS.grpc],
  ["tcp-shop", 93, PORTS.tcp],
  ["tcp-server-first-shop", 94, PORTS.greeting],
  ["unspoken", 95, PORTS.http],
];
/** The same container port, declared in two ways. */
const DISPUTED: readonly PortRow[] = [
  ["http-one", 97, PORTS.disputed],
  ["tcp-two", 98, PORTS.disputed],
];
const PLAIN: readonly PortRow[] = [
  ["http-shop", 80, PORTS.http],
  ["tcp-shop", 84, PORTS.tcp],
  ["tcp-server-first-shop", 85, PORTS.greeting],
];
/** Of a headless Service clients see the pods' own ports. */
const HEADLESS: readonly PortRow[] = [
  ["http-web", PORTS.http, PORTS.http],
  ["grpc-web", PORTS.grpc, PORTS.grpc, "grpc"],
  ["tcp-web", PORTS.tcp, PORTS.tcp],
  ["tcp-server-first-web", PORTS.greeting, PORTS.greeting],
];

function statefulSet(name: string, replicas: number): object {
  const selector = { matchLabels: { app: name } };
  const spec = { serviceName: name, replicas, selector, podManagementPolicy: "Parallel" };
  const template = matrixTemplate(name, { serviceAccount: "seller" });
  return { apiVersion: "apps/v1", kind: "StatefulSet", metadata: { name }, spec: { ...spec, template } };
}

/** An EndpointSlice or Endpoints object that a person wrote by hand. */
function sliceByHand(service: string, address: string): object {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${service}-hand`, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: PLAIN.map(([name, , port]) => ({ name, port, protocol: "TCP" })),
  };
}

function endpointsByHand(service: string, address: string): object {
  const ports = PLAIN.map(([name, , port]) => ({ name, port, protocol: "TCP" }));
  const metadata = { name: service };
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata,
    subsets: [{ addresses: [{ ip: address }], ports }],
  };
}

/** Host names of a Service, shortest first. */
function namesOf(service: string, namespace: string): readonly string[] {
  const full = `${service}.${namespace}.svc.cluster.local`;
  return [service, `${service}.${namespace}`, `${service}.${namespace}.svc`, full];
}

describe("permissive mode on the real cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let outside: TestNamespace;
  let addresses: Readonly<Record<string, string>>;
  let client: Operations;
  let caller: string;

  before(async () => {
    mesh = await Mesh.open();
    [shop, outside] = await Promise.all([
      TestNamespace.create(mesh, "matrix", true),
      TestNamespace.create(mesh, "matrix-outside", false),
    ]);
    await Promise.all([shipApplication(shop), shipApplication(outside)]);
    await Promise.all([
      outside.apply(matrixService("stranger", "stranger", PLAIN), matrixPod("stranger")),
      shop.apply(
        serviceAccount("buyer"),
        serviceAccount("seller"),
        matrixService("by-app", "server", BY_APP),
        matrixService("by-name", "server", BY_NAME),
        matrixService("disputed", "server", DISPUTED),
        matrixService("unnamed", "server", [["", 80, PORTS.http]]),
        matrixService("unnamed-tcp", "server", [["", 80, "echo", "tcp"]]),
        matrixService("own", "client", PLAIN),
        matrixService("web", "web", HEADLESS, { clusterIP: "None" }),
        matrixPod("client", { serviceAccount: "buyer" }),
        matrixPod("server", { serviceAccount: "seller" }),
        statefulSet("web", 2),
      ),
    ]);
    await shop.kubectl(["rollout", "status", "--timeout=200s", "statefulset/web"]);
    const address = async (namespace: TestNamespace, app: string): Promise<string> =>
      (await namespace.readyPod(app)).status.podIP;
    addresses = {
      client: await address(shop, "client"),
      server: await address(shop, "server"),
      stranger: await address(outside, "stranger"),
    };
    for (const pod of await shop.pods("web"))
      addresses = { ...addresses, [pod.metadata.name]: pod.status.podIP ?? "" };
    client = appAt(addressOf("client"));
    caller = `ns/${shop.name}/sa/buyer`;
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  function addressOf(pod: string): string {
    const found = addresses[pod];
    if (found === undefined) throw new Error(`no pod ${pod}`);
    return found;
  }
  const to = (host: string, port: number, pod = "server"): Target => ({ host, port, pod, caller });
  const clusterIp = async (service: string): Promise<string> =>
    shop.kubectl(["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"]);

  it("carries every protocol that appProtocol names", async () => {
    await runMatrix("appProtocol", [
      { name: "http, HTTP/1.1, named target port", call: http1(client, to("by-app", 80)) },
      { name: "http, WebSocket", call: webSocket(client, to("by-app", 80)) },
      {
        name: "http, second port of the Service to the same target",
        call: http1(client, to("by-app", 8000)),
      },
      { name: "kubernetes.io/h2c, HTTP/2 prior knowledge", call: http2(client, to("by-app", 81)) },
      { name: "grpc, unary", call: grpcUnary(client, to("by-app", 82)) },
      { name: "grpc, server stream", call: grpcStream(client, to("by-app", 82)) },
      { name: "kubernetes.io/ws, WebSocket", call: webSocket(client, to("by-app", 83)) },
      { name: "kubernetes.io/ws, HTTP/1.1", call: http1(client, to("by-app", 83)) },
      { name: "tcp, named target port", call: tcpEcho(client, to("by-app", 84)) },
      { name: "tcp-server-first", call: tcpGreeting(client, to("by-app", 85)) },
      { name: "unknown, as tcp", call: tcpEcho(client, to("by-app", 86)) },
    ]);
  });

  interface EventView {
    readonly message: string;
    readonly involvedObject: { readonly name: string };
  }

  /** Message of the event with this reason about a Service. */
  const eventOf = (reason: string, service: string): Promise<string> =>
    until(`the event ${reason}`, 30_000, async () => {
      const filter = ["--field-selector", `reason=${reason}`];
      const found = await shop.kubectl(["get", "events", "-o", "json", ...filter]);
      const { items } = JSON.parse(found) as { items: EventView[] };
      return items.find(({ involvedObject }) => involvedObject.name === service)?.message;
    });

  it("tells the owner of a Service of what it cannot take at its word", async () => {
    const unknown = await eventOf("UnknownAppProtocol", "by-app");
    report(`event: ${unknown}`);
    expect(unknown).to.contain("spec.ports[7].appProtocol").and.contain("example.org/unheard-of");
    const conflict = await eventOf("ProtocolConflict", "disputed");
    report(`event: ${conflict}`);
    expect(conflict).to.contain("97").and.contain(String(PORTS.disputed));
  });

  it("carries every protocol that a port's name begins with", async () => {
    await runMatrix("port name", [
      { name: "http-, HTTP/1.1", call: http1(client, to("by-name", 90)) },
      { name: "http-, WebSocket", call: webSocket(client, to("by-name", 90)) },
      { name: "http2-, HTTP/2 prior knowledge", call: http2(client, to("by-name", 91)) },
      { name: "grpc-, unary", call: grpcUnary(client, to("by-name", 92)) },
      { name: "grpc-, server stream", call: grpcStream(client, to("by-name", 92)) },
      { name: "tcp-", call: tcpEcho(client, to("by-name", 93)) },
      { name: "tcp-server-first-", call: tcpGreeting(client, to("by-name", 94)) },
      { name: "no protocol in it, as http", call: http1(client, to("by-name", 95)) },
      { name: "only port, without a name, as http", call: http1(client, to("unnamed", 80)) },
      { name: "only port, without a name, appProtocol tcp", call: tcpEcho(client, to("unnamed-tcp", 80)) },
      { name: "one container port as http …", call: disputed(97) },
      { name: "… and as tcp", call: disputed(98) },
    ]);
  });

  /** Carried as bytes into the pod, so the application is not told who calls. */
  function disputed(port: number): () => Promise<void> {
    return http1(client, { ...to("disputed", port), caller: undefined });
  }

  it("takes every form of a Service's name", async () => {
    const forms = namesOf("by-app", shop.name);
    const full = forms.at(-1) ?? "";
    const dialled = [...forms, `${full}.`].flatMap((host): MatrixCase[] => [
      { name: `${host}, no port in Host`, call: http1(client, to(host, 80), { authority: host }) },
      { name: `${host}:8000`, call: http1(client, to(host, 8000), { authority: `${host}:8000` }) },
      { name: `${host}:81, HTTP/2`, call: http2(client, to(host, 81), { authority: `${host}:81` }) },
      { name: `${host}:82, gRPC`, call: grpcUnary(client, to(host, 82)) },
      { name: `${host}:84, TCP`, call: tcpEcho(client, to(host, 84)) },
    ]);
    const ip = await clusterIp("by-app");
    const said = [...forms, ...forms.map(form => `${form}.`), ip, "elsewhere.example.org"]
      .flatMap(name => [name, `${name}:80`])
      .map((host): MatrixCase => {
        const variant = { headers: { host }, authority: host };
        return { name: `${ip} with Host ${host}`, call: http1(client, to(ip, 80), variant) };
      });
    await runMatrix("host name", [...dialled, ...said]);
  });

  it("reaches the pods of a headless Service, all and each by its name", async () => {
    const all = [...namesOf("web", shop.name), `web.${shop.name}.svc.cluster.local.`];
    const each = ["web-0", "web-1"].flatMap(pod =>
      [`${pod}.web`, `${pod}.web.${shop.name}`, `${pod}.web.${shop.name}.svc.cluster.local.`].map(
        host => [host, pod] as const,
      ),
    );
    const cases = [...all.map(host => [host, "web-"] as const), ...each].flatMap(
      ([host, pod]): MatrixCase[] => [
        { name: `${host} HTTP/1.1`, call: http1(client, to(host, PORTS.http, pod)) },
        { name: `${host} gRPC`, call: grpcUnary(client, to(host, PORTS.grpc, pod)) },
        { name: `${host} TCP`, call: tcpEcho(client, to(host, PORTS.tcp, pod)) },
        { name: `${host} TCP, server first`, call: tcpGreeting(client, to(host, PORTS.greeting, pod)) },
      ],
    );
    const zero = appAt(addressOf("web-0"));
    const peer = (pod: string): Target => ({
      ...to(`${pod}.web`, PORTS.http, pod),
      caller: `ns/${shop.name}/sa/seller`,
    });
    await runMatrix("headless", [
      ...cases,
      { name: "web-0 to web-1.web HTTP/1.1", call: http1(zero, peer("web-1")) },
      { name: "web-0 to web-1.web TCP", call: tcpEcho(zero, { ...peer("web-1"), port: PORTS.tcp }) },
      // Stays within the pod: no sidecar has a part in it.
      { name: "web-0 to web-0.web HTTP/1.1", call: http1(zero, { ...peer("web-0"), caller: undefined }) },
    ]);
  });

  it("follows a pod of a StatefulSet to its next address", async () => {
    const before = addressOf("web-1");
    await shop.kubectl(["delete", "pod", "web-1", "--wait=true"]);
    // The StatefulSet may not have noticed yet, and count the pod that is gone.
    const after = await until("the next web-1", 200_000, async () => {
      await shop.kubectl(["wait", "--for=condition=Ready", "--timeout=200s", "pod/web-1"]);
      const address = await shop.kubectl(["get", "pod", "web-1", "-o", "jsonpath={.status.podIP}"]);
      return address === "" ? undefined : address;
    });
    report(`headless · web-1 was ${before}, is ${after}`);
    await runMatrix("headless", [
      {
        name: "web-1.web after its restart, HTTP/1.1",
        call: http1(client, to("web-1.web", PORTS.http, "web-1")),
      },
      {
        name: "web-1.web after its restart, TCP",
        call: tcpEcho(client, to("web-1.web", PORTS.tcp, "web-1")),
      },
    ]);
  });

  it("lets a pod call its own Service", async () => {
    await runMatrix("own Service", [
      { name: "own Service, HTTP/1.1", call: http1(client, to("own", 80, "client")) },
      { name: "own Service, TCP", call: tcpEcho(client, to("own", 84, "client")) },
      { name: "own Service, TCP, server first", call: tcpGreeting(client, to("own", 85, "client")) },
      {
        name: "own address, HTTP/1.1 (within the pod)",
        call: http1(client, { ...to(addressOf("client"), PORTS.http, "client"), caller: undefined }),
      },
    ]);
  });

  it("lets pods be called by their own addresses where a headless Service picks them", async () => {
    const zero = addressOf("web-0");
    await runMatrix("pod address", [
      { name: "of a headless Service, HTTP/1.1", call: http1(client, to(zero, PORTS.http, "web-0")) },
      { name: "of a headless Service, TCP", call: tcpEcho(client, to(zero, PORTS.tcp, "web-0")) },
      { name: "no headless Service, HTTP: refused", call: refused(addressOf("server"), PORTS.http) },
      { name: "no headless Service, TCP: refused", call: refused(addressOf("server"), PORTS.tcp) },
    ]);
  });

  it("lets all pods be called by their own addresses with podAddresses Mesh", async () => {
    const { unlisted, ...served } = PORTS;
    const at = (port: number): Target => to(addressOf("server"), port);
    const config = await LiveMeshConfig.of(mesh);
    const cases: readonly MatrixCase[] = [
      { name: "pod address, HTTP/1.1", call: http1(client, at(served.http)) },
      { name: "pod address, WebSocket", call: webSocket(client, at(served.http)) },
      { name: "pod address, HTTP/2", call: http2(client, at(served.h2c)) },
      { name: "pod address, gRPC", call: grpcUnary(client, at(served.grpc)) },
      { name: "pod address, TCP", call: tcpEcho(client, at(served.tcp)) },
      { name: "pod address, TCP, server first", call: tcpGreeting(client, at(served.greeting)) },
      { name: "pod address, a port of no Service: refused", call: refused(addressOf("server"), unlisted) },
    ];
    try {
      await config.patch({ traffic: { podAddresses: "Mesh" } });
      await runMatrix("pod address", cases);
    } finally {
      await config.restore();
    }
    await settles("pod address, refused as before", refused(addressOf("server"), served.http));
  });

  function refused(host: string, port: number): () => Promise<void> {
    return async () => {
      const send = "GET / HTTP/1.0\r\n\r\n";
      const { received, outcome } = await client.callTcp({ host, port, send });
      expect({ received, outcome }).to.deep.equal({ received: "", outcome: "closed" });
    };
  }

  it("gives a pod without a sidecar not one byte of any protocol", async () => {
    const stranger = appAt(addressOf("stranger"));
    const { http, grpc, tcp, greeting } = PORTS;
    const pods = { http, WebSocket: http, "h2c, gRPC": grpc, tcp, "tcp-server-first": greeting };
    const service = { http: 80, WebSocket: 83, "h2c, gRPC": 82, tcp: 84, "tcp-server-first": 85 };
    await Promise.all([
      expectNothing(stranger, addressOf("server"), pods),
      expectNothing(stranger, addressOf("web-0"), pods),
      expectNothing(stranger, `by-app.${shop.name}`, service),
    ]);
  });

  it("leaves Services alone that are not of the mesh", async () => {
    const stranger = addressOf("stranger");
    const elsewhere = `stranger.${outside.name}.svc.cluster.local`;
    const alias = `by-app.${shop.name}.svc.cluster.local`;
    await shop.apply(
      matrixService("elsewhere", undefined, [], { type: "ExternalName", externalName: elsewhere }),
      matrixService("alias", undefined, [], { type: "ExternalName", externalName: alias }),
      matrixService("by-slice", undefined, PLAIN),
      sliceByHand("by-slice", stranger),
      matrixService("by-endpoints", undefined, PLAIN),
      endpointsByHand("by-endpoints", stranger),
      matrixService("by-hand", undefined, PLAIN),
      sliceByHand("by-hand", addressOf("server")),
    );
    const plain = (host: string, port: number): Target => ({
      host,
      port,
      pod: "stranger",
      caller: undefined,
    });
    const hosts: readonly (readonly [string, string])[] = [
      ["Service outside the mesh", elsewhere],
      ["ExternalName", "elsewhere"],
      ["without selector, EndpointSlice", "by-slice"],
      ["without selector, Endpoints", "by-endpoints"],
    ];
    const cases = hosts.flatMap(([kind, host]): MatrixCase[] => [
      { name: `${kind}, HTTP/1.1`, call: http1(client, plain(host, 80)) },
      { name: `${kind}, WebSocket`, call: webSocket(client, plain(host, 80)) },
      { name: `${kind}, TCP`, call: tcpEcho(client, plain(host, 84)) },
      { name: `${kind}, TCP, server first`, call: tcpGreeting(client, plain(host, 85)) },
    ]);
    await runMatrix("not of the mesh", [
      ...cases,
      { name: "ExternalName of a Service of the mesh, HTTP/1.1", call: http1(client, to("alias", 80)) },
      { name: "ExternalName of a Service of the mesh, TCP", call: tcpEcho(client, to("alias", 84)) },
      {
        name: "without selector, to a pod with a sidecar: refused",
        call: refused("by-hand", 80),
      },
    ]);
  });

  it("did all that over mutual TLS, one handshake for each connection", async () => {
    const label = "envoy_cluster_name";
    const of = (metric: string): Promise<Map<string, number>> => metricBy(addressOf("client"), metric, label);
    const expected = [
      ...BY_APP.map(([, port]) => `outbound|${shop.name}/by-app|${port}`),
      ...BY_NAME.map(([, port]) => `outbound|${shop.name}/by-name|${port}`),
      ...DISPUTED.map(([, port]) => `outbound|${shop.name}/disputed|${port}`),
      ...HEADLESS.map(([, port]) => `outbound|${shop.name}/web|${port}`),
      ...PLAIN.map(([, port]) => `outbound|${shop.name}/own|${port}`),
    ];
    // One that is on its way to an address which is gone is neither until it is given up.
    const [made, connections] = await until("a handshake for each connection", 60_000, async () => {
      const [handshakes, connections, unconnected] = await Promise.all([
        of("envoy_cluster_ssl_handshake"),
        of("envoy_cluster_upstream_cx_total"),
        of("envoy_cluster_upstream_cx_connect_fail"),
      ]);
      const made = new Map(
        expected.map(name => [name, (connections.get(name) ?? 0) - (unconnected.get(name) ?? 0)]),
      );
      for (const [cluster, count] of made) expect(handshakes.get(cluster), cluster).to.equal(count);
      return [made, connections] as const;
    });
    for (const [cluster, count] of made) {
      report(`mTLS · ${cluster}: ${count} connections, as many handshakes`);
      expect(count, cluster).to.be.above(0);
    }
    expect(connections.get("passthrough"), "calls that left the mesh").to.be.above(0);
    const served = await metricBy(addressOf("server"), "envoy_listener_ssl_handshake", "none");
    report(`mTLS · inbound listener of the server: ${served.get("") ?? 0} handshakes`);
    expect(served.get("")).to.be.above(0);
  });
});
