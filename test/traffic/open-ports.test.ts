import { chmodSync, chownSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { expect } from "chai";
import { encodeLeaf } from "../../src/envoy/encode";
import { sdsDocuments } from "../../src/injector/bootstrap";
import { FILE_ADMIN_SOCKET, FILE_ROOT_SDS, FILE_TOKEN, FILE_TOKEN_SDS } from "../../src/injector/names";
import {
  ADS_SERVICE,
  ANNOTATION_INBOUND_PORT_EXCLUSION,
  ANNOTATION_METRICS,
  CA_ROOT_KEY,
  PORT_HEALTHCHECK,
  PORT_LIVENESS,
  PORT_METRICS,
  PORT_READINESS,
  PORT_STARTUP,
  RESERVED_PORTS,
  SIDECAR_UID,
} from "../../src/model/mesh-words";
import { AdsRig, plainAuthenticator } from "../support/ads-rig";
import { envoyAdmin } from "../support/envoy-admin";
import {
  bootstrapOf,
  initScriptOf,
  injected,
  NAMESPACE,
  podOf,
  requestFor,
  SETTINGS,
} from "../support/injection";
import { createNetwork, type Network, type NetworkPod } from "../support/netns";
import { meshConfig, namespace, pod as podObject, service, slice } from "../support/objects";
import type { Operations, TcpAnswer } from "../support/pod-operations";
import { startApp, startProgram } from "../support/pod-process";
import { PLAINTEXT, portsToTry, type ScanOperations, type ScanResult } from "../support/port-scan";
import { createWorkshop, type Workshop } from "../support/sidecar";
import { relaySocket } from "../support/socket-relay";
import { requestText, workloadOffer } from "../support/tls-caller";
import { DENY, tcpRoute, trafficTarget } from "../support/traffic-objects";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";
import { createWorld } from "../support/world";

const FULL = process.env["OSM_FULL"] === "1";
const SELLER = { namespace: "shop", serviceAccount: "seller" };
const BUYER = { namespace: "web", serviceAccount: "buyer" };

/** What the application listens at, on all addresses: of its Service, of no Service, a server that speaks first, and past the sidecar. */
const APP = { http: 8080, unnamed: 7000, first: 3306, excluded: 8079 } as const;
const GRPC_PROBED = 9000;
/** Where gRPC probes of {@link GRPC_PROBED} are answered. */
const GRPC_PROBE = 15911;

/** What answers strangers in plaintext, by SECURITY.md: the sidecar's own listeners, and what exclusion lists take out. */
const OWN_LISTENERS: readonly number[] = [
  PORT_METRICS,
  PORT_LIVENESS,
  PORT_READINESS,
  PORT_STARTUP,
  PORT_HEALTHCHECK,
  GRPC_PROBE,
];
const INTERESTING: readonly number[] = [
  ...Object.values(APP),
  ...OWN_LISTENERS,
  ...RESERVED_PORTS,
  GRPC_PROBED,
];
/** One probe of every kind. */
const CONTAINERS = [
  {
    name: "web",
    livenessProbe: { httpGet: { path: "/alive", port: APP.http } },
    readinessProbe: { httpGet: { path: "/ready", port: APP.http } },
    startupProbe: { tcpSocket: { port: APP.first } },
  },
  { name: "grpc", livenessProbe: { grpc: { port: GRPC_PROBED } } },
];
/** An answer that takes longer is looked for once more, with ten times the patience. */
const PATIENCE_MS = 2_000;
const PARALLEL = 128;

const injectedPod = injected(
  requestFor(
    {
      ...podOf({}, { containers: CONTAINERS }),
      metadata: {
        name: "app-1",
        namespace: SELLER.namespace,
        annotations: { [ANNOTATION_INBOUND_PORT_EXCLUSION]: String(APP.excluded) },
      },
    },
    {
      namespace: { ...NAMESPACE, annotations: { ...NAMESPACE.annotations, [ANNOTATION_METRICS]: "yes" } },
      settings: { ...SETTINGS, ipv6: true, adsAddress: "127.0.0.1:15128" },
    },
  ),
);

interface StaticCluster {
  readonly name: string;
  load_assignment: unknown;
  upstream_connection_options?: unknown;
}

/** The injected pod's bootstrap, which reaches ADS through a socket. */
function bootstrapText(folder: string, run: string, socket: string): string {
  const config = bootstrapOf(injectedPod, { identity: folder, run }) as {
    static_resources: { clusters: StaticCluster[] };
  };
  const ads = config.static_resources.clusters.find(({ name }) => name === ADS_SERVICE);
  if (ads === undefined) throw new Error("a bootstrap without ADS");
  const endpoint = { address: { pipe: { path: socket } } };
  ads.load_assignment = { cluster_name: ADS_SERVICE, endpoints: [{ lb_endpoints: [{ endpoint }] }] };
  // Keepalive is a matter of TCP.
  delete ads.upstream_connection_options;
  return JSON.stringify(config);
}

describe("ports of an injected pod, tried by a stranger (S-04)", function () {
  this.timeout(FULL ? 1_200_000 : 240_000);
  let network: Network;
  let pod: NetworkPod;
  let workshop: Workshop;
  let rig: AdsRig;
  let relay: net.Server;
  let stranger: ScanOperations;
  let caller: Operations;
  const world = createWorld(encodeLeaf, { soon: setImmediate });

  before(async () => {
    [network, workshop] = await Promise.all([createNetwork(["pod", "stranger"]), createWorkshop()]);
    pod = network.pod("pod");
    const { engine } = world;
    rig = await AdsRig.start({ config: engine, pods: engine, authenticator: plainAuthenticator });
    world.feed(...objects());
    await startPod();
    stranger = startProgram(network.pod("stranger"), "port-scan-app.ts") as ScanOperations;
    caller = startApp(network.pod("stranger"));
    await waitFor("an answer to who may", async () => (await asBuyer()).received.includes(" 200 "));
  });
  after(async () => {
    await network.close();
    relay.close();
    await rig.stop();
    workshop.remove();
  });

  const objects = () => {
    const ports = [
      { name: "http", port: 80, targetPort: APP.http, appProtocol: "http" },
      { name: "mysql", port: APP.first, appProtocol: "tcp" },
    ];
    const slicePorts = [
      { name: "http", port: APP.http },
      { name: "mysql", port: APP.first },
    ];
    return [
      namespace(SELLER.namespace),
      namespace(BUYER.namespace),
      meshConfig(DENY),
      service({ namespace: SELLER.namespace, name: "app", ports }),
      slice({
        namespace: SELLER.namespace,
        service: "app",
        ports: slicePorts,
        endpoints: [{ address: pod.ip, pod: "app-1" }],
      }),
      podObject({
        namespace: SELLER.namespace,
        name: "app-1",
        ips: [pod.ip, pod.ip6],
        labels: { app: "app" },
        serviceAccount: SELLER.serviceAccount,
        excludedPorts: [APP.excluded],
      }),
      tcpRoute(SELLER.namespace, "all"),
      trafficTarget({ name: "buyer", to: "shop/seller", from: ["web/buyer"], rules: ["TCPRoute/all"] }),
    ];
  };

  /** Rules, application and sidecar, as the pod's containers would be started. */
  async function startPod(): Promise<void> {
    pod.run(["env", `POD_IPS=${pod.ip},${pod.ip6}`, "/bin/sh", "-c", initScriptOf(injectedPod)]);
    // Connections that are over: the kernel would keep the entries of two minutes of them.
    for (const state of ["time_wait", "close", "close_wait", "last_ack", "fin_wait"])
      pod.run(["sysctl", "-eqw", `net.netfilter.nf_conntrack_tcp_timeout_${state}=2`]);
    const app = startApp(pod);
    await Promise.all([
      ...[APP.http, APP.unnamed, APP.excluded].map(port => app.serveHttp(port)),
      app.serveTcp(APP.first, "welcome to"),
      app.serveGrpc(GRPC_PROBED),
    ]);
    const [identity, run] = ["identity", "run"].map(name => path.join(workshop.folder, name)) as [
      string,
      string,
    ];
    const documents = sdsDocuments({ identity, run });
    const files = {
      [CA_ROOT_KEY]: rig.authority.certPem,
      [FILE_TOKEN]: "shop/seller/app-1/uid-shop-app-1",
      [FILE_TOKEN_SDS]: documents.token,
      [FILE_ROOT_SDS]: documents.root,
    };
    for (const folder of [identity, run]) {
      mkdirSync(folder);
      chmodSync(folder, 0o777);
    }
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(path.join(identity, name), text);
      chownSync(path.join(identity, name), SIDECAR_UID, SIDECAR_UID);
    }
    const socket = path.join(workshop.folder, "ads.sock");
    relay = await relaySocket(socket, () => net.connect({ host: "127.0.0.1", port: rig.server.port }));
    const args = ["--service-node", "app-1", "--service-cluster", "app", "--disable-hot-restart"];
    const log = openSync(path.join(workshop.folder, "envoy.log"), "a");
    pod.start(
      [
        workshop.envoy,
        ...args,
        ...["--concurrency", "2", "-l", "warn"],
        ...["--config-yaml", bootstrapText(identity, run, socket)],
      ],
      { uid: SIDECAR_UID, stdio: ["ignore", "ignore", log] },
    );
    const admin = envoyAdmin(path.join(run, FILE_ADMIN_SOCKET));
    await waitFor("Envoy", async () => (await admin.admin("/ready").catch(() => "")).startsWith("LIVE"));
  }

  /** A request to the application with the certificate of who may call it. */
  const asBuyer = (): Promise<TcpAnswer> =>
    caller.callTls({
      host: pod.ip,
      port: APP.http,
      send: requestText({ port: APP.http }),
      offer: workloadOffer(rig.authority, BUYER),
    });

  const scan = (host: string, ports: readonly number[], send: string): Promise<ScanResult> =>
    stranger.scan({
      ...{ host, ports, send },
      ...{ patienceMs: PATIENCE_MS, parallel: PARALLEL, distinctSources: true },
    });

  for (const [family, address, listed] of [
    ["IPv4", () => pod.ip, [...OWN_LISTENERS, APP.excluded]],
    // The application has no IPv6.
    ["IPv6", () => pod.ip6, OWN_LISTENERS],
  ] as const) {
    const ports = portsToTry(FULL, INTERESTING);
    it(`over ${family}, ${ports.length} ports: only those that SECURITY.md lists say anything in plaintext`, async () => {
      const began = Date.now();
      const results = [
        await scan(address(), ports, PLAINTEXT.http1),
        await scan(address(), ports, PLAINTEXT.http2),
      ];
      const answered = new Set(results.flatMap(result => result.answered));
      const strange = [...answered].filter(port => !listed.includes(port));
      const unsure = results.flatMap(({ silent, unreachable }) => [...silent, ...unreachable]);
      verdict(
        `S-04: ports of an injected pod, ${family}, plaintext HTTP/1.1 and HTTP/2`,
        strange.length === 0,
        {
          count: ports.length * results.length,
          failed: strange.length,
          longestMs: Date.now() - began,
          bound: `answers at ${listed.length} listed ports alone; neither closed nor refused: ${unsure.length}`,
        },
      );
      expect(strange, "answered").to.deep.equal([]);
      expect([...answered].sort(), "answered of those that are listed").to.deep.equal([...listed].sort());
      expect(unsure, "neither closed nor refused").to.deep.equal([]);
    });
  }

  it("a server that speaks first says nothing to a stranger who waits", async () => {
    const ports = [...new Set(INTERESTING)];
    const { answered, unreachable } = await scan(pod.ip, ports, "");
    expect(answered).to.deep.equal([]);
    expect(unreachable, "each was asked").to.deep.equal([]);
  });

  it("leaves the pod serving who may call it, and nothing was refused by Envoy", async () => {
    expect((await asBuyer()).received).to.contain(" 200 ");
    expect(rig.server.ledger.refusals()).to.deep.equal([]);
    expect(world.errors).to.deep.equal([]);
  });
});
