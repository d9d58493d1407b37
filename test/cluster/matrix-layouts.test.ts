import { randomUUID } from "node:crypto";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { IMAGES } from "../../hack/images/names";
import { DEFAULT_MESH_CONFIG } from "../../src/api/mesh-config";
import { CHAIN_POD_IP } from "../../src/injector/iptables";
import { inject } from "../../src/injector/inject";
import type { PodJson } from "../../src/injector/pod";
import {
  ADS_PORT,
  ADS_SAN,
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  DEFAULT_MESH_NAME,
  DEFAULT_OSM_NAMESPACE,
  DEFAULT_TRUST_DOMAIN,
  INIT_CONTAINER,
  LABEL_MONITORED_BY,
  MESH_CONFIG_NAME,
  SIDECAR_CONTAINER,
} from "../../src/model/mesh-words";
import type { Operations } from "../support/pod-operations";
import { serviceAccount } from "./support/manifests";
import {
  grpcUnary,
  http1,
  http2,
  type MatrixCase,
  runMatrix,
  type Target,
  tcpEcho,
  tcpGreeting,
  webSocket,
} from "./support/matrix-cases";
import {
  appAt,
  matrixPod,
  matrixService,
  metricBy,
  type PortRow,
  shipApplication,
} from "./support/matrix-pods";
import { PORTS } from "./support/matrix-words";
import { Mesh, report } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";

const ROWS: readonly PortRow[] = [
  ["http-shop", 80, PORTS.http],
  ["http2-shop", 81, PORTS.h2c],
  ["grpc-shop", 82, PORTS.grpc],
  ["tcp-shop", 84, PORTS.tcp],
  ["tcp-server-first-shop", 85, PORTS.greeting],
];
/** Of a headless Service clients see the pods' own ports. */
const HEADLESS: readonly PortRow[] = ROWS.map(([name, , port]) => [name, Number(port), port] as const);

/** A pod knows its own name as its address, so its Service is called otherwise. */
function serviceOf(pod: string): string {
  return `${pod}-shop`;
}

/** A pod as the injector makes it where the cluster has no native sidecars. */
function classicPod(namespace: string, pod: Record<string, unknown>): object {
  const result = inject({
    pod: pod as PodJson,
    uid: randomUUID(),
    namespace: {
      name: namespace,
      labels: { [LABEL_MONITORED_BY]: DEFAULT_MESH_NAME },
      annotations: { [ANNOTATION_INJECTION]: "enabled", [ANNOTATION_METRICS]: "enabled" },
    },
    meshConfig: DEFAULT_MESH_CONFIG,
    settings: {
      meshName: DEFAULT_MESH_NAME,
      osmNamespace: DEFAULT_OSM_NAMESPACE,
      trustDomain: DEFAULT_TRUST_DOMAIN,
      images: { envoy: IMAGES.envoy, init: IMAGES.init },
      adsAddress: `${ADS_SAN}:${ADS_PORT}`,
      nativeSidecar: false,
      ipv6: false,
    },
  });
  if (result.kind !== "inject") throw new Error(`not injected: ${result.kind}`);
  // The webhook of this cluster would make a native sidecar of it; it leaves alone what opts out.
  const annotations = { ...result.pod.metadata?.annotations, [ANNOTATION_INJECTION]: "disabled" };
  return { ...result.pod, metadata: { ...result.pod.metadata, annotations } };
}

/** A Job whose pod calls a Service as HTTP and as TCP, says what came back, and ends. */
function job(target: string): object {
  const script = `
    const http = require("node:http");
    const net = require("node:net");
    const again = call => new Promise(resolve => {
      const turn = () => call().then(resolve, () => setTimeout(turn, 300));
      turn();
    });
    const asHttp = () => new Promise((resolve, reject) => {
      http.get("http://${target}:80/", { agent: false }, response => {
        let body = "";
        response.setEncoding("utf8").on("data", part => (body += part));
        response.on("end", () => (response.statusCode === 200 ? resolve(body) : reject()));
      }).on("error", reject);
    });
    const asTcp = () => new Promise((resolve, reject) => {
      const socket = net.connect(84, "${target}", () => socket.write("hello"));
      socket.on("data", part => { socket.destroy(); resolve(String(part)); });
      socket.on("error", reject).on("close", reject);
    });
    (async () => {
      console.log(await again(asHttp));
      console.log(await again(asTcp));
    })();
  `;
  const container = {
    name: "work",
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    command: ["/usr/local/bin/node", "-e", script],
    resources: { requests: { cpu: "5m", memory: "24Mi" } },
  };
  const template = {
    metadata: { labels: { app: "work" } },
    spec: { restartPolicy: "Never", serviceAccountName: "worker", containers: [container] },
  };
  const spec = { backoffLimit: 0, template };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name: "work" }, spec };
}

interface PodSpecView {
  readonly spec: {
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers: readonly { readonly name: string; readonly command?: readonly string[] }[];
  };
}

describe("pods with other sidecars on the real cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let peer: Operations;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "layouts", true);
    await shipApplication(shop);
    await shop.apply(
      serviceAccount("peer"),
      serviceAccount("subject"),
      serviceAccount("worker"),
      ...["peer", "classic", "podip"].map(name => matrixService(serviceOf(name), name, ROWS)),
      ...["classic", "podip"].map(name =>
        matrixService(`${name}-headless`, name, HEADLESS, { clusterIP: "None" }),
      ),
      matrixPod("peer", { serviceAccount: "peer" }),
    );
    const pod = matrixPod("classic", { serviceAccount: "subject" });
    await shop.apply(classicPod(shop.name, pod), job(serviceOf("peer")));
    await podIpPod();
    peer = appAt((await shop.readyPod("peer")).status.podIP);
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  const patchMode = async (mode: string): Promise<void> => {
    const patch = JSON.stringify({ spec: { sidecar: { localProxyMode: mode } } });
    const place = ["-n", DEFAULT_OSM_NAMESPACE, "meshconfig", MESH_CONFIG_NAME];
    await mesh.kubectl.must(["patch", ...place, "--type=merge", "-p", patch]);
  };
  const specOf = async (name: string): Promise<PodSpecView["spec"]> =>
    (JSON.parse(await shop.kubectl(["get", "pod", name, "-o", "json"])) as PodSpecView).spec;

  /** Makes the pod while the mesh is in PodIP mode, which every new pod of the mesh would get meanwhile. */
  async function podIpPod(): Promise<void> {
    const manifest = matrixPod("podip", { serviceAccount: "subject", ownAddressOnly: true });
    await patchMode("PodIP");
    try {
      // Each replica of the webhook hears of the change by itself, so the first pods may still be of the old mode.
      await until("a pod of PodIP mode", 60_000, async () => {
        await shop.apply(manifest);
        const init = (await specOf("podip")).initContainers.find(({ name }) => name === INIT_CONTAINER);
        if (init?.command?.some(word => word.includes(CHAIN_POD_IP)) === true) return true;
        await shop.kubectl(["delete", "pod", "podip", "--grace-period=0", "--force"]);
        return undefined;
      });
    } finally {
      await patchMode("Localhost");
    }
  }

  /** Every protocol to the pod by its Service, headless Service and address, and from it. */
  async function bothWays(name: string): Promise<void> {
    const { podIP } = (await shop.readyPod(name)).status;
    const subject = appAt(podIP);
    const byPeer = (host: string, port: number): Target => {
      return { host, port, pod: name, caller: `ns/${shop.name}/sa/peer` };
    };
    const bySubject = (pod: string, port: number): Target => {
      return { host: serviceOf(pod), port, pod, caller: `ns/${shop.name}/sa/subject` };
    };
    const before = await metricBy(podIP, "envoy_listener_ssl_handshake", "none");
    const inward = [podIP, `${name}-headless`].flatMap((host): MatrixCase[] => [
      { name: `HTTP/1.1 in by ${host}`, call: http1(peer, byPeer(host, PORTS.http)) },
      { name: `TCP in by ${host}`, call: tcpEcho(peer, byPeer(host, PORTS.tcp)) },
      { name: `TCP, server first, in by ${host}`, call: tcpGreeting(peer, byPeer(host, PORTS.greeting)) },
    ]);
    await runMatrix(name, [
      { name: "HTTP/1.1 in", call: http1(peer, byPeer(serviceOf(name), 80)) },
      { name: "WebSocket in", call: webSocket(peer, byPeer(serviceOf(name), 80)) },
      { name: "HTTP/2 in", call: http2(peer, byPeer(serviceOf(name), 81)) },
      { name: "gRPC in", call: grpcUnary(peer, byPeer(serviceOf(name), 82)) },
      { name: "TCP in", call: tcpEcho(peer, byPeer(serviceOf(name), 84)) },
      { name: "TCP, server first, in", call: tcpGreeting(peer, byPeer(serviceOf(name), 85)) },
      ...inward,
      { name: "HTTP/1.1 out", call: http1(subject, bySubject("peer", 80)) },
      { name: "gRPC out", call: grpcUnary(subject, bySubject("peer", 82)) },
      { name: "TCP out", call: tcpEcho(subject, bySubject("peer", 84)) },
      { name: "TCP, server first, out", call: tcpGreeting(subject, bySubject("peer", 85)) },
      { name: "own Service, HTTP/1.1", call: http1(subject, bySubject(name, 80)) },
      { name: "own Service, TCP", call: tcpEcho(subject, bySubject(name, 84)) },
    ]);
    const after = await metricBy(podIP, "envoy_listener_ssl_handshake", "none");
    report(`${name} · ${(after.get("") ?? 0) - (before.get("") ?? 0)} handshakes of its inbound listener`);
    expect(after.get("")).to.be.above(before.get("") ?? 0);
  }

  it("work in the classic layout, where the sidecar is an ordinary container", async () => {
    const { containers, initContainers } = await specOf("classic");
    expect(containers.map(({ name }) => name)).to.deep.equal(["app", SIDECAR_CONTAINER]);
    expect(initContainers.map(({ name }) => name)).to.deep.equal([INIT_CONTAINER]);
    await bothWays("classic");
  });

  it("work in PodIP mode, with an application that does not listen on loopback", async () => {
    const { initContainers } = await specOf("podip");
    expect(initContainers.map(({ name }) => name)).to.deep.equal([INIT_CONTAINER, SIDECAR_CONTAINER]);
    const subject = appAt((await shop.readyPod("podip")).status.podIP);
    const loopback = await subject.callTcp({ host: "127.0.0.1", port: PORTS.tcp, send: "hello" });
    expect(loopback.outcome, "its own loopback").to.equal("refused");
    await bothWays("podip");
  });

  it("end with their work, as pods of Jobs", async () => {
    await shop.kubectl(["wait", "--for=condition=Complete", "--timeout=200s", "job/work"]);
    const [done] = await shop.pods("work");
    if (done === undefined) throw new Error("the Job left no pod");
    expect(hasSidecar(done)).to.equal(true);
    expect(done.status.phase).to.equal("Succeeded");
    const said = await shop.kubectl(["logs", done.metadata.name, "-c", "work"]);
    report(`Job · Succeeded with its sidecar; HTTP and TCP answered`);
    expect(said).to.contain(`;URI=spiffe://cluster.local/ns/${shop.name}/sa/worker"`);
    expect(said).to.contain("peer hello");
  });
});
