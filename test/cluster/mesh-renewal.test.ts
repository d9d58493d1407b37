import { expect } from "chai";
import { connect } from "node:tls";
import { until } from "../../hack/cluster/progress";
import { BACKDATE_MS } from "../../src/certificate/plan";
import { MESH_ALPN } from "../../src/model/mesh-words";
import { HTTP_PORT } from "./support/manifests";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";

/** The shortest life that MeshConfig takes; renewed at half of it. */
const LIFE_MS = 60_000;

/** Certificates to be seen one after the other, the first one included. */
const CERTIFICATES = FULL ? 8 : 3;

/** What a server shows in a handshake. */
interface Shown {
  readonly serial: string;
  readonly lifeMs: number;
}

/** Begins a handshake at a sidecar, as anybody can, and gives the certificate it shows before it refuses us. */
function shownAt(address: string): Promise<Shown> {
  return new Promise((resolve, reject) => {
    // Nothing is trusted and nothing sent: the certificate is all that is wanted.
    const options = { host: address, port: HTTP_PORT, rejectUnauthorized: false, ALPNProtocols: [MESH_ALPN] };
    const socket = connect(options, () => {
      const { serialNumber, valid_from: from, valid_to: to } = socket.getPeerCertificate();
      resolve({ serial: serialNumber, lifeMs: Date.parse(to) - Date.parse(from) });
      socket.destroy();
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no handshake")));
    socket.once("error", reject);
  });
}

describe("workload certificates of a minute", function () {
  this.timeout(900_000);
  let mesh: Mesh;
  let config: LiveMeshConfig;
  let shop: Shop;

  before(async () => {
    mesh = await Mesh.open();
    config = await LiveMeshConfig.of(mesh);
    shop = await Shop.open(mesh, "renewal", 1);
  });

  after(async () => {
    await config.restore();
    await TestNamespace.removeAll();
  });

  it("are renewed again and again without the loss of a request", async () => {
    const { podIP } = (await shop.namespace.readyPod("server")).status;
    const before = await shownAt(podIP);
    const serials = new Set([before.serial]);
    await shop.under("renewals", async () => {
      await config.patch({ certificate: { serviceCertValidityDuration: `${LIFE_MS / 1000}s` } });
      const began = Date.now();
      while (serials.size < CERTIFICATES) {
        const shown = await until(
          "another certificate",
          2 * LIFE_MS,
          async () => {
            const shown = await shownAt(podIP);
            return serials.has(shown.serial) ? undefined : shown;
          },
          1_000,
        );
        serials.add(shown.serial);
        report(`certificate ${serials.size} after ${Date.now() - began} ms`);
        // A certificate begins a little in the past, because clocks differ.
        expect(shown.lifeMs).to.be.within(LIFE_MS, LIFE_MS + BACKDATE_MS + 60_000);
      }
    });
    await config.restore();
    await until("long-lived certificates again", 3 * LIFE_MS, async () =>
      (await shownAt(podIP)).lifeMs >= before.lifeMs ? true : undefined,
    );
    await shop.under("long-lived again", () => Promise.resolve());
  });
});
