import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { connect } from "node:tls";
import { expect } from "chai";
import { planWorkload } from "../../src/certificate/plan";
import { systemClock } from "../../src/runtime/clock";
import { createAuthenticator } from "../../src/runtime/identity/authenticator";
import { watchedLog } from "../support/told-errors";
import type { EncodedResource } from "../../src/xds/resource";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { AdsRig, snapshotOf, TestWorld } from "../support/ads-rig";
import { edsCluster, loopbackEndpoint, tlsListener } from "../support/envoy-resources";
import { freePort } from "../support/kube-apiserver";
import { PodTokens, type ApiPod } from "../support/pod-tokens";
import { waitFor } from "../support/wait";

const BUYER = { namespace: "shop", serviceAccount: "buyer.blue" };
const SPIFFE = "spiffe://cluster.local/ns/shop/sa/buyer.blue";

describe("a real Envoy with a real token", () => {
  let tokens: PodTokens;
  let rig: AdsRig;
  let envoy: AdsEnvoy;
  let pod: ApiPod;
  let application: Server;
  let port: number;
  let good: readonly EncodedResource[];

  before(async function () {
    this.timeout(120_000);
    tokens = await PodTokens.start();
    pod = await tokens.pod(BUYER, "buyer-1");
    application = createServer(socket => socket.end("hello")).listen(0, "127.0.0.1");
    await once(application, "listening");
    port = await freePort();
    const world = new TestWorld();
    const authenticator = createAuthenticator({
      kube: tokens.kube,
      pods: world,
      trustDomain: "cluster.local",
      clock: systemClock,
      log: watchedLog,
    });
    rig = await AdsRig.start({ world, authenticator });
    world.addPod(BUYER, pod.name, pod.uid);
    good = [
      edsCluster("app", 1),
      loopbackEndpoint("app", (application.address() as AddressInfo).port),
      tlsListener("in", port, "app"),
    ];
    world.set(snapshotOf(good));
    envoy = await startAdsEnvoy({
      adsPort: rig.server.port,
      token: await tokens.token(pod),
      root: rig.authority.certPem,
    });
  });
  after(async () => {
    await (envoy as AdsEnvoy | undefined)?.stop();
    await (rig as AdsRig | undefined)?.stop();
    application.close();
    await tokens.stop();
  });

  /** One mutual-TLS connection to the listener as another workload of the mesh. */
  const call = async (): Promise<{ text: string; peer: X509Certificate }> => {
    const client = { namespace: "shop", serviceAccount: "caller" };
    const lifetime = { now: Date.now(), validityMs: 60_000 };
    const pair = rig.authority.issue(planWorkload(client, "cluster.local", lifetime));
    const socket = connect({
      host: "127.0.0.1",
      port,
      cert: pair.certPem,
      key: pair.keyPem,
      ca: rig.authority.certPem,
      checkServerIdentity: () => undefined,
    });
    await once(socket, "secureConnect");
    const peer = new X509Certificate(socket.getPeerCertificate().raw);
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    return { text, peer };
  };
  const timeoutOf = async (name: string): Promise<string | undefined> => {
    const dump = JSON.parse(await envoy.admin("/config_dump?resource=dynamic_active_clusters")) as {
      configs?: { cluster: { name: string; connect_timeout: string } }[];
    };
    return dump.configs?.find(({ cluster }) => cluster.name === name)?.cluster.connect_timeout;
  };

  it("is configured and serves with a leaf of the identity its token proves", async () => {
    const { text, peer } = await waitFor("the listener", () => call().catch(() => undefined));
    expect(text).to.equal("hello");
    expect(peer.subjectAltName).to.equal(`URI:${SPIFFE}, DNS:buyer.blue.shop.cluster.local`);
    expect(peer.verify(new X509Certificate(rig.authority.certPem).publicKey)).to.equal(true);
    await waitFor("the ledger", () => rig.server.ledger.summary().synced === 1);
    expect(rig.server.ledger.proxies()[0]).to.include({ podUid: pod.uid, identity: "shop/buyer.blue" });
  });

  it("keeps the last good configuration after a rejection, and its owner can be told", async () => {
    const origin = { group: "", kind: "Service", namespace: "shop", name: "broken" };
    const broken = edsCluster("broken", 1, { eds: false, origins: [origin] });
    rig.world.set(snapshotOf([...good, broken, edsCluster("other", 1), loopbackEndpoint("other", 9)]));
    const refused = await waitFor("the refusal", () => rig.server.ledger.refusedOf(origin)[0]);
    expect(refused).to.include({ name: "broken", version: broken.version });
    expect(refused.message).to.contain("EDS");
    await waitFor("the cluster beside it", async () => (await timeoutOf("other")) === "1s");
    expect((await call()).text).to.equal("hello");
    rig.world.set(snapshotOf([...good, edsCluster("broken", 2), loopbackEndpoint("broken", 9)]));
    await waitFor("the healed cluster", async () => (await timeoutOf("broken")) === "2s");
    await waitFor("a ledger without refusals", () => rig.server.ledger.summary().refused.length === 0);
    await waitFor("the removal", async () => (await timeoutOf("other")) === undefined);
  });

  it("applies a changed cluster whose endpoints stay the same, also when it changed while it was away", async () => {
    rig.world.set(snapshotOf([edsCluster("app", 3), ...good.slice(1)]));
    await waitFor("the change", async () => (await timeoutOf("app")) === "3s");
    const before = rig.server.stats();
    rig.world.removePod(pod.uid);
    await waitFor("the end of the stream", () => rig.server.stats().streams === 0);
    rig.world.set(snapshotOf([edsCluster("app", 4), ...good.slice(1)]));
    rig.world.addPod(BUYER, pod.name, pod.uid);
    await waitFor("the new stream", () => rig.server.stats().streams === 1);
    await waitFor("the change", async () => (await timeoutOf("app")) === "4s");
    const after = rig.server.stats();
    expect(after.responses - before.responses, "clusters and endpoints only").to.equal(2);
    expect((await call()).text).to.equal("hello");
  });
});
