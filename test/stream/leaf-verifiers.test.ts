import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { connect, createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { expect } from "chai";
import { planWorkload } from "../../src/certificate/plan";
import { encodeLeaf } from "../../src/envoy/encode";
import { spiffeId, type ServiceIdentity } from "../../src/model/identity";
import { MESH_ALPN } from "../../src/model/mesh-words";
import { createRoot, loadAuthority, type Authority } from "../../src/runtime/secrets/authority";
import type { IssuedPair } from "../../src/runtime/issuers/issuer";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { AdsRig, snapshotOf } from "../support/ads-rig";
import { edsCluster, loopbackEndpoint, meshListener, tcpListener } from "../support/envoy-resources";
import { judgedByGo } from "../support/go-verifier";
import { freePort } from "../support/kube-apiserver";
import { TLS_13 } from "../support/mesh-leaves";
import { randomIdentities } from "../support/random-identities";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const COUNT = process.env["OSM_FULL"] === "1" ? 1_000 : 25;
const TRUST_DOMAIN = "cluster.local";

interface Leaf extends IssuedPair {
  readonly identity: ServiceIdentity;
  readonly uri: string;
}

function leavesOf(authority: Authority, count: number, seed: number): readonly Leaf[] {
  return randomIdentities(count, seed).map(identity => {
    const plan = planWorkload(identity, TRUST_DOMAIN, { now: Date.now(), validityMs: 3_600_000 });
    return { ...authority.issue(plan), identity, uri: spiffeId(TRUST_DOMAIN, identity) };
  });
}

/** All that a server says before it closes, or what went wrong. */
function heard(socket: Socket): Promise<string> {
  return new Promise(resolve => {
    let text = "";
    socket.setTimeout(60_000, () => socket.destroy(new Error("no answer")));
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.once("error", error => {
      resolve(error.message);
    });
    socket.once("close", () => {
      resolve(text);
    });
  });
}

describe(`leaves of ${COUNT} random identities`, function () {
  this.timeout(600_000);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const root = createRoot(Date.now());
  const authority = loadAuthority(root.certPem, root.keyPem);
  const other = createRoot(Date.now());
  const foreign = leavesOf(loadAuthority(other.certPem, other.keyPem), 1, seed);
  let leaves: readonly Leaf[];
  let folder: string;
  const note = (by: string, bad: readonly string[]): void => {
    const bound = `every one, identities of seed ${seed}`;
    verdict(`leaves-by-${by}`, bad.length === 0, { count: COUNT, failed: bad.length, bound });
    expect(bad, `seed ${seed}`).to.deep.equal([]);
  };

  before(() => {
    leaves = leavesOf(authority, COUNT, seed);
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-leaves-"));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("are valid for Go's crypto/x509, with the one SPIFFE name each, and those of another root are not", () => {
    const ask = ({ certPem: chain, uri }: Leaf) => ({ chain, roots: root.certPem, uri });
    const answers = judgedByGo(leaves.map(ask));
    expect(answers).to.have.length(COUNT);
    note(
      "go",
      answers.filter(answer => answer !== "ok"),
    );
    const [stranger] = judgedByGo(foreign.map(ask));
    expect(stranger).to.contain("unknown authority");
    const [misnamed] = judgedByGo(leaves.slice(0, 1).map(leaf => ({ ...ask(leaf), uri: `${leaf.uri}x` })));
    expect(misnamed).to.contain("instead of");
  });

  it("are valid for OpenSSL's strict verification as server and as client", () => {
    const names = leaves.map((_, index) => `${index}.pem`);
    for (const [index, { certPem }] of leaves.entries())
      writeFileSync(path.join(folder, `${index}.pem`), certPem);
    writeFileSync(path.join(folder, "root.pem"), root.certPem);
    writeFileSync(path.join(folder, "foreign.pem"), foreign[0]?.certPem ?? "");
    const verify = (purpose: string, files: readonly string[]): string =>
      execFileSync(
        "openssl",
        ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root.pem", ...files],
        {
          cwd: folder,
          encoding: "utf8",
          stdio: "pipe",
        },
      );
    const bad = ["sslserver", "sslclient"].flatMap(purpose => {
      const lines = new Set(verify(purpose, names).split("\n"));
      return names.filter(name => !lines.has(`${name}: OK`));
    });
    note("openssl", bad);
    expect(() => verify("sslclient", ["foreign.pem"])).to.throw();
  });

  describe("in handshakes with a real Envoy, configured as the product does", () => {
    let rig: AdsRig;
    let envoy: AdsEnvoy;
    let application: Server;
    let peer: TlsServer;
    let [inbound, outbound] = [0, 0];
    const portOf = (server: Server): number => (server.address() as AddressInfo).port;

    before(async () => {
      rig = await AdsRig.start({ authority });
      application = createServer(socket => socket.on("error", () => undefined).end("hello"));
      application.listen(0, "127.0.0.1");
      peer = createTlsServer({ requestCert: true, ca: root.certPem, minVersion: "TLSv1.3" }, socket => {
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
        serverIdentities: leaves.map(({ identity }) => identity),
        trustDomain: TRUST_DOMAIN,
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
      const token = "shop/envoy/envoy/uid-envoy";
      envoy = await startAdsEnvoy({ adsPort: rig.server.port, token, root: authority.certPem });
    });
    after(async () => {
      await (envoy as AdsEnvoy | undefined)?.stop();
      await (rig as AdsRig | undefined)?.stop();
      (application as Server | undefined)?.close();
      (peer as TlsServer | undefined)?.close();
    });

    /** As a workload calls: with its leaf, and looking at nothing. */
    const call = ({ certPem: cert, keyPem: key }: IssuedPair): Promise<string> => {
      const offer = { cert, key, ALPNProtocols: [MESH_ALPN], rejectUnauthorized: false };
      return heard(connect({ host: "127.0.0.1", port: inbound, ...offer }));
    };
    const callOut = ({ certPem: cert, keyPem: key }: IssuedPair): Promise<string> => {
      peer.setSecureContext({ cert, key, ca: root.certPem });
      return heard(connectPlain({ host: "127.0.0.1", port: outbound }));
    };
    const misheard = async (
      ask: (leaf: Leaf) => Promise<string>,
      wanted: string,
    ): Promise<readonly string[]> => {
      const [first] = leaves;
      if (first === undefined) throw new Error("no leaf");
      await waitFor("Envoy's configuration", async () => (await ask(first)) === wanted, 120_000);
      const bad: string[] = [];
      for (const leaf of leaves) {
        const answer = await ask(leaf);
        if (answer !== wanted) bad.push(`${leaf.uri}: ${answer}`);
      }
      return bad;
    };

    it("are taken from clients", async () => {
      note("envoy-from-clients", await misheard(call, "hello"));
      expect(await call(foreign[0] as Leaf)).to.not.equal("hello");
    });

    it("are taken from servers", async () => {
      note("envoy-from-servers", await misheard(callOut, "welcome"));
      expect(await callOut(foreign[0] as Leaf)).to.not.equal("welcome");
    });
  });
});
