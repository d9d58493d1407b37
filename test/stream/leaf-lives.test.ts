import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { expect } from "chai";
import type { Authority } from "../../src/runtime/secrets/authority";
import type { Snapshot } from "../../src/xds/resource";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { AdsRig, snapshotOf, TestWorld } from "../support/ads-rig";
import {
  edsCluster,
  loopbackEndpoint,
  tcpListener,
  tlsCluster,
  tlsListener,
} from "../support/envoy-resources";
import { freePort } from "../support/kube-apiserver";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

/** The shortest life that MeshConfig takes, and how long the control plane is away in each. */
const LIFE_MS = 60_000;
const DOWN_MS = 25_000;
/** Lives; `OSM_LIVES` for less. */
const LIVES = Number(process.env["OSM_LIVES"] ?? 20);
/** Sidecars that call each other in a ring. */
const PROXIES = 3;
/** Between two calls of a proxy; each is a handshake. */
const PACE_MS = 100;
/** Reconnecting takes Envoy up to 3 s; a control plane that has just come back has so long to hand out leaves. */
const BACK_MS = 10_000;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** A world in which each pod has a configuration of its own. */
class RingWorld extends TestWorld {
  readonly snapshots = new Map<string, Snapshot>();

  override subscribe(proxy: { readonly podName: string }, take: (snapshot: Snapshot) => void) {
    const own = this.snapshots.get(proxy.podName);
    if (own !== undefined) take(own);
    return { close: () => undefined };
  }
}

function call(port: number): Promise<string> {
  return new Promise(resolve => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port });
    socket.setTimeout(20_000, () => socket.destroy(new Error("no answer in 20 s")));
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", error => {
      resolve(error.message);
    });
    socket.on("close", () => {
      resolve(text);
    });
  });
}

/** The end of the leaf that an Envoy has in use, epoch milliseconds; undefined: none. */
async function leafEnd(envoy: AdsEnvoy): Promise<number | undefined> {
  const dump = await envoy.admin("/config_dump?resource=dynamic_active_secrets");
  const [, base64] = /"certificate_chain":\s*\{\s*"inline_bytes":\s*"([^"]+)"/.exec(dump) ?? [];
  return base64 === undefined
    ? undefined
    : Date.parse(new X509Certificate(Buffer.from(base64, "base64")).validTo);
}

// Twenty lives are twenty minutes: `npm run test:long`. The same with a turned clock is in test/unit/certificate.
if (process.env["OSM_FULL"] === "1")
  describe("leaves of a minute, with the control plane away for 25 s in each", function () {
    this.timeout(LIVES * LIFE_MS + 600_000);
    const world = new RingWorld();
    const envoys: AdsEnvoy[] = [];
    const listeners: number[] = [];
    let application: Server;
    let rig: AdsRig;
    let upSince = Infinity;
    let stopping = false;
    const calls = { count: 0, failures: [] as string[] };
    const looks = { count: 0, below: [] as string[], leastUp: 1, least: 1 };

    const come = async (port: number, authority?: Authority): Promise<void> => {
      const again = authority === undefined ? {} : { authority };
      rig = await AdsRig.start({ world, port, leafValidityMs: LIFE_MS, ...again });
      upSince = Date.now();
    };

    before(async () => {
      application = createServer(socket => socket.on("error", () => undefined).end("hello"));
      application.listen(0, "127.0.0.1");
      await once(application, "listening");
      const app = (application.address() as AddressInfo).port;
      await come(await freePort());
      const inbound = await Promise.all(Array.from({ length: PROXIES }, freePort));
      for (let index = 0; index < PROXIES; index += 1) {
        const [name, out] = [`pod-${index}`, await freePort()];
        const resources = [
          edsCluster("app", 20),
          loopbackEndpoint("app", app),
          tlsListener("in", inbound[index] ?? 0, "app"),
          tlsCluster("peer"),
          loopbackEndpoint("peer", inbound[(index + 1) % PROXIES] ?? 0),
          tcpListener("out", out, "peer"),
        ];
        world.snapshots.set(name, snapshotOf(resources));
        world.addPod({ namespace: "shop", serviceAccount: name }, name, `uid-${name}`);
        const token = `shop/${name}/${name}/uid-${name}`;
        envoys.push(await startAdsEnvoy({ adsPort: rig.server.port, token, root: rig.authority.certPem }));
        listeners.push(out);
      }
      for (const port of listeners)
        await waitFor("an answer", async () => (await call(port)) === "hello", 120_000);
    });

    after(async () => {
      stopping = true;
      for (const envoy of envoys) await envoy.stop();
      await (rig as AdsRig | undefined)?.stop();
      (application as Server | undefined)?.close();
    });

    const keepCalling = async (port: number): Promise<void> => {
      while (!stopping) {
        const answer = await call(port);
        calls.count += 1;
        if (answer !== "hello") calls.failures.push(`${new Date().toISOString()} through ${port}: ${answer}`);
        await pause(PACE_MS);
      }
    };
    const look = async (name: string, envoy: AdsEnvoy): Promise<void> => {
      const since = upSince;
      const end = await leafEnd(envoy);
      const share = ((end ?? 0) - Date.now()) / LIFE_MS;
      looks.count += 1;
      looks.least = Math.min(looks.least, share);
      // Only what was so before and after the look: the control plane may have left meanwhile.
      if (since !== upSince || Date.now() - since < BACK_MS) return;
      looks.leastUp = Math.min(looks.leastUp, share);
      if (share < 0.25) looks.below.push(`${new Date().toISOString()} ${name}: ${share.toFixed(2)}`);
    };
    const keepLooking = async (): Promise<void> => {
      while (!stopping) {
        for (const [index, envoy] of envoys.entries()) await look(`pod-${index}`, envoy);
        await pause(1_000);
      }
    };

    it(`fail no call in ${LIVES} lives, and no proxy falls below a quarter while the control plane is there`, async () => {
      const work = [...listeners.map(keepCalling), keepLooking()];
      for (let life = 0; life < LIVES; life += 1) {
        await pause(LIFE_MS - DOWN_MS);
        const { port } = rig.server;
        const { authority } = rig;
        upSince = Infinity;
        await rig.stop();
        await pause(DOWN_MS);
        await come(port, authority);
      }
      await pause(2 * BACK_MS);
      stopping = true;
      await Promise.all(work);
      const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
      verdict("leaf-lives", calls.failures.length === 0, {
        count: calls.count,
        failed: calls.failures.length,
        bound: `0 failed in ${LIVES} lives of 60 s, 25 s of each without control plane`,
      });
      verdict("leaf-life-left", looks.below.length === 0, {
        count: looks.count,
        failed: looks.below.length,
        bound: `25 % of the life while the control plane is there (least ${percent(looks.leastUp)}; at all ${percent(looks.least)})`,
      });
      expect(calls.failures).to.deep.equal([]);
      expect(looks.below).to.deep.equal([]);
      expect(calls.count).to.be.above(LIVES * 100);
    });
  });
