import { setTimeout as pause } from "node:timers/promises";
import { connect } from "node:tls";
import { expect } from "chai";
import { issueServing } from "../../src/runtime/secrets/authority";
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsRig, snapshotOf } from "../support/ads-rig";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
/** Streams, each on a connection of its own, opened at this rate while the certificate changes. */
const STREAMS = FULL ? 1_000 : 60;
const PER_SECOND = 100;
/** Between two certificates. */
const ROTATE_MS = 40;
/** No answer that counts is later, on any machine. */
const PATIENCE_MS = 60_000;

describe("the ADS server's certificate, replaced while proxies connect", function () {
  this.timeout(300_000);
  let rig: AdsRig;
  before(async () => {
    const limits = { connectRate: 1_000, connectBurst: 1_000, maxPerAddress: 10_000, maxConnections: 10_000 };
    rig = await AdsRig.start({ limits });
    rig.world.set(snapshotOf([]));
  });
  after(() => rig.stop());

  /** Serial number that a connection is shown; rejects when it is not of the CA or has not the name. */
  const shown = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port: rig.server.port,
        servername: ADS_SAN,
        ca: rig.authority.certPem,
      };
      const socket = connect({ ...options, ALPNProtocols: ["h2"] }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.once("error", reject);
    });

  /** Undefined when the stream was answered; else how it ended. */
  const attempt = async (index: number): Promise<string | undefined> => {
    const client = rig.connect(`pod-${index}`);
    client.send({ typeUrl: TYPE_URLS.cluster });
    await waitFor(
      "an answer",
      () => client.responses.length > 0 || client.ended !== undefined,
      PATIENCE_MS,
    ).catch(() => undefined);
    const answered = client.responses.length > 0;
    const { ended } = client;
    client.close();
    return answered ? undefined : `stream ${index}: ${ended?.details ?? "no answer"}`;
  };

  it(`refuses none of ${STREAMS} connections, and shows new ones the new certificate`, async () => {
    const serials = new Set<string>();
    let [rotations, running] = [0, true];
    const rotating = (async () => {
      while (running) {
        const serving = issueServing(rig.authority, [ADS_SAN], { now: Date.now(), validityMs: 3_600_000 });
        rig.server.setServing({ ...serving, clientRoots: rig.authority.certPem });
        rotations += 1;
        await pause(ROTATE_MS);
      }
    })();
    const looking = (async () => {
      while (running) {
        serials.add(await shown());
        await pause(10 * ROTATE_MS);
      }
    })();
    const attempts: Promise<string | undefined>[] = [];
    for (let index = 0; index < STREAMS; index += 1) {
      attempts.push(attempt(index));
      await pause(1_000 / PER_SECOND);
    }
    const failed = (await Promise.all(attempts)).filter(answer => answer !== undefined);
    await waitFor("several certificates, and one of them shown", () => rotations > 10 && serials.size > 1);
    running = false;
    await Promise.all([rotating, looking]);
    const bound = `0 refused while the certificate was replaced ${rotations} times`;
    verdict("ads-certificate-rotation", failed.length === 0, {
      count: STREAMS,
      failed: failed.length,
      bound,
    });
    expect(failed).to.deep.equal([]);
    expect(serials.size).to.be.above(1);
    expect(rotations).to.be.above(10);
  });
});
