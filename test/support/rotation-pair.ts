import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { startAdsEnvoy, type AdsEnvoy } from "./ads-envoy";
import { snapshotOf } from "./ads-rig";
import { edsCluster, loopbackEndpoint, tcpListener, tlsCluster, tlsListener } from "./envoy-resources";
import { freePort } from "./kube-apiserver";
import type { RotationRig } from "./rotation-rig";
import { waitFor } from "./wait";

/** Envoy may be slow to start on a busy machine, milliseconds. */
const START_MS = 120_000;
/** Calls at the same time: at full counts as many as keep two cores busy, since each waits for the one before it. */
const WORKERS = process.env["OSM_FULL"] === "1" ? 12 : 3;

/** Calls through listeners, one connection after the other, until told to stop. */
class ConnectionLoad {
  calls = 0;
  readonly failures: string[] = [];
  private stopping = false;
  private readonly workers: Promise<void>[];

  constructor(private readonly ports: readonly number[]) {
    this.workers = Array.from({ length: WORKERS }, (_, index) => this.work(index));
  }

  private async work(index: number): Promise<void> {
    for (let turn = index; !this.stopping; turn += 1) {
      const port = this.ports[turn % this.ports.length] ?? 0;
      const answer = await call(port);
      this.calls += 1;
      if (answer !== "hello") this.failures.push(`call ${this.calls} through ${port}: ${answer}`);
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.workers);
  }
}

function call(port: number): Promise<string> {
  return new Promise(resolve => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port });
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", error => {
      resolve(error.message);
    });
    socket.on("close", () => {
      resolve(text);
    });
  });
}

/** Two real Envoys, each on a replica of its own, that call each other by mutual TLS: every call is a new handshake. */
export class RotationPair {
  private constructor(
    private readonly rig: RotationRig,
    private readonly application: Server,
    private readonly envoys: readonly AdsEnvoy[],
    readonly load: ConnectionLoad,
  ) {}

  /** Starts them, waits for the first answers, and begins to call for good. The rig has two replicas. */
  static async start(rig: RotationRig): Promise<RotationPair> {
    const application = createServer(socket => {
      socket.on("error", () => undefined);
      socket.end("hello");
    }).listen(0, "127.0.0.1");
    await once(application, "listening");
    const app = (application.address() as AddressInfo).port;
    const inbound = [await freePort(), await freePort()];
    const envoys: AdsEnvoy[] = [];
    const listeners: number[] = [];
    for (const [index, replica] of rig.replicas.entries()) {
      const out = await freePort();
      listeners.push(out);
      const resources = [
        edsCluster("app", 20),
        loopbackEndpoint("app", app),
        tlsListener("in", inbound[index] ?? 0, "app"),
        tlsCluster("peer"),
        loopbackEndpoint("peer", inbound[1 - index] ?? 0),
        tcpListener("out", out, "peer"),
      ];
      replica.world.set(snapshotOf(resources));
      const token = rig.expect(`pod-${index}`);
      const options = { adsPort: replica.ads.server.port, token, root: rig.authority.certPem };
      envoys.push(await startAdsEnvoy(options));
    }
    for (const port of listeners)
      await waitFor("the first answer", async () => (await call(port)) === "hello", START_MS);
    return new RotationPair(rig, application, envoys, new ConnectionLoad(listeners));
  }

  /** Roots in the bundles that both Envoys really hold, and the issuers of their leaves, as acknowledged. */
  held(): readonly (readonly [trust: unknown, issuer: unknown])[] {
    return this.rig.replicas.flatMap(({ ledger }) =>
      [...ledger.rows().trust.values()].map(({ trust, issuer }) => [trust, issuer] as const),
    );
  }

  async stop(): Promise<void> {
    await this.load.stop();
    for (const envoy of this.envoys) await envoy.stop();
    this.application.close();
  }
}
