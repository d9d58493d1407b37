import { once } from "node:events";
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { connect, createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { expect } from "chai";
import { planWorkload } from "../../src/certificate/plan";
import { encodeLeaf } from "../../src/envoy/encode";
import { ADS_SAN, MESH_ALPN } from "../../src/model/mesh-words";
import { rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { AdsRig, snapshotOf } from "../support/ads-rig";
import { edsCluster, loopbackEndpoint, meshListener, tcpListener } from "../support/envoy-resources";
import { freePort } from "../support/kube-apiserver";
import { TLS_13 } from "../support/mesh-leaves";
import {
  oneEnded,
  otherPurposes,
  testAuthority,
  wrongCertificates,
  type Credentials,
} from "../support/odd-certificates";
import { waitFor } from "../support/wait";

const FRIEND = { namespace: "shop", serviceAccount: "friend" };
const START_MS = 120_000;
const TOKEN = "shop/envoy/envoy/uid-envoy";
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** All that a server says before it closes, or what went wrong. */
function heard(socket: Socket): Promise<string> {
  return new Promise(resolve => {
    let text = "";
    socket.setTimeout(60_000, () => socket.destroy(new Error("no answer")));
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.once("error", error => {
      resolve(`${text}${error.message}`);
    });
    socket.once("close", () => {
      resolve(text);
    });
  });
}

describe("certificates that a sidecar refuses", function () {
  this.timeout(2 * START_MS);
  const authority = testAuthority();
  const wrong = wrongCertificates(authority, FRIEND);
  const purposes = otherPurposes(authority);
  const good = authority.issue(
    planWorkload(FRIEND, "cluster.local", { now: Date.now(), validityMs: 3_600_000 }),
  );
  let rig: AdsRig;
  let envoy: AdsEnvoy;
  let application: Server;
  let peer: TlsServer;
  let [inbound, outbound, taken] = [0, 0, 0];

  before(async () => {
    rig = await AdsRig.start({ authority });
    application = createServer(socket => {
      socket
        .on("error", () => undefined)
        .on("data", () => {
          // Envoy connects here before its handshake with the caller is over; what counts is what the caller says.
          taken += 1;
          socket.end("hello");
        });
      socket.setTimeout(START_MS, () => socket.destroy());
    }).listen(0, "127.0.0.1");
    peer = createTlsServer({ minVersion: "TLSv1.3" }, socket => {
      socket.on("error", () => undefined).end("welcome");
    });
    peer.on("tlsClientError", () => undefined).listen(0, "127.0.0.1");
    await Promise.all([once(application, "listening"), once(peer, "listening")]);
    [inbound, outbound] = [await freePort(), await freePort()];
    const upstream = encodeLeaf({
      kind: "upstream-cluster",
      name: "peer",
      origins: [],
      discovery: { kind: "endpoints" },
      protocol: "tcp",
      sni: "peer.test.svc.cluster.local",
      serverIdentities: [FRIEND],
      trustDomain: "cluster.local",
      tls: TLS_13,
    });
    const resources = [
      edsCluster("app", 20),
      loopbackEndpoint("app", portOf(application)),
      meshListener("in", inbound, "app"),
      upstream,
      loopbackEndpoint("peer", portOf(peer)),
      tcpListener("out", outbound, "peer"),
    ];
    rig.world.set(snapshotOf(resources));
    rig.world.addPod({ namespace: "shop", serviceAccount: "envoy" }, "envoy", "uid-envoy");
    envoy = await startAdsEnvoy({ adsPort: rig.server.port, token: TOKEN, root: authority.certPem });
    await waitFor("calls to be served", async () => (await calledWith(good)) === "hello", START_MS);
    await waitFor("calls to be made", async () => (await answeredBy(good)) === "welcome", START_MS);
  });
  after(async () => {
    await (envoy as AdsEnvoy | undefined)?.stop();
    await (rig as AdsRig | undefined)?.stop();
    (application as Server | undefined)?.close();
    (peer as TlsServer | undefined)?.close();
  });

  const open = (credentials: Credentials | undefined, session?: Buffer): TLSSocket => {
    const own = credentials && { cert: credentials.certPem, key: credentials.keyPem };
    const resumed = session && { session };
    const offer = { ...own, ...resumed, ALPNProtocols: [MESH_ALPN], rejectUnauthorized: false };
    const socket = connect({ host: "127.0.0.1", port: inbound, ...offer });
    socket.write("let me in");
    return socket;
  };
  /** What a caller with this certificate hears of the application first; else why not. */
  const calledWith = (credentials: Credentials | undefined): Promise<string> => {
    const socket = open(credentials);
    const answer = heard(socket);
    socket.once("data", () => socket.destroy());
    return answer;
  };
  /** What a call hears that comes to a server with this certificate. */
  const answeredBy = ({ certPem: cert, keyPem: key }: Credentials): Promise<string> => {
    peer.setSecureContext({ cert, key, minVersion: "TLSv1.3" });
    return heard(connectPlain({ host: "127.0.0.1", port: outbound }));
  };

  describe("of a caller", () => {
    const cases = { ...wrong, ...purposes, "for servers only": oneEnded(authority, FRIEND, "server") };
    for (const [what, credentials] of Object.entries({ ...cases, "none at all": undefined })) {
      it(`${what}: nothing reaches the application`, async () => {
        const before = taken;
        expect(await calledWith(credentials)).to.not.contain("hello");
        expect(taken).to.equal(before);
      });
    }
  });

  describe("of a server", () => {
    const cases = { ...wrong, ...purposes, "for clients only": oneEnded(authority, FRIEND, "client") };
    for (const [what, credentials] of Object.entries(cases)) {
      it(`${what}: nothing is sent to it`, async () => {
        expect(await answeredBy(credentials)).to.not.contain("welcome");
      });
    }

    it("of another workload than the one that is called", async () => {
      const stranger = { namespace: "shop", serviceAccount: "stranger" };
      const plan = planWorkload(stranger, "cluster.local", { now: Date.now(), validityMs: 3_600_000 });
      expect(await answeredBy(authority.issue(plan))).to.not.contain("welcome");
    });
  });

  it("while those that are right are taken, still", async () => {
    expect(await calledWith(good)).to.equal("hello");
    expect(await answeredBy(good)).to.equal("welcome");
  });

  it("of a root that is not trusted any more: no new connection, and none by an old session", async () => {
    const next = testAuthority();
    const plan = planWorkload(FRIEND, "cluster.local", { now: Date.now(), validityMs: 3_600_000 });
    const renewed = next.issue(plan);
    let session: Buffer | undefined;
    const first = open(good);
    first.on("session", (bytes: Buffer) => (session = bytes));
    const answer = heard(first);
    first.once("data", () => first.destroy());
    expect(await answer).to.equal("hello");
    rig.secrets.setRoots(rootsOf(next));
    await waitFor("the new root", async () => (await calledWith(renewed)) === "hello", START_MS);
    // A worker may be a moment behind the one that has just answered.
    await waitFor("the old root's end", async () => (await calledWith(good)) !== "hello", START_MS);
    const resumed = open(good, session);
    const second = heard(resumed);
    resumed.once("data", () => resumed.destroy());
    expect(await second).to.not.contain("hello");
    expect(resumed.isSessionReused()).to.equal(false);
  });
});

describe("servers that an Envoy does not take for its control plane", function () {
  this.timeout(3 * START_MS);

  it("are all that show a certificate of another purpose, a workload's above all; the right one is taken", async () => {
    const authority = testAuthority();
    const plan = planWorkload(FRIEND, "cluster.local", { now: Date.now(), validityMs: 3_600_000 });
    const { "the ADS server's": right, ...others } = otherPurposes(authority);
    const wrong = wrongCertificates(authority, FRIEND);
    // Each of them takes Envoy's pauses between attempts, up to 3 s.
    const impostors: Readonly<Record<string, Credentials | undefined>> = {
      "a workload's": authority.issue(plan),
      "of another CA": testAuthority().issue({
        ...plan,
        purpose: "serving",
        uris: [],
        dnsNames: [ADS_SAN],
      }),
      "the control plane's own": others["the control plane's own"],
      ...(process.env["OSM_FULL"] === "1" ? { ...others, ...wrong } : {}),
    };
    const rig = await AdsRig.start({ authority });
    rig.world.addPod({ namespace: "shop", serviceAccount: "envoy" }, "envoy", "uid-envoy");
    rig.world.set(snapshotOf([]));
    const present = (credentials: Credentials | undefined): void => {
      if (credentials !== undefined)
        rig.server.setServing({ ...credentials, clientRoots: authority.certPem });
    };
    present(impostors["a workload's"]);
    const envoy = await startAdsEnvoy({ adsPort: rig.server.port, token: TOKEN, root: authority.certPem });
    // A key that is not for signatures (a CA's) BoringSSL refuses before Envoy verifies anything: an error of the connection.
    const refused = async (): Promise<number> => {
      const text = await envoy.admin("/stats?filter=ssl\\.(fail_verify|connection_error)");
      return [...text.matchAll(/: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    };
    try {
      for (const [what, credentials] of Object.entries(impostors)) {
        present(credentials);
        // One attempt may have begun with the certificate before.
        const before = await refused();
        await waitFor(`two refusals of ${what}`, async () => (await refused()) >= before + 2, START_MS);
        expect(rig.server.stats().streams, what).to.equal(0);
      }
      present(right);
      await waitFor("the stream", () => rig.server.stats().streams === 1, START_MS);
    } finally {
      await envoy.stop();
      await rig.stop();
    }
  });
});
